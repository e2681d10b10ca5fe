"""What is written into the stream of an annotator, by them or about them."""

from __future__ import annotations

from collections.abc import Callable

from labeler.core.events import NewEvent, Payload
from labeler.errors import SeqConflict, StoreError
from labeler.ids import event_id
from labeler.store import Store

APPEND_TRIES = 8


def append_about(store: Store, clock: Callable[[], str], about: str, payload: Payload, *, by: str, nonce: str) -> None:
    """Append one event to the stream of the annotator ``about``. The same again (by the same, with the same nonce)
    changes nothing.

    Raises:
        StoreError: it cannot be stored.
    """
    for _ in range(APPEND_TRIES):
        event = NewEvent(
            event_id=event_id(by, nonce, 0),
            conversation_id=about,
            seq=store.last_seq(about) + 1,
            at=clock(),
            annotator_id=by,
            payload=payload,
        )
        try:
            store.append([event])
            return
        except SeqConflict:
            continue
    raise StoreError("The database is too busy to take this. Try again.")
