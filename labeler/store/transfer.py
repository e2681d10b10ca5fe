"""A log as JSON Lines: every event one line, in the order of positions, bytes for bytes the same after a round trip.

A dump is read into an empty log (one that holds nothing but its own beginning) as it is: positions, and with the first
line the source id, are kept. Elsewhere what is new is appended at new positions, and what was stored before is passed
over; the first line of a log from another source then stands among the events, and says from where they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.exc import IntegrityError

from labeler.core.bodies import canonical_json, parse
from labeler.core.events import Erased
from labeler.errors import LogError
from labeler.store import queries
from labeler.store.beginning import check_beginning
from labeler.store.index import DERIVED
from labeler.store.positions import insert_rows, number_within
from labeler.store.rows import COLUMNS, Draft, checked_at
from labeler.store.schema import events
from labeler.store.store import Store

CHUNK_LINES = 1000
LARGEST_SEQ = 2**63 - 1

Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of a dump: events that were added, and events that had been stored before."""

    source_id: str
    added: int
    known: int


class _Line(BaseModel):
    """The form of a line, before its body is looked at."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    position: int
    event_id: Text
    conversation_id: Text
    seq: Annotated[int, Field(ge=1, le=LARGEST_SEQ)]
    kind: Text
    at: Annotated[str, AfterValidator(checked_at)]
    annotator_id: Text
    body: dict[str, Any]


class _Numbered(NamedTuple):
    number: int
    row: Draft


def dump(store: Store, out: BinaryIO) -> int:
    """Write the log as it is now; returns how many lines that made."""
    lines = 0
    for row in store.scan_rows():
        out.write(line_of(row))
        lines += 1
    return lines


def line_of(row: Sequence[Any]) -> bytes:
    """A row of ``COLUMNS`` as a line. The body is taken as it is stored.

    Raises:
        LogError: bytes stand where text should; SQLite stores what it is given, whatever the column's type.
    """
    *columns, body = row
    try:
        head = orjson.dumps(dict(zip(COLUMNS, columns, strict=False)))
        return b'%s,"body":%s}\n' % (head[:-1], body.encode())
    except (TypeError, AttributeError) as error:
        raise LogError(f"event at position {row[0]}: bytes stand where text should; run labeler verify") from error


def load(store: Store, path: Path) -> LoadReport:
    """Read a dump into a log, in one transaction: all of it or nothing.

    Raises:
        LogError: the file cannot be read, or a line is not what it should be; the message has its number.
        StoreError: the database cannot be written.
    """
    try:
        with path.open("rb") as lines, store.database.writing() as connection:
            return load_lines(store, connection, path, lines)
    except OSError as error:
        raise LogError(f"{path}: cannot read it ({error.strerror})") from error


def load_lines(store: Store, connection: Connection, place: Path, lines: Iterable[bytes]) -> LoadReport:
    """As ``load``, within a writing transaction of the caller's; ``place`` says in errors where the lines come from."""
    store.database.halt_appends(connection)
    number_within(connection)
    return _Loading(connection, place).take(_parsed(place, lines))


# ── lines ──


def _parsed(path: Path, lines: Iterable[bytes]) -> Iterator[_Numbered]:
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            yield _Numbered(number, _row(number, line))
        except LogError as error:
            raise LogError(f"{path}, line {number}: {error}; nothing was loaded") from error
    if not number:
        raise LogError(f"{path}: this is empty; a log has at least its first event")


def _row(number: int, line: bytes) -> Draft:
    try:
        parsed = _Line.model_validate_json(line)
    except ValidationError as error:
        raise LogError(_problem(error)) from error
    if parsed.position != number:
        raise LogError(f"position {parsed.position} where {number} should be")
    payload = parse(parsed.kind, parsed.body)
    row = (
        parsed.event_id,
        parsed.conversation_id,
        parsed.seq,
        parsed.kind,
        parsed.at,
        parsed.annotator_id,
        _body(parsed.body),
    )
    check_beginning(number, row, payload)
    return row


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"key '{where}': {message}" if where else f"this is not an event in JSON ({message})"


def _body(body: dict[str, Any]) -> str:
    try:
        return canonical_json(body)
    except ValueError as error:
        raise LogError(f"its body has no canonical form ({error})") from error


# ── into the log ──

_first_two = select(events.c.position).limit(2)
_stored = select(events).where(events.c.event_id.in_(bindparam("event_ids", expanding=True)))


def _same(stored: Sequence[Any], line: Draft) -> bool:
    """Whether an event was stored just so; or is erased here since, and stays it, whatever an older dump says."""
    return tuple(stored) == line or (
        stored[3] == Erased.kind and (*stored[:3], *stored[4:6]) == (*line[:3], *line[4:6])
    )


class _Loading:
    """One load, inside its transaction."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._last = self._before = connection.scalars(queries.last_position).one()
        if connection.scalars(_first_two).all() == [1]:
            self._empty()

    def take(self, lines: Iterator[_Numbered]) -> LoadReport:
        known = 0
        source_id = ""
        while chunk := list(islice(lines, CHUNK_LINES)):
            source_id = source_id or chunk[0].row[1]
            fresh = self._fresh(chunk)
            known += len(chunk) - len(fresh)
            self._insert(fresh)
        return LoadReport(source_id=source_id, added=self._last - self._before, known=known)

    def _empty(self) -> None:
        """Nothing but its own beginning is in the log: the dump's takes its place."""
        for table in (events, *DERIVED):
            self._connection.execute(delete(table))
        self._last = self._before = 0

    def _fresh(self, chunk: Sequence[_Numbered]) -> list[_Numbered]:
        """The lines whose events are not stored yet; those that are must be stored just so."""
        if not self._before:
            return list(chunk)
        found = self._connection.execute(_stored, {"event_ids": [line.row[0] for line in chunk]})
        stored = {row.event_id: tuple(row) for row in found}
        for line in chunk:
            before = stored.get(line.row[0])
            if before is not None and ((before[0] or 0) > self._before or not _same(before[1:], line.row)):
                raise self._refused(line, f"event {line.row[0]} is stored with another content")
        return [line for line in chunk if line.row[0] not in stored]

    def _insert(self, fresh: Sequence[_Numbered]) -> None:
        try:
            with self._connection.begin_nested():
                insert_rows(self._connection, [line.row for line in fresh], self._last + 1)
        except IntegrityError:
            raise self._blamed(fresh) from None
        self._last += len(fresh)

    def _blamed(self, fresh: Sequence[_Numbered]) -> LogError:
        """Which line made a constraint fire: the first that does when they are stored one by one."""
        for position, line in enumerate(fresh, self._last + 1):
            try:
                with self._connection.begin_nested():
                    insert_rows(self._connection, [line.row], position)
            except IntegrityError:
                return self._refused(line, self._reason(line.row))
        return LogError(f"{self._path}: the table of conversations contradicts the log; run labeler verify")

    def _reason(self, row: Draft) -> str:
        event_id, stream_id, seq, *_ = row
        if self._connection.execute(queries.by_event_id, {"event_id": event_id}).first():
            return f"event {event_id} stands on an earlier line, too"
        last = self._connection.scalars(queries.last_seq, {"stream_id": stream_id}).one()
        return f"seq {seq} of {stream_id} where {last + 1} should be"

    def _refused(self, line: _Numbered, why: str) -> LogError:
        return LogError(f"{self._path}, line {line.number}: {why}; nothing was loaded")
