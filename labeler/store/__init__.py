"""The log on disk: the only room that knows SQL."""

from labeler.store.rows import Row, event_of
from labeler.store.store import Store

__all__ = ["Row", "Store", "event_of"]
