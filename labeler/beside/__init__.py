"""What works beside the page: processes of their own, so that neither their work nor their memory is the page's."""

from __future__ import annotations

from labeler.beside.counter import CounterBeside
from labeler.beside.pusher import PusherBeside

__all__ = ["CounterBeside", "PusherBeside"]
