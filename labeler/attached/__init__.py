"""Listening to a foreign Gradio chat: its gestures and answers, told to the follower before the app acts on them."""

from __future__ import annotations

from labeler.attached.attachment import Attachment
from labeler.attached.pace import Pace
from labeler.attached.people import People

__all__ = ["Attachment", "Pace", "People"]
