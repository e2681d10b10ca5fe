"""The one thread that writes: gestures that wait together are committed together (group commit).

A commit costs one wait for the disk however much is in it, so whoever comes while one is under way shares the next. The
usual group is stored with one ``executemany``; when a constraint fires, nothing of the group is kept and its gestures
are stored again one by one, each under a savepoint, so that only those to blame are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence, Set
from concurrent.futures import Future, InvalidStateError
from itertools import accumulate
from queue import SimpleQueue
from typing import NamedTuple

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from labeler.core.events import Event, NewEvent, body_json
from labeler.errors import EventConflict, SeqConflict, StoreError
from labeler.store import queries
from labeler.store.database import Database
from labeler.store.index import Touch, index
from labeler.store.rows import Draft, drafts_of, event_from, placed
from labeler.store.schema import events

GROUP_GESTURES = 4096
TOUCHES_KNOWN = 100_000

# Compiled once, so that rows go to the driver as they are: what a group costs besides its commit is mostly this.
_insert = str(insert(events).compile(dialect=sqlite.dialect()))
_last_position = str(queries.last_position.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


class _Gesture(NamedTuple):
    """Events that are stored together or not at all, and the one who waits for them."""

    new: Sequence[NewEvent]
    rows: Sequence[Draft]
    outcome: Future[list[Event]]


# How a gesture ended: stored at this and the following positions, stored before as these events, or not stored.
_Outcome = int | list[Event] | StoreError


class Writer:
    """Stores gestures in the order in which they come, and outlives every failure to do so.

    Whoever waits is answered by a second thread, in the same order: making answers and running callbacks takes none of
    the time in which the next group is written. A callback may submit; one that waits for what it submitted waits for
    ever, since nobody else would answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: SimpleQueue[_Gesture | None] = SimpleQueue()
        self._answers: SimpleQueue[Sequence[tuple[_Gesture, _Outcome]] | None] = SimpleQueue()
        self._touched: set[Touch] = set()
        self._closed = False
        self._closing = threading.Lock()
        self._threads = [
            threading.Thread(target=self._write, name="labeler-writer", daemon=True),
            threading.Thread(target=self._answer, name="labeler-answers", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, new: Sequence[NewEvent]) -> Future[list[Event]]:
        """Have one gesture stored; the future tells how it ended, and is the only way in which this fails."""
        outcome: Future[list[Event]] = Future()
        try:
            gesture = _Gesture(new, drafts_of(new), outcome)
        except StoreError as error:
            outcome.set_exception(error)
            return outcome
        with self._closing:
            closed = self._closed
            if not closed:
                self._waiting.put(gesture)
        if closed:
            outcome.set_exception(StoreError(f"{self._database.path}: the log is closed; nothing more is stored"))
        return outcome

    def close(self) -> None:
        """Store what still waits and answer it, then end."""
        with self._closing:
            self._closed = True
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        closing = False
        while not closing:
            gestures = self._next()
            closing = gestures[-1] is None
            group = [each for each in gestures if each is not None]
            if group:
                self._answers.put(list(zip(group, self._outcomes(group), strict=True)))
        self._answers.put(None)

    def _next(self) -> list[_Gesture | None]:
        """All that wait now, and at least one. Nothing follows a ``None``."""
        gestures = [self._waiting.get()]
        while len(gestures) < GROUP_GESTURES and not self._waiting.empty():
            gestures.append(self._waiting.get())
        return gestures

    def _outcomes(self, group: Sequence[_Gesture]) -> Sequence[_Outcome]:
        try:
            return self._commit(group)
        except StoreError as error:
            return [StoreError(str(error)) for _ in group]
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody waits for ever and the writer goes on
            return [StoreError(f"{self._database.path}: could not store this: {error}") for _ in group]

    def _commit(self, group: Sequence[_Gesture]) -> Sequence[_Outcome]:
        try:
            with self._database.writing() as connection:
                outcomes, touched = _store(connection, group, self._touched)
        except IntegrityError:
            with self._database.writing() as connection:
                return [_store_one(connection, gesture) for gesture in group]
        if len(self._touched) > TOUCHES_KNOWN:
            self._touched.clear()
        self._touched |= touched
        return outcomes

    def _answer(self) -> None:
        while (answers := self._answers.get()) is not None:
            for gesture, outcome in answers:
                _resolve(gesture, outcome)


def _resolve(gesture: _Gesture, outcome: _Outcome) -> None:
    try:
        if isinstance(outcome, StoreError):
            gesture.outcome.set_exception(outcome)
        elif isinstance(outcome, int):
            gesture.outcome.set_result([placed(event, position) for position, event in enumerate(gesture.new, outcome)])
        else:
            gesture.outcome.set_result(outcome)
    except InvalidStateError:
        pass  # whoever waited has given up; what is stored is stored, and known if it comes again


def insert_rows(
    connection: Connection, rows: Sequence[Draft], first: int, known: Set[Touch] = frozenset()
) -> set[Touch]:
    """Put rows at positions ``first``, ``first + 1``, ... of the log and its index, which says what ``known`` is.

    Raises:
        IntegrityError: an event id or seq is taken, or a seq does not follow the one before.
    """
    if not rows:
        return set()
    connection.exec_driver_sql(_insert, [(position, *row) for position, row in enumerate(rows, first)])
    return index(connection, rows, first, known)


def _store(
    connection: Connection, group: Sequence[_Gesture], known: Set[Touch] = frozenset()
) -> tuple[list[int], set[Touch]]:
    """The positions of the gestures' first events, and what is known when they are committed."""
    first = connection.exec_driver_sql(_last_position).scalar_one() + 1
    touched = insert_rows(connection, [row for gesture in group for row in gesture.rows], first, known)
    return list(accumulate((len(gesture.rows) for gesture in group[:-1]), initial=first)), touched


def _store_one(connection: Connection, gesture: _Gesture) -> _Outcome:
    try:
        with connection.begin_nested():
            (position,), _ = _store(connection, [gesture])
            return position
    except IntegrityError:
        return _stored_before(connection, gesture)


def _stored_before(connection: Connection, gesture: _Gesture) -> list[Event] | StoreError:
    """Why a constraint fired: the gesture was delivered before, or it is in somebody's way."""
    ids = [row[0] for row in gesture.rows]
    found = connection.execute(select(events).where(events.c.event_id.in_(ids)))
    stored = {event.event_id: event for event in map(event_from, found)}
    if not stored and len(set(ids)) == len(ids):
        return SeqConflict("the conversation has moved on since it was read; read it again and decide anew")
    if stored.keys() == set(ids) and all(map(_same, gesture.rows, (stored[each] for each in ids))):
        return [stored[each] for each in ids]
    return EventConflict(f"event {ids[0]} is stored with another content; make a new nonce for a new gesture")


def _same(row: Draft, event: Event) -> bool:
    """Whether both say the same thing: they may have been said at another time and place in the conversation."""
    _, conversation_id, _, kind, _, annotator_id, body = row
    stored = (event.conversation_id, event.payload.kind, event.annotator_id, body_json(event.payload))
    return stored == (conversation_id, kind, annotator_id, body)
