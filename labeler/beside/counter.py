"""Statistics are counted beside the page: what takes seconds, or at first a minute, must not keep votes waiting."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from labeler.chat.overseer import Count
from labeler.core.wishes import Wishes
from labeler.errors import LabelerError
from labeler.parents import end_with_parent
from labeler.store import Store

NICENESS = 10
IDLE_SECONDS = 600.0
# Counted anew no more often than this, and not more than a fifth of the time.
REST_SECONDS, REST_SHARE = 2.0, 5.0
DIED = "Counting was broken off (its process ended); it begins again by itself."


@dataclass(slots=True)
class _State:
    """What is known for some wishes. ``resting`` says until when (monotonic) nothing is counted."""

    count: Count = field(default_factory=Count)
    resting: float = 0.0


class CounterBeside:
    """Counts what it is asked for in a process that begins with the first question and ends when nobody asks.

    Args:
        url: where the log is; the process opens it by itself.
        position: how far the log goes by now.
    """

    def __init__(self, url: str, position: Callable[[], int], *, consent_needed: bool) -> None:
        self._task = (url, consent_needed)
        self._position = position
        self._states: dict[Wishes, _State] = {}
        self._asked: queue.Queue[Wishes | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: SpawnProcess | None = None
        self._ended = False

    def __call__(self, wishes: Wishes) -> Count:
        """The last count, at once; a newer one is begun if the log has grown."""
        upto = self._position()
        with self._lock:
            state = self._states.setdefault(wishes, _State())
            count = state.count
            if count.running or self._ended or count.position >= upto or time.monotonic() < state.resting:
                return count
            state.count = replace(count, running=True, done=0, of=0)
            self._asked.put(wishes)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="labeler-counter-watch", daemon=True)
                self._thread.start()
            return state.count

    def end(self) -> None:
        """End the process, whatever it is at: it can be broken off at any time."""
        with self._lock:
            self._ended = True
            thread, process = self._thread, self._process
        if process is not None:
            process.kill()
        if thread is not None:
            self._asked.put(None)
            thread.join()

    # ── the thread: one question after the other ──

    def _work(self) -> None:
        pipe: Connection | None = None
        while True:
            try:
                wishes = self._asked.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                self._let_go(pipe)
                pipe = None
                continue
            if wishes is None or self._ended:
                return self._let_go(pipe)
            try:
                pipe = pipe or self._begin()
            except OSError as error:  # no memory, or no more processes
                self._settle(wishes, time.monotonic(), trouble=f"Counting cannot begin ({error.strerror}).")
                continue
            if not self._answered(wishes, pipe):
                self._let_go(pipe)
                pipe = None

    def _answered(self, wishes: Wishes, pipe: Connection) -> bool:
        """Put one question. False if the process died of it."""
        began = time.monotonic()
        try:
            pipe.send(wishes)
            while not self._heard(wishes, pipe.recv(), began):
                pass
        except (EOFError, OSError):
            self._settle(wishes, began, trouble=DIED)
            return False
        return True

    def _begin(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # not forked: see pusher.py
        ours, theirs = context.Pipe()
        process = context.Process(target=_count, args=(*self._task, theirs), daemon=True)
        process.start()
        theirs.close()
        with self._lock:
            self._process = process
            if self._ended:
                process.kill()
        return ours

    def _let_go(self, pipe: Connection | None) -> None:
        """End the process: it sees that nobody asks any more."""
        if pipe is not None:
            pipe.close()
        if self._process is not None:
            self._process.join(1.0)
            self._process.kill()
            self._process.join()

    def _heard(self, wishes: Wishes, message: tuple[Any, ...], began: float) -> bool:
        """Take in what the process says. True once it has answered."""
        match message:
            case ("done", int(done), int(of)):
                with self._lock:
                    state = self._states[wishes]
                    state.count = replace(state.count, done=done, of=of)
                return False
            case ("trouble", str(line)):
                self._settle(wishes, began, trouble=line)
            case (int(position), dict(document)):
                self._settle(wishes, began, position=position, document=document)
        return True

    def _settle(self, wishes: Wishes, began: float, **known: Any) -> None:
        now = time.monotonic()
        with self._lock:
            state = self._states[wishes]
            state.count = replace(state.count, running=False, **({"trouble": ""} | known))
            state.resting = now + max(REST_SECONDS, REST_SHARE * (now - began))


def _count(url: str, consent_needed: bool, pipe: Connection) -> None:
    """What the process does: answers until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which ends us
    end_with_parent()
    os.nice(NICENESS)
    # Hundreds of megabytes that the page itself can do without.
    from labeler.insights.report import report  # noqa: PLC0415
    from labeler.store.summaries import summary  # noqa: PLC0415

    def tell(done: int, of: int) -> None:
        pipe.send(("done", done, of))

    while True:
        try:
            wishes = pipe.recv()
        except EOFError:
            return
        try:
            with Store.open(url) as store:
                found = summary(store, consent_needed=consent_needed, tell=tell)
            pipe.send((found.position, report(found.sums, wishes)))
        except LabelerError as error:
            pipe.send(("trouble", str(error)))
