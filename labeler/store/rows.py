"""Events as rows of the log: the forms in which they are written and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from labeler.core.bodies import body_json, decode
from labeler.core.events import Event, NewEvent, Payload
from labeler.errors import LogError, StoreError

COLUMNS = ("position", "event_id", "conversation_id", "seq", "kind", "at", "annotator_id", "body")

_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

# A row that has no position yet: COLUMNS without the first.
Draft = tuple[str, str, int, str, str, str, str]


class Row(NamedTuple):
    """An event of a known conversation, as it stands in the log; ``body`` is JSON text."""

    position: int
    event_id: str
    seq: int
    kind: str
    at: str
    annotator_id: str
    body: str


def checked_at(at: str) -> str:
    """A time as the log has it: in one form only, so that times sort as text and dump byte for byte.

    Raises:
        ValueError: another form, or a day or hour that no calendar has.
    """
    try:
        if _AT.fullmatch(at) is None:
            raise ValueError
        datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(f"{at!r} is no time of the form 2026-11-22T10:00:00.000000Z") from None
    return at


def drafts_of(new: Iterable[NewEvent]) -> list[Draft]:
    """The rows of new events.

    Raises:
        StoreError: a text or value that cannot be written as UTF-8 JSON, or a time in another form.
    """
    try:
        rows = [_draft(event) for event in new]
    except (TypeError, ValueError) as error:
        raise StoreError(f"an event cannot be stored: {_reason(error)}") from error
    return rows


def _draft(event: NewEvent) -> Draft:
    payload = event.payload
    body = body_json(payload)
    # The driver would find this out too, but for a whole group of other people's gestures at once.
    (body + event.conversation_id + event.annotator_id + event.event_id).encode()
    return (
        event.event_id,
        event.conversation_id,
        event.seq,
        payload.kind,
        checked_at(event.at),
        event.annotator_id,
        body,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "its text holds half a character (a lone surrogate)"
    return str(error)


def placed(event: NewEvent, position: int) -> Event:
    """The stored form of an event that was new."""
    return Event(
        event_id=event.event_id,
        conversation_id=event.conversation_id,
        seq=event.seq,
        at=event.at,
        annotator_id=event.annotator_id,
        payload=event.payload,
        position=position,
    )


def event_from(row: Iterable[Any]) -> Event:
    """Read a row whose columns are COLUMNS. An event that has no position yet (see positions.py) says 0.

    Raises:
        LogError: the body is not one that this version can read.
    """
    position, event_id, conversation_id, seq, kind, at, annotator_id, body = row
    return Event(
        event_id=event_id,
        conversation_id=conversation_id,
        seq=seq,
        at=at,
        annotator_id=annotator_id,
        payload=_payload(position, kind, body),
        position=position or 0,
    )


def event_of(conversation_id: str, row: Row) -> Event:
    """Read a row of a conversation. Raises LogError as ``event_from``."""
    return Event(
        event_id=row.event_id,
        conversation_id=conversation_id,
        seq=row.seq,
        at=row.at,
        annotator_id=row.annotator_id,
        payload=_payload(row.position, row.kind, row.body),
        position=row.position,
    )


def _payload(position: int, kind: str, body: str, parse: Callable[[str, Any], Payload] = decode) -> Payload:
    try:
        return parse(kind, orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise LogError(f"event at position {position}: its body is not JSON; run labeler verify") from error
    except LogError as error:
        raise LogError(f"event at position {position}: {error}") from error
