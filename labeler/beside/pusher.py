"""A pusher beside the page."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING

from labeler.errors import LabelerError
from labeler.journal import Journal, journaling
from labeler.parents import end_with_parent
from labeler.store import Store, utc_now
from labeler.study import Study
from labeler.terminal import say

if TYPE_CHECKING:
    from labeler.syncing import Turn

AGAIN_SECONDS = 60.0
# With what the page needs before, serve ends within ten seconds.
LAST_SECONDS = 7.0
NICENESS = 10


class PusherBeside:
    """Pushes a study as often as it says, from ``start`` to ``end``. One that dies is replaced after a while."""

    def __init__(self, study: Study, environ: Mapping[str, str]) -> None:
        self._study = study
        self._environ = dict(environ)
        self._ending = threading.Event()
        self._changing = threading.Lock()
        self._process: SpawnProcess | None = None
        self._told_at = 0.0
        self._watch = threading.Thread(target=self._keep_going, name="labeler-pusher-watch", daemon=True)

    def start(self) -> None:
        """Begin, if the study says how often to push."""
        if self._study.dataset.push_every is not None:
            self._watch.start()

    def end(self) -> None:
        """Tell it to push once more and end. Returns at once."""
        with self._changing:
            if self._ending.is_set():
                return
            self._ending.set()
            self._told_at = time.monotonic()
            if self._process is not None:
                self._process.terminate()

    def wait(self) -> None:
        """Give it some seconds to end, then end it: a push that is broken off has published everything or nothing."""
        if not self._watch.is_alive():
            return
        self._watch.join(max(self._told_at + LAST_SECONDS - time.monotonic(), 0.0))
        if self._watch.is_alive() and self._process is not None:
            self._process.kill()
            say("the last push was broken off; the next one publishes what it did not")
            self._watch.join()

    def _keep_going(self) -> None:
        while True:
            with self._changing:
                if self._ending.is_set():
                    return
                # Not forked: a copy of a process that runs threads may hold their locks for ever.
                self._process = multiprocessing.get_context("spawn").Process(
                    target=_push, args=(self._study, self._environ)
                )
                self._process.start()
            self._process.join()
            if self._ending.is_set():
                return
            say(f"the pusher ended with exit code {self._process.exitcode}; another begins in {AGAIN_SECONDS:.0f} s")
            self._ending.wait(AGAIN_SECONDS)


def _push(study: Study, environ: Mapping[str, str]) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page, which tells us
    end_with_parent()
    os.nice(NICENESS)
    journal = Journal(study.log, sys.stderr, utc_now)
    try:
        with journaling(journal, debug="LABELER_DEBUG" in environ):
            _keep_pushing(study, environ)
    finally:
        journal.close()


def _keep_pushing(study: Study, environ: Mapping[str, str]) -> None:
    # What exports and pushes need takes seconds and a hundred megabytes that the page itself can do without.
    from labeler.export.crews import in_process  # noqa: PLC0415
    from labeler.export.keys import pseudonym_key  # noqa: PLC0415
    from labeler.hub import repo_here  # noqa: PLC0415
    from labeler.signals import run_until_told  # noqa: PLC0415
    from labeler.syncing import Outlet, Pusher, Tempo  # noqa: PLC0415

    try:
        every, repo = study.dataset.push_every, study.dataset.repo
        if every is None or repo is None:
            raise LabelerError("the study does not say how often to push, and where to")
        there, key = repo_here(repo, environ, private=study.dataset.private), pseudonym_key(environ, Path.cwd())
        outlet = Outlet(study, study.package_folder, key, there, in_process())
        with Store.open(study.database_url) as store:
            run_until_told(Pusher(store, outlet, Tempo(every, strict=False), tell=_tell).run)
    except LabelerError as error:
        say(str(error))
        sys.exit(1)


def _tell(turn: Turn) -> None:
    say(f"{turn.repo}: {turn.line}")
