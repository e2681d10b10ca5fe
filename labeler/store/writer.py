"""The one thread that writes: gestures that wait together are committed together (group commit).

A commit costs one wait for the disk however much is in it, so whoever comes while one is under way shares the next. The
usual group is stored with one ``executemany``; when a constraint fires, nothing of the group is kept and its gestures
are stored again one by one, each under a savepoint, so that only those to blame are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence, Set
from concurrent.futures import Future, InvalidStateError
from copy import copy
from itertools import accumulate
from queue import SimpleQueue

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from labeler.core.bodies import body_json
from labeler.core.events import Event, NewEvent
from labeler.errors import EventConflict, SeqConflict, StoreError
from labeler.store.database import ContentionError, Database
from labeler.store.index import Touch
from labeler.store.positions import append_rows
from labeler.store.rows import Draft, drafts_of, event_from, placed
from labeler.store.schema import events

GROUP_GESTURES = 4096
TOUCHES_KNOWN = 100_000

# Events that are stored together or not at all, and the one who waits for them.
_Gesture = tuple[Sequence[NewEvent], Future[list[Event]]]

# How a gesture ended: stored at this and the following positions (None: they are not given yet), stored before as these
# events, or not stored.
_Outcome = int | None | list[Event] | StoreError


class Writer:
    """Stores gestures in the order in which they come, and outlives every failure to do so.

    Callbacks of the futures run on the writing thread: they may submit, must not wait for it, and had better be quick.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: SimpleQueue[_Gesture | None] = SimpleQueue()
        self._touched: set[Touch] = set()
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="labeler-writer", daemon=True)
        self._thread.start()

    def submit(self, new: Sequence[NewEvent]) -> Future[list[Event]]:
        """Have one gesture stored; the future tells how it ended, and is the only way in which this fails.

        Nothing else is done here: what the writer does for a whole group in one go costs a third of what it costs each
        of many threads.
        """
        answer: Future[list[Event]] = Future()
        with self._closing:
            if not self._closed:
                self._waiting.put((new, answer))
                return answer
        answer.set_exception(StoreError("the log is closed; nothing more is stored", self._database.name))
        return answer

    def close(self) -> None:
        """Store what still waits and answer it, then end."""
        with self._closing:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            waiting = self._next()
            closing = waiting[-1] is None
            group = [gesture for gesture in waiting if gesture is not None]
            for (new, answer), outcome in zip(group, self._outcomes([new for new, _ in group]), strict=True):
                _resolve(answer, new, outcome)

    def _next(self) -> list[_Gesture | None]:
        """All that wait now, and at least one. Nothing follows a ``None``."""
        gestures = [self._waiting.get()]
        while len(gestures) < GROUP_GESTURES and not self._waiting.empty():
            gestures.append(self._waiting.get())
        return gestures

    def _outcomes(self, group: Sequence[Sequence[NewEvent]]) -> Sequence[_Outcome]:
        drafted = [_drafted(new) for new in group]
        sound = [rows for rows in drafted if not isinstance(rows, StoreError)]
        stored = iter(self._attempt(sound))
        return [rows if isinstance(rows, StoreError) else next(stored) for rows in drafted]

    def _attempt(self, group: Sequence[Sequence[Draft]]) -> Sequence[_Outcome]:
        try:
            return self._commit(group)
        except StoreError as error:
            reason = error
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody waits for ever and the writer goes on
            reason = StoreError(f"could not store this: {error}", self._database.name)
        return [copy(reason) for _ in group]

    def _commit(self, group: Sequence[Sequence[Draft]]) -> Sequence[_Outcome]:
        if not group:
            return []
        try:
            with self._database.appending() as connection:
                outcomes, touched = _store(connection, group, self._touched)
        except (IntegrityError, ContentionError):
            return self._one_by_one(group)
        if len(self._touched) > TOUCHES_KNOWN:
            self._touched.clear()
        self._touched |= touched
        return outcomes

    def _one_by_one(self, group: Sequence[Sequence[Draft]]) -> Sequence[_Outcome]:
        try:
            with self._database.appending() as connection:
                return [_store_one(connection, rows) for rows in group]
        except ContentionError:
            return [self._alone(rows) for rows in group]

    def _alone(self, rows: Sequence[Draft]) -> _Outcome:
        """A gesture in a transaction of its own holds nothing that somebody could wait for while it waits for them."""
        try:
            with self._database.appending() as connection:
                return _store_one(connection, rows)
        except StoreError as error:
            return error


def _drafted(new: Sequence[NewEvent]) -> Sequence[Draft] | StoreError:
    try:
        return drafts_of(new)
    except StoreError as error:
        return error
    except Exception as error:  # noqa: BLE001 - what is no event at all fails alone, too
        return StoreError(f"this is not an event that can be stored: {error}")


def _resolve(answer: Future[list[Event]], new: Sequence[NewEvent], outcome: _Outcome) -> None:
    try:
        if isinstance(outcome, StoreError):
            answer.set_exception(outcome)
        elif outcome is None:
            answer.set_result([placed(event, 0) for event in new])
        elif isinstance(outcome, int):
            answer.set_result([placed(event, position) for position, event in enumerate(new, outcome)])
        else:
            answer.set_result(outcome)
    except InvalidStateError:
        pass  # whoever waited has given up; what is stored is stored, and known if it comes again


def _store(
    connection: Connection, group: Sequence[Sequence[Draft]], known: Set[Touch] = frozenset()
) -> tuple[Sequence[int | None], set[Touch]]:
    """The positions of the gestures' first events, and what is known when they are committed."""
    first, touched = append_rows(connection, [row for rows in group for row in rows], known)
    if first is None:
        return [None] * len(group), touched
    return list(accumulate((len(rows) for rows in group[:-1]), initial=first)), touched


def _store_one(connection: Connection, rows: Sequence[Draft]) -> _Outcome:
    try:
        with connection.begin_nested():
            (position,), _ = _store(connection, [rows])
            return position
    except IntegrityError:
        return _stored_before(connection, rows)


def _stored_before(connection: Connection, rows: Sequence[Draft]) -> list[Event] | StoreError:
    """Why a constraint fired: the gesture was delivered before, or it is in somebody's way."""
    ids = [row[0] for row in rows]
    found = connection.execute(select(events).where(events.c.event_id.in_(ids)))
    stored = {event.event_id: event for event in map(event_from, found)}
    if not stored and len(set(ids)) == len(ids):
        return SeqConflict("the conversation has moved on since it was read; read it again and decide anew")
    if stored.keys() == set(ids) and all(map(_same, rows, (stored[each] for each in ids))):
        return [stored[each] for each in ids]
    return EventConflict(f"event {ids[0]} is stored with another content; make a new nonce for a new gesture")


def _same(row: Draft, event: Event) -> bool:
    """Whether both say the same thing: they may have been said at another time and place in the conversation."""
    _, conversation_id, _, kind, _, annotator_id, body = row
    stored = (event.conversation_id, event.payload.kind, event.annotator_id, body_json(event.payload))
    return stored == (conversation_id, kind, annotator_id, body)
