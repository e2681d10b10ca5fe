"""The log of a study: events go in once and for good, and come out in one order for every reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import Select

from labeler.core.events import Event, MessageSent, NewEvent
from labeler.errors import StoreError
from labeler.ids import new_id
from labeler.store import queries
from labeler.store.beginning import log_started
from labeler.store.database import Database
from labeler.store.migrations import migrate
from labeler.store.opening import database_at
from labeler.store.positions import insert_rows, number, number_within
from labeler.store.rows import Row, drafts_of, event_from, event_of
from labeler.store.schema import events
from labeler.store.writer import Writer
from labeler.watching import SILENT, Watch, watched

BUSY_SECONDS = 10.0
WINDOW_GESTURES = 2000
ROWS_AT_ONCE = 2000
IDS_AT_ONCE = 500


_CONVERSATION_ID = itemgetter(-1)
_new_row = tuple.__new__


class Lineage(NamedTuple):
    """The event at a position, and how many tombstones stand at it and below."""

    last: str | None
    erased: int


def utc_now() -> str:
    """The time as events keep it: UTC, fixed width, so that it sorts as text."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Store:
    """An open log. Safe to use from any number of threads, and from several processes.

    Every method raises StoreError, one line, when the database cannot be used. ``database`` is for this package alone;
    ``watch`` hears of every gesture that is submitted.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._writer = Writer(database)
        self.watch: Watch = SILENT

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], str] = utc_now, busy_seconds: float = BUSY_SECONDS) -> Store:
        """Open the log at a database URL (``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/NAME``); made, or
        brought up to date, if need be.

        ``busy_seconds`` is how long an append waits for other programs that write to the same place.
        """
        with ExitStack() as undone:
            database = database_at(url, busy_seconds=busy_seconds)
            undone.callback(database.close)
            database.prepare()
            migrate(database, clock())
            _begin_log(database, clock())
            undone.pop_all()
        return cls(database)

    @staticmethod
    def begun(url: str) -> bool:
        """Whether there is a log at a database URL. Makes nothing.

        Raises:
            StoreError: the URL names no database, or the server cannot be reached.
        """
        database = database_at(url, busy_seconds=BUSY_SECONDS)
        with closing(database):
            return database.exists()

    def close(self) -> None:
        """Store what was submitted, then let go of the database. A second time does nothing."""
        self._writer.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── writing ──

    def submit(self, new: Sequence[NewEvent]) -> Future[list[Event]]:
        """Have the events of one gesture stored, all or none; the future resolves when they are on disk.

        A gesture that was stored before is not stored again: its stored events are the answer (they may have another
        ``at`` and ``seq``).

        Raises (through the future):
            SeqConflict: the seqs do not follow what is stored.
            EventConflict: an event id is stored with another content.
            StoreError: the disk is full, the database is locked, ...; nothing of the gesture is stored.
        """
        answer = self._writer.submit(new)
        return answer if self.watch is SILENT else watched(self.watch, new, answer)

    def append(self, new: Sequence[NewEvent]) -> list[Event]:
        """Submit, and wait for the commit."""
        return self.submit(new).result()

    def extend(self, gestures: Iterable[Sequence[NewEvent]]) -> None:
        """Append many gestures in big transactions; what was stored before is passed over.

        Raises as ``submit``, for the first gesture that is refused; others may be stored.
        """
        source = iter(gestures)
        waiting: list[Future[list[Event]]] = []
        while window := [self.submit(gesture) for gesture in islice(source, WINDOW_GESTURES)]:
            _wait_for(waiting)
            waiting = window
        _wait_for(waiting)

    # ── reading ──

    @property
    def url(self) -> str:
        """The database URL under which any process on this machine can open the log. It may hold a password."""
        return self.database.url

    @property
    def name(self) -> str:
        """Names the database to a person, without a password."""
        return self.database.name

    @property
    def erased(self) -> str:
        """What has become of texts that were erased, in the words of a receipt."""
        return self.database.erased

    @property
    def source_id(self) -> str:
        """Where the log comes from: drawn when it began, and kept by dump and load."""
        with self.database.reading() as connection:
            source_id: str | None = connection.scalars(queries.first_stream).one_or_none()
        if source_id is None:
            raise StoreError("the log has lost its beginning; restore a backup", self.database.name)
        return source_id

    def position(self) -> int:
        """The position of the last event that has one."""
        number(self.database)
        with self.database.reading() as connection:
            return int(connection.scalars(queries.last_position).one())

    def lineage(self, position: int) -> Lineage:
        """Tells this log up to a position from all others that began alike: a log restored from a backup that grew
        otherwise since, or one in which something was erased."""
        with self.database.reading() as connection:
            last = connection.scalars(queries.event_at, {"position": position}).one_or_none()
            erased = connection.scalars(queries.tombstones, {"after": 0, "upto": position}).one()
        return Lineage(last, erased)

    def announces_erasure(self, after: int, upto: int) -> bool:
        """Whether something was erased of which an event in ``after < position <= upto`` tells, so that
        ``dirty_ordinals`` knows what it was."""
        with self.database.reading() as connection:
            return bool(connection.scalars(queries.announcements, {"after": after, "upto": upto}).one())

    def load(self, stream_id: str) -> list[Event]:
        """A stream (a conversation, an annotator's, the study's) in the order of ``seq``; empty if it is not there."""
        with self.database.reading() as connection:
            return [event_from(row) for row in connection.execute(queries.stream, {"stream_id": stream_id})]

    def last_seq(self, stream_id: str) -> int:
        """The ``seq`` of a stream's last event; 0 if it is not there."""
        with self.database.reading() as connection:
            return int(connection.scalars(queries.last_seq, {"stream_id": stream_id}).one())

    def last_seqs(self, stream_ids: Sequence[str]) -> dict[str, int]:
        """The same of many streams; those that are not there are absent."""
        with self.database.reading() as connection:
            found = connection.execute(queries.last_seqs, {"stream_ids": list(stream_ids)})
            return {stream_id: seq for stream_id, seq in found}

    def find(self, event_id: str) -> Event | None:
        with self.database.reading() as connection:
            row = connection.execute(queries.by_event_id, {"event_id": event_id}).one_or_none()
        return None if row is None else event_from(row)

    def found(self, event_ids: Sequence[str]) -> dict[str, Event]:
        """Those of these events that are stored, by id."""
        with self.database.reading() as connection:
            pages = (event_ids[first : first + IDS_AT_ONCE] for first in range(0, len(event_ids), IDS_AT_ONCE))
            rows = [row for ids in pages for row in connection.execute(queries.by_event_ids, {"event_ids": list(ids)})]
        return {event.event_id: event for event in map(event_from, rows)}

    def scan(self, after: int = 0, upto: int | None = None) -> Iterator[Event]:
        """The events with ``after < position <= upto`` in the order of positions, in constant memory."""
        return map(event_from, self.scan_rows(after, upto))

    def scan_rows(self, after: int = 0, upto: int | None = None) -> Iterator[Sequence[Any]]:
        """As ``scan``, raw: rows of ``COLUMNS``."""
        return self._pages(queries.in_order, after, self.position() if upto is None else upto)

    def conversations_of(self, annotator_id: str, mode: str | None = None, limit: int | None = None) -> list[str]:
        """The conversations that an annotator began, of one mode or all, the one with the newest event first."""
        query = queries.begun_by if mode is None else queries.begun_by_in
        number(self.database)
        with self.database.reading() as connection:
            return list(connection.scalars(query.limit(limit), {"annotator_id": annotator_id, "mode": mode}))

    def openers(self, conversation_ids: Iterable[str]) -> dict[str, str]:
        """The text of the first user message of each conversation that has one."""
        with self.database.reading() as connection:
            found = connection.execute(queries.openers, {"conversation_ids": list(conversation_ids)})
            sent = {event.conversation_id: event.payload for event in map(event_from, found)}
        return {key: payload.content for key, payload in sent.items() if isinstance(payload, MessageSent)}

    def tally(self, annotator_id: str) -> dict[str, int]:
        """How many events of each kind an annotator caused."""
        with self.database.reading() as connection:
            return {kind: count for kind, count in connection.execute(queries.tally, {"annotator_id": annotator_id})}

    def of_kind(self, kind: str, after: int = 0, upto: int | None = None) -> Iterator[Event]:
        """As ``scan``, the events of one kind alone."""
        statement = queries.in_order.where(events.c.kind == kind)
        return map(event_from, self._pages(statement, after, self.position() if upto is None else upto))

    def given_by(self, prefix: str, after: int, upto: int, limit: int) -> list[Event]:
        """The first ``limit`` events in ``after < position <= upto`` of the annotators whose ids begin so."""
        statement = queries.given_in.where(events.c.annotator_id.startswith(prefix, autoescape=True)).limit(limit)
        with self.database.reading() as connection:
            return [event_from(row) for row in connection.execute(statement, {"after": after, "upto": upto})]

    def annotator_events(self, upto: int) -> Iterator[Event]:
        """The events about annotators (consent, exclusion, ...) at or below a position, in the order of positions."""
        return map(event_from, self._pages(queries.of_annotators, 0, upto))

    def conversation_count(self, upto: int) -> int:
        """How many conversations have their first event at or below a position."""
        with self.database.reading() as connection:
            return connection.scalars(queries.begun_upto, {"upto": upto}).one_or_none() or 0

    def shard_rows(self, first: int, last: int, upto: int) -> Iterator[tuple[str, list[Row]]]:
        """The conversations numbered ``first`` to ``last - 1``, each with its rows at or below a position by ``seq``.

        Numbers are dense, from 0, in the order of first events, and never change. Rows are raw: ``event_of`` reads one.
        """
        bounds = {"first": first, "last": last, "upto": upto}
        with self.database.reading() as connection, closing(connection.execute(queries.shard, bounds)) as found:
            # The driver's own rows: made into SQLAlchemy's first, they would cost a quarter more.
            rows = iter(found.cursor.fetchone, None)
            for conversation_id, members in groupby(rows, _CONVERSATION_ID):
                yield conversation_id, [_new_row(Row, member[:-1]) for member in members]

    event_of = staticmethod(event_of)

    def dirty_ordinals(self, after: int, upto: int) -> set[int]:
        """The numbers of the conversations that the events in ``after < position <= upto`` can have changed.

        Those with such an event, and after one about an annotator all that this annotator ever touched. The cost
        follows these events and what they touch, not the length of the log.
        """
        with self.database.reading() as connection:
            return set(connection.scalars(queries.dirty, {"after": after, "upto": upto}))

    def _pages(self, statement: Select[Any], after: int, upto: int) -> Iterator[Sequence[Any]]:
        """Page by page, each with a connection of its own: no reader stands in the way of a checkpoint for long."""
        while page := self._page(statement, after, upto):
            yield from page
            after = page[-1][0]

    def _page(self, statement: Select[Any], after: int, upto: int) -> Sequence[Sequence[Any]]:
        with self.database.reading() as connection:
            return connection.execute(statement, {"after": after, "upto": upto}).all()


def _begin_log(database: Database, now: str) -> None:
    with database.reading() as connection:
        if connection.scalars(queries.last_position).one():
            return
    started = [log_started(new_id(), now)]
    with database.writing() as connection:
        number_within(connection)
        if not connection.scalars(queries.last_position).one():  # else another process was first
            insert_rows(connection, drafts_of(started), 1)


def _wait_for(waiting: Iterable[Future[list[Event]]]) -> None:
    for outcome in waiting:
        outcome.result()
