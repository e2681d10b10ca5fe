"""The log on disk: the only room that knows SQL."""

from labeler.store.rows import Row, event_of
from labeler.store.store import Store, utc_now

__all__ = ["Row", "Store", "event_of", "utc_now"]
