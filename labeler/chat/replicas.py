"""Several processes serve one log: which of them writes which answers, and what becomes of those of one that died.

Every replica looks after itself and the others once a second. It says that it lives, and how far its answers are, so
that others can show them; it hears whether somebody elsewhere wishes one to stop; and what a replica was writing whose
word has not changed for long enough, it ends as failed, with the text that was last told.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from labeler.chat.replies import Replies
from labeler.errors import StoreError
from labeler.ids import new_id
from labeler.store import Store
from labeler.store.answering import (
    Answering,
    Replica,
    Texts,
    answering_by,
    answering_in,
    answering_of,
    beat,
    inherit,
    leave,
    let_go,
    replicas_seen,
    take,
    wish_stop,
)
from labeler.whereabouts import has_ended, whereabouts

BEAT_SECONDS = 1.0
SILENT_SECONDS = 10.0
# A look that comes later than this (the database was away, this machine slept) tells no more than one that is in time.
LONGEST_LOOK_SECONDS = 2.0

Lost = Callable[[str, Texts], None]


@dataclass(slots=True)
class Silence:
    """For how long each replica has said nothing new, as far as somebody was looking.

    Args:
        patience: seconds after which a silent one is taken for dead.
    """

    patience: float = SILENT_SECONDS
    _heard: dict[str, tuple[int, float]] = field(default_factory=dict)
    _looked: float | None = None

    def dead(self, seen: Iterable[Replica], now: float) -> list[Replica]:
        """Those that are silent for too long, of what is seen now (seconds that only grow)."""
        waited = 0.0 if self._looked is None else min(now - self._looked, LONGEST_LOOK_SECONDS)
        self._looked = now
        heard: dict[str, tuple[int, float]] = {}
        for replica in seen:
            number, silent = self._heard.get(replica.id, (-1, 0.0))
            heard[replica.id] = (replica.beat, silent + waited if number == replica.beat else 0.0)
        self._heard = heard
        return [replica for replica in seen if heard[replica.id][1] >= self.patience]


class Replicas:
    """This process among those that serve the log. Safe to call from any thread.

    Args:
        replies: what this process writes.
        lost: is told of a conversation whose answers nobody writes any more, with their texts by message.
    """

    def __init__(self, store: Store, replies: Replies, lost: Lost) -> None:
        self.id = new_id()
        self._process = whereabouts()
        self._beats = itertools.count(1)
        self._store = store
        self._replies = replies
        self._lost = lost
        self._silence = Silence()
        self._told: dict[str, Texts] = {}
        self._orphans: dict[str, Answering] = {}
        self._held: set[str] = set()
        self._watching = False
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def _me(self) -> Replica:
        return Replica(self.id, next(self._beats), self._process)

    # ── who writes ──

    def take(self, conversation_id: str) -> bool:
        """Be the one who writes answers there; false if another replica does. Raises StoreError."""
        with self._lock:
            taken = take(self._store, self._me(), conversation_id)
            if taken:
                self._held.add(conversation_id)
                self._attend()
        return taken

    def let_go(self, conversation_id: str) -> None:
        """Write answers there no longer. What the store refuses is done at a later beat."""
        with suppress(StoreError):
            let_go(self._store, self.id, [conversation_id])
            with self._lock:
                self._held.discard(conversation_id)

    def elsewhere(self, conversation_id: str) -> Answering | None:
        """What another replica writes there."""
        found = answering_in(self._store, conversation_id)
        return None if found is None or found.replica == self.id else found

    def answered(self, annotator_id: str) -> list[str]:
        """Which of an annotator's conversations are answered now, by whatever replica."""
        return answering_of(self._store, annotator_id)

    def wish_stop(self, conversation_id: str) -> None:
        """Have the replica that writes there stop."""
        wish_stop(self._store, conversation_id)

    # ── once a second ──

    def watch(self) -> None:
        """Look after the others, too, from now on until ``close``. Raises StoreError."""
        self._look_around()
        with self._lock:
            self._watching = True
            self._attend()

    def close(self) -> None:
        """Say that this replica ends. Nothing is written any more."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(StoreError):  # others will see that it is silent
            leave(self._store, self.id)

    def look_after(self) -> None:
        """One look at everything. Raises StoreError."""
        self._say_so()
        self._look_around()

    def _attend(self) -> None:
        if self._thread is None and not self._ending.is_set():
            self._thread = threading.Thread(target=self._run, name="labeler-replica", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(BEAT_SECONDS):
            with suppress(StoreError):  # the database is away: nobody else hears anything either
                self.look_after()
            with self._lock:
                if not (self._watching or self._held):
                    self._thread = None
                    return

    def _say_so(self) -> None:
        """Tell how far the answers are; hear who wishes one to stop, and which are no longer this replica's."""
        running = self._replies.conversations()
        if running or self._others():  # whoever finds others silent must have been able to write as well
            texts: dict[str, Texts] = {
                one: {id: reply.text() for id, reply in self._replies.of(one).items()} for one in running
            }
            beat(self._store, self._me(), {one: told for one, told in texts.items() if self._told.get(one) != told})
            self._told = texts
        mine = {one.conversation_id: one for one in answering_by(self._store, self.id)}
        for conversation_id in running:
            if conversation_id not in mine or mine[conversation_id].stop:
                self._replies.stop(conversation_id)
        self._tidy(mine)

    def _tidy(self, mine: Mapping[str, Answering]) -> None:
        """Let go of what could not be let go of in its time."""
        with self._lock:  # so that nobody takes in this moment what is let go of
            idle = [one for one in mine if one not in self._orphans and not self._replies.busy(one)]
            if idle:
                let_go(self._store, self.id, idle)
            self._held = {one for one in self._held if self._replies.busy(one)}

    def _look_around(self) -> None:
        """Take over what dead replicas were at."""
        others = self._others()
        gone = [replica for replica in others if has_ended(replica.process)]
        for replica in {*self._silence.dead(others, time.monotonic()), *gone}:
            inherited = inherit(self._store, self._me(), replica)
            self._orphans |= {one.conversation_id: one for one in inherited}
        for conversation_id, orphan in list(self._orphans.items()):
            self._lost(conversation_id, orphan.texts)
            let_go(self._store, self.id, [conversation_id])
            del self._orphans[conversation_id]

    def _others(self) -> list[Replica]:
        return [replica for replica in replicas_seen(self._store) if replica.id != self.id]
