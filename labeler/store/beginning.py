"""How a log begins: with an event that says where its data comes from, under ids made of just that."""

from __future__ import annotations

from labeler.core.events import LogStarted, NewEvent, Payload
from labeler.errors import LogError
from labeler.ids import event_id
from labeler.store.rows import Draft

STUDY_ANNOTATOR = "labeler"


def log_started(source_id: str, now: str) -> NewEvent:
    """The first event of a log. The study's stream bears the source id."""
    return NewEvent(
        event_id=event_id(STUDY_ANNOTATOR, source_id, 0),
        conversation_id=source_id,
        seq=1,
        at=now,
        annotator_id=STUDY_ANNOTATOR,
        payload=LogStarted(source_id=source_id),
    )


def check_beginning(position: int, row: Draft, payload: Payload) -> None:
    """See that a log begins as it must, and that whatever begins one (another's may have been loaded) has its ids.

    Raises:
        LogError: it does not, in words that fit behind the place.
    """
    event, stream_id, seq, kind, at, annotator_id, _ = row
    if isinstance(payload, LogStarted):
        began = log_started(payload.source_id, at)
        if (event, stream_id, seq, annotator_id) != (began.event_id, began.conversation_id, began.seq, STUDY_ANNOTATOR):
            raise LogError(f"the ids of this '{kind}' are not made of its source id")
    elif position == 1:
        raise LogError(f"a log begins with '{LogStarted.kind}', not with '{kind}'")
