"""Pushing again and again: what is new in the log is published every so often, by one pusher a repo.

    is it due? ─► is the repo free? ─► hold it ─► export ─► push ─► note it and let go ─► sleep until the next is due

Holding a repo spares work and keeps commits apart. It does not keep the repo right: a commit names the head that it was
made for, so two pushers that know nothing of each other publish every row once, too.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labeler.durations import ALWAYS, later, seconds_between
from labeler.errors import HubError, LabelerError
from labeler.export.crews import Crew
from labeler.export.exporter import ExportResult, export
from labeler.hub import DatasetRepo, Patience, PushResult, Step, push
from labeler.store import Store, utc_now
from labeler.store.pushes import Landed, PushState, claim, keep, note_failed, note_pushed
from labeler.study import Study

# Longer than a pusher that lives is ever silent, shorter than anybody wants to wait for one that died.
HOLD_SECONDS = 120.0
# Intervals grow by up to so much, at random: many pushers that began together do not stay together.
JITTER = 0.1
# Between two tries of one turn. A longer wait that the Hub asks for ends the turn, and the next one begins after it.
PATIENCE = Patience(tries=4, longest=30.0, yields=True)

Report = Callable[[str, int, int], None]
"""Told what is being done now, and how much of how much is done."""


def _untold(what: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Outlet:
    """What is pushed where: the package of a study, under a pseudonym key, to a repo."""

    study: Study
    package: Path
    key: bytes
    repo: DatasetRepo
    crew: Crew


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of a pusher came to: a push, or the error that it failed with. ``next_at``: not after the last."""

    at: str
    repo: str
    next_at: str | None
    pushed: PushResult | None = None
    position: int | None = None
    error: str | None = None

    @property
    def line(self) -> str:
        """For people."""
        if self.pushed is None:
            said = f"{self.error}"
        else:
            said = self.pushed.note + (f", commit {self.pushed.commit}" if self.pushed.commit else "")
        return said + (f"; next at {self.next_at[:19]}Z" if self.next_at else "")


def new_holder() -> str:
    """A name for a pusher that no other one has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def push_once(
    store: Store, outlet: Outlet, *, dry_run: bool = False, report: Report = _untold
) -> tuple[ExportResult, PushResult]:
    """Export, push, and note in the log's database what became of it.

    Raises:
        LabelerError: the export or the push failed; that is noted, too.
    """
    holder = new_holder()
    try:
        exported, pushed = _published(store, outlet, report, dry_run=dry_run)
    except LabelerError as error:
        if not dry_run:
            note_failed(store, outlet.repo.address, holder, error=str(error), next_at=None)
        raise
    if not dry_run:
        landed = Landed(utc_now(), exported.position, pushed.commit)
        note_pushed(store, outlet.repo.address, holder, landed, next_at=None)
    return exported, pushed


def _published(
    store: Store, outlet: Outlet, report: Report, *, dry_run: bool = False, patience: Patience | None = None
) -> tuple[ExportResult, PushResult]:
    def derived(done: int, total: int) -> None:
        report("deriving shards", done, total)

    def stepped(step: Step) -> None:
        report(step.text, step.done, step.total)

    exported = export(store, outlet.study, outlet.package, key=outlet.key, crew=outlet.crew, report=derived)
    return exported, push(exported.package, outlet.repo, dry_run=dry_run, report=stepped, patience=patience)


@dataclass(frozen=True, slots=True)
class Tempo:
    """How often a pusher takes its turn, in seconds, and how often one turn tries.

    A ``strict`` pusher ends if its first turn fails in a way that time does not mend.
    """

    every: float
    strict: bool = True
    patience: Patience = PATIENCE


class Pusher:
    """Publishes a log again and again, with at most one commit in an interval, whoever else pushes it.

    Args:
        tell: told of turns that published something or failed, and of the first one.
    """

    def __init__(
        self,
        store: Store,
        outlet: Outlet,
        tempo: Tempo,
        *,
        tell: Callable[[Turn], None],
        clock: Callable[[], str] = utc_now,
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._tempo = tempo
        self._every = tempo.every
        self._tell = tell
        self._clock = clock
        self._holder = new_holder()
        self._told = False
        self._published: int | None = None

    def run(self, stop: threading.Event) -> None:
        """Push until ``stop`` is set, and then what is new once more.

        Raises:
            LabelerError: the first turn of a strict pusher failed for good. Other failures are told of and noted.
        """
        wait = self.turn(first=self._tempo.strict)
        while not stop.wait(wait):
            wait = self.turn()
        self.turn(last=True)

    def turn(self, *, first: bool = False, last: bool = False) -> float:
        """Push if something is new, it is time, and nobody else does. Returns the seconds to wait for the next turn.

        The ``last`` turn does not wait for its time.
        """
        if self._store.position() == self._published:
            return self._spread()
        now = self._clock()
        late = ALWAYS if last else later(now, -self._every)
        until = later(now, HOLD_SECONDS)
        state = claim(
            self._store, self._outlet.repo.address, self._holder, now=now, until=until, unless_committed_after=late
        )
        if state.holder != self._holder:
            return self._wait_for(state, now)
        return self._push(first, last)

    def _push(self, first: bool, last: bool) -> float:
        alive = _Alive(self._store, self._outlet.repo.address, self._holder, self._clock)
        try:
            exported, pushed = _published(self._store, self._outlet, alive, patience=self._tempo.patience)
        except LabelerError as error:
            return self._failed(error, first, last)
        self._published = exported.position
        wait, now = self._spread(), self._clock()
        next_at = None if last else later(now, wait)
        landed = Landed(now, exported.position, pushed.commit)
        note_pushed(self._store, self._outlet.repo.address, self._holder, landed, next_at=next_at)
        if pushed.commit or not self._told:
            self._tell(Turn(now, self._outlet.repo.address, next_at, pushed, exported.position))
        self._told = True
        return wait

    def _failed(self, error: LabelerError, first: bool, last: bool) -> float:
        asked = error.retry_in if isinstance(error, HubError) else None
        wait, now = max(self._spread(), asked or 0.0), self._clock()
        over = last or (first and asked is None)
        next_at = None if over else later(now, wait)
        note_failed(self._store, self._outlet.repo.address, self._holder, error=str(error), next_at=next_at)
        if over and first:
            raise error
        self._tell(Turn(now, self._outlet.repo.address, next_at, error=str(error)))
        self._told = True
        return wait

    def _wait_for(self, state: PushState, now: str) -> float:
        """Until the repo may be had again; never longer than an interval, for then there may be something new."""
        if state.held_by_another(self._holder, now) and state.held_until:
            return min(max(seconds_between(now, state.held_until), 1.0), self._spread())
        made = state.committed_at or now
        return max(seconds_between(now, later(made, self._every)), 0.0) + self._every * JITTER * random.random()

    def _spread(self) -> float:
        return self._every * random.uniform(1.0, 1.0 + JITTER)


class _Alive:
    """A report that holds the repo for longer, now and then."""

    def __init__(self, store: Store, repo: str, holder: str, clock: Callable[[], str]) -> None:
        self._store = store
        self._repo = repo
        self._holder = holder
        self._clock = clock
        self._kept = clock()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = self._clock()
        if seconds_between(self._kept, now) >= HOLD_SECONDS / 4:
            keep(self._store, self._repo, self._holder, until=later(now, HOLD_SECONDS))
            self._kept = now
