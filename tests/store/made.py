"""Events made by hand: the store does not ask whether they make a conversation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from labeler.core.events import ConversationStarted, Event, MessageSent, NewEvent, Payload, VoteCast
from labeler.store import Store

AT = "2026-11-22T10:00:00.000000Z"
LATER = "2026-11-23T11:11:11.000000Z"


def made(event_id: str, stream: str = "c1", seq: int = 1, **other: Any) -> NewEvent:
    """One event; ``other`` takes ``at``, ``annotator`` and ``payload``."""
    payload: Payload = other.get("payload") or MessageSent(message_id=event_id, parent_id=None, content="Hello")
    return NewEvent(
        event_id=event_id,
        conversation_id=stream,
        seq=seq,
        at=other.get("at", AT),
        annotator_id=other.get("annotator", "ann"),
        payload=payload,
    )


def votes(stream: str, count: int, annotator: str = "ann") -> list[NewEvent]:
    """A conversation of so many events: its beginning, then votes on one answer."""
    started = ConversationStarted(study="made", mode="chat", model="none")
    payloads = [started, *(VoteCast(message_id=f"{stream}.a1", vote=1) for _ in range(count - 1))]
    return [
        made(f"{stream}-{seq}", stream, seq, payload=payload, annotator=annotator)
        for seq, payload in enumerate(payloads, 1)
    ]


def facts(events: Sequence[NewEvent]) -> list[tuple[Any, ...]]:
    """What events say, wherever they stand in the log."""
    return [
        (event.event_id, event.conversation_id, event.seq, event.at, event.annotator_id, event.payload)
        for event in events
    ]


@contextmanager
def held(store: Store) -> Iterator[Connection]:
    """Nobody can append until the block is left."""
    with store.database.writing() as connection:
        store.database.halt_appends(connection)
        yield connection


def numbered(store: Store, events: Sequence[Event]) -> list[Event]:
    """The same events with the positions that they have by now: they may have had none when they were stored."""
    positions = {event.event_id: event.position for event in store.scan()}
    return [replace(event, position=positions[event.event_id]) for event in events]


def ids(events: Sequence[NewEvent]) -> list[str]:
    return [event.event_id for event in events]


def log_of(store: Store) -> list[Event]:
    """Everything but the log's own first event."""
    return list(store.scan(after=1))
