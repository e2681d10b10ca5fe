"""Taking back: what somebody gave is overwritten for good, and tombstones stand where it was.

The log stays append-only for all who read it: an erased event keeps its position, seq and id, so conversations keep
their places and shards, and one more event at the end announces the erasure to whoever derived something before.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from labeler.core.bodies import body_json
from labeler.core.events import Erased, Event, Payload, SpanReviewed
from labeler.core.references import dependents, texts_in
from labeler.errors import LogError, StoreError
from labeler.ids import event_id, text_sha256
from labeler.store import queries
from labeler.store.beginning import STUDY_ANNOTATOR
from labeler.store.positions import append_rows
from labeler.store.rows import checked_at, event_from
from labeler.store.schema import accounts, answering, conversations, events, touches
from labeler.store.spans import forget_spans
from labeler.store.store import Store

Subject = Literal["annotator", "conversation"]
CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased. ``events`` is 0 if nothing was left to erase; then no tombstone was added either.

    ``conversations`` are those that lost events, now or in an earlier erasure of the same subject.
    """

    subject: Subject
    id: str
    events: int
    conversations: tuple[str, ...]
    position: int


def erase(store: Store, subject: Subject, id: str, *, at: str, reason: str = "") -> Erasure:
    """Overwrite the events of a conversation, or all that an annotator gave, in one transaction.

    Of an annotator go the conversations that they began, whole, their own stream, their account, and what they did in
    conversations of others, with all that rests on it there (votes on an answer that they rewrote, say).

    Raises:
        LogError: nobody and nothing has this id.
        StoreError: the database cannot be written, or other programs keep the old pages from being overwritten; then
            everything is erased, and only the truncation of the write-ahead log has to be tried again.
    """
    with store.database.writing() as connection:
        store.database.halt_appends(connection)
        doomed, streams = _doomed(connection, subject, id)
        fresh = [event for event in doomed if not isinstance(event.payload, Erased)]
        if fresh:
            forget_spans(connection, {text_sha256(text) for event in fresh for text in texts_in(event.payload)})
            _overwrite(connection, fresh, reason)
            # What is being written there now is seen by no one any more.
            connection.execute(delete(answering).where(answering.c.conversation_id.in_(streams)))
            for stream_id in dict.fromkeys([*streams, id]):
                announcement = Erased(erased_kind=subject, reason=reason)
                _announce(connection, (subject, id), stream_id, announcement, checked_at(at))
    truncate(store)
    return Erasure(subject, id, len(fresh), tuple(streams), store.position())


def truncate(store: Store, seconds: float = CHECKPOINT_SECONDS) -> None:
    """Leave nothing behind of what was overwritten, in a write-ahead log or in a table.

    Raises:
        StoreError: a program has been reading for too long.
    """
    deadline = time.monotonic() + seconds
    while place := store.database.scrub():
        if time.monotonic() > deadline:
            raise StoreError(
                f"{place}: erased, but an older copy is still in here, since another program reads it all the time;"
                " stop it and run the same command again"
            )
        time.sleep(0.05)


# ── what goes ──

_touched = select(touches.c.conversation_id).where(touches.c.annotator_id == bindparam("id"))


def _doomed(connection: Connection, subject: Subject, id: str) -> tuple[list[Event], list[str]]:
    """The events that go, tombstones among them, and the conversations that they are in."""
    if subject == "conversation":
        there = select(conversations.c.conversation_id).where(conversations.c.conversation_id == id)
        if connection.scalar(there) is None:
            raise LogError(f"{id}: no conversation of this log has this id")
        return _stream(connection, id), [id]
    if id == STUDY_ANNOTATOR:
        raise LogError(f"{id}: this is the study itself, no annotator")
    # Who adopted a conversation is the person who began it: under either id it is their own.
    theirs = or_(conversations.c.annotator_id == id, events.c.annotator_id == id)
    touched = list(connection.scalars(_touched, {"id": id}))
    owned = select(conversations.c.conversation_id).join(events, queries.its_beginning)
    own = set(connection.scalars(owned.where(theirs, conversations.c.conversation_id.in_(_touched)), {"id": id}))
    doomed = [event for event in _stream(connection, id) if not _announces(event)]
    streams: list[str] = []
    for stream_id in touched:
        stream = _stream(connection, stream_id)
        gone = stream if stream_id in own else list(_given_by(id, stream))
        if gone:
            streams.append(stream_id)
            doomed += gone
    # The name that they signed in with is theirs as well.
    account = connection.execute(delete(accounts).where(accounts.c.annotator_id == id)).rowcount
    if not (doomed or account):
        raise LogError(f"{id}: no annotator of this log has this id")
    return doomed, streams


def _stream(connection: Connection, stream_id: str) -> list[Event]:
    return [event_from(row) for row in connection.execute(queries.stream, {"stream_id": stream_id})]


def _given_by(annotator_id: str, stream: Sequence[Event]) -> Iterator[Event]:
    """What an annotator did in somebody else's conversation, and what rests on it; reviews of its texts, too."""
    own = [event for event in stream if event.annotator_id == annotator_id]
    gone = [*own, *dependents(stream, own)]
    ids = {event.event_id for event in gone}
    digests = {text_sha256(text) for event in gone for text in texts_in(event.payload)}
    return (event for event in stream if event.event_id in ids or _reviews(event, digests))


def _reviews(event: Event, digests: Container[str]) -> bool:
    return isinstance(event.payload, SpanReviewed) and event.payload.text_sha256 in digests


def _announces(event: Event) -> bool:
    return isinstance(event.payload, Erased) and event.payload.erased_kind in ("annotator", "conversation")


# ── how it goes ──


def _overwrite(connection: Connection, doomed: Iterable[Event], reason: str) -> None:
    for event in doomed:
        tombstone = Erased(erased_kind=event.payload.kind, reason=reason)
        _rewrite(connection, event.event_id, tombstone)


def _rewrite(connection: Connection, event_id: str, payload: Payload) -> None:
    connection.execute(
        update(events).where(events.c.event_id == event_id).values(kind=payload.kind, body=body_json(payload))
    )


def _announce(connection: Connection, by: tuple[Subject, str], stream_id: str, announcement: Erased, at: str) -> None:
    """The last word in a stream that lost events: exports look there for what has changed, and whoever has the
    conversation open somewhere has to read it again before they can go on with it."""
    subject, id = by
    seq = connection.scalars(queries.last_seq, {"stream_id": stream_id}).one() + 1
    own = event_id(STUDY_ANNOTATOR, f"erase:{subject}:{stream_id}:{seq}", 0)
    annotator_id = id if subject == "annotator" else STUDY_ANNOTATOR
    row = (own, stream_id, seq, announcement.kind, at, annotator_id, body_json(announcement))
    append_rows(connection, [row])
