"""The one thread that writes: gestures that wait together are committed together (group commit).

A commit costs one wait for the disk however much is in it, so whoever comes while one is under way shares the next. The
usual group is stored with one ``executemany``; when a constraint fires, nothing of the group is kept and its gestures
are stored again one by one, each under a savepoint, so that only those to blame are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import NamedTuple

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from labeler.core.events import Event, NewEvent, body_json
from labeler.errors import EventConflict, SeqConflict, StoreError
from labeler.store import queries
from labeler.store.database import Database
from labeler.store.index import index
from labeler.store.rows import Draft, drafts_of, event_from, placed
from labeler.store.schema import events

GROUP_GESTURES = 4096

# Compiled once, so that rows go to the driver as they are: what a group costs besides its commit is mostly this.
_insert = str(insert(events).compile(dialect=sqlite.dialect()))


class _Gesture(NamedTuple):
    """Events that are stored together or not at all, and the one who waits for them."""

    new: Sequence[NewEvent]
    rows: Sequence[Draft]
    outcome: Future[list[Event]]


class Writer:
    """Stores gestures in the order in which they come, and outlives every failure to do so.

    Callbacks of the futures run on the writing thread: they may submit, and must not wait for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: SimpleQueue[_Gesture | None] = SimpleQueue()
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="labeler-writer", daemon=True)
        self._thread.start()

    def submit(self, new: Sequence[NewEvent]) -> Future[list[Event]]:
        """Have one gesture stored; the future tells how it ended, and is the only way in which this fails."""
        try:
            gesture = _Gesture(new, drafts_of(new), Future())
        except StoreError as error:
            return _failed(error)
        with self._closing:
            if self._closed:
                return _failed(StoreError(f"{self._database.path}: the log is closed; nothing more is stored"))
            self._waiting.put(gesture)
        return gesture.outcome

    def close(self) -> None:
        """Store what still waits, then end."""
        with self._closing:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            gestures = self._next()
            closing = gestures[-1] is None
            # One that was cancelled while it waited is not stored; from here on it is too late to cancel.
            group = [each for each in gestures if each is not None and each.outcome.set_running_or_notify_cancel()]
            self._settle(group)

    def _next(self) -> list[_Gesture | None]:
        """All that wait now, and at least one. Nothing follows a ``None``."""
        gestures = [self._waiting.get()]
        while len(gestures) < GROUP_GESTURES and not self._waiting.empty():
            gestures.append(self._waiting.get())
        return gestures

    def _settle(self, group: Sequence[_Gesture]) -> None:
        try:
            outcomes = self._commit(group)
        except StoreError as error:
            outcomes = [StoreError(str(error)) for _ in group]
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody waits for ever and the writer goes on
            outcomes = [StoreError(f"{self._database.path}: could not store this: {error}") for _ in group]
        for gesture, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, StoreError):
                gesture.outcome.set_exception(outcome)
            else:
                gesture.outcome.set_result(outcome)

    def _commit(self, group: Sequence[_Gesture]) -> Sequence[list[Event] | StoreError]:
        try:
            with self._database.writing() as connection:
                return _store(connection, group)
        except IntegrityError:
            with self._database.writing() as connection:
                return [_store_one(connection, gesture) for gesture in group]


def insert_rows(connection: Connection, rows: Sequence[Draft], first: int) -> None:
    """Put rows at positions ``first``, ``first + 1``, ... of the log and its index. Raises IntegrityError."""
    if rows:
        connection.exec_driver_sql(_insert, [(position, *row) for position, row in enumerate(rows, first)])
        index(connection, rows, first)


def _store(connection: Connection, group: Sequence[_Gesture]) -> list[list[Event]]:
    position = connection.scalars(queries.last_position).one() + 1
    insert_rows(connection, [row for gesture in group for row in gesture.rows], position)
    stored = []
    for gesture in group:
        stored.append([placed(event, at) for at, event in enumerate(gesture.new, position)])
        position += len(gesture.new)
    return stored


def _store_one(connection: Connection, gesture: _Gesture) -> list[Event] | StoreError:
    try:
        with connection.begin_nested():
            return _store(connection, [gesture])[0]
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


def _failed(error: StoreError) -> Future[list[Event]]:
    outcome: Future[list[Event]] = Future()
    outcome.set_exception(error)
    return outcome
