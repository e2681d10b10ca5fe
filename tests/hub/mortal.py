"""A pusher in a process of its own that dies by kill -9 at a write of its choice.

Its writes are counted as they are about to happen: files that are opened for writing, renamed, linked and removed, and
commits of the database. Requests are the Hub's to count (``Kill`` in ``tests.hub_server``): a pusher dies there before
one is applied, or after. Processes are forked off one that has everything imported, so that they take no second each.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from sqlalchemy import Engine, event

from labeler.errors import LabelerError
from labeler.export.exporter import export
from labeler.hub import DatasetRepo, Patience, push
from labeler.store import Store
from labeler.study import Study
from tests.export import KEY

# Impatient on purpose: some pushes give up, and the next one must find its way.
PATIENCE = Patience(tries=4, first=0.01, longest=0.05)
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload([__name__])
_WRITES = os.O_WRONLY | os.O_RDWR
_NUMBERS = re.compile(r"[0-9a-f]{12,}|\d+")
WAIT_SECONDS = 120
# To start a process asks how all others are, and of two threads that ask, one is told nothing.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Order:
    """What to export and push, and at which of the writes on this machine to die."""

    database_url: str
    study: Study
    package: Path
    endpoint: str
    way: str
    cache: Path
    dies_at: int | None = None


@dataclass(frozen=True)
class End:
    """How it ended: pushed, given up, or dead. ``writes`` are those it came to, by kind; the last one killed it."""

    pushed: bool
    dead: bool
    writes: tuple[str, ...]


class Pusher:
    """A pusher that is under way."""

    def __init__(self, order: Order) -> None:
        self._told, theirs = _FORKED.Pipe(duplex=False)
        self._process = _FORKED.Process(target=_work, args=(order, theirs))
        with _ONE_AT_A_TIME:
            self._process.start()
        theirs.close()

    def kill(self) -> None:
        """As the kernel kills when memory is out: at once."""
        self._process.kill()

    def end(self) -> End:
        """Wait for it.

        Raises:
            AssertionError: it failed in a way that is no error of labeler's own.
        """
        said: list[str] = []
        try:
            while self._told.poll(WAIT_SECONDS):
                said.append(self._told.recv())
        except EOFError:
            pass
        else:
            self._process.kill()
        with _ONE_AT_A_TIME:
            self._process.join()
        code, last = self._process.exitcode, said[-1] if said else ""
        assert code in (0, -signal.SIGKILL), f"a pusher ended with {code} after {last}"
        done = code == 0 and last == "pushed"
        return End(done, code != 0, tuple(said[:-1] if code == 0 else said))


def _work(order: Order, told: Connection) -> None:
    os.environ["HF_XET_CACHE"] = str(order.cache)
    constants.HF_HUB_DISABLE_XET = order.way == "lfs"
    _count_writes(order, told)
    repo = DatasetRepo("tester/round", endpoint=order.endpoint, token="hf_test", timeout=2.0)
    try:
        with Store.open(order.database_url) as store:
            done = export(store, order.study, order.package, key=KEY)
            push(done.package, repo, patience=PATIENCE)
    except LabelerError:
        told.send("gave up")
    else:
        told.send("pushed")


def _count_writes(order: Order, told: Connection) -> None:
    """Tell of each write before it happens, and die in place of the one that the order names."""
    here, count = str(order.package.parent), 0

    def about_to(what: str) -> None:
        nonlocal count
        count += 1
        told.send(what)
        if count == order.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITES:
                return
        elif name in ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"):
            path = arguments[0] if name != "os.rename" else arguments[1]
        else:
            return
        path = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        # A tree is removed from within: by names only.
        if path.startswith(here) or (name in ("os.remove", "os.rmdir") and not os.path.isabs(path)):
            about_to(f"{name.removeprefix('os.')} {_NUMBERS.sub('N', path.removeprefix(here))}")

    event.listen(Engine, "commit", lambda _: about_to("commit of the database"))
    sys.addaudithook(hook)
