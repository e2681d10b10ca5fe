"""The log on disk: the only room that knows SQL."""

from labeler.store.opening import named
from labeler.store.rows import Row, event_of
from labeler.store.store import Lineage, Store, utc_now

__all__ = ["Lineage", "Row", "Store", "event_of", "named", "utc_now"]
