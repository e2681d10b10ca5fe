"""Servers that begin at once: a process that has imported everything already, and forks one for whoever asks.

Most of what a `labeler serve` does until it answers is importing Gradio. Tests start a hundred of them; how a person
starts one is tested in tests/app and tests/cli.

    python -m tests.nursery SOCKET        ends with its standard input
"""

from __future__ import annotations

import array
import atexit
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from tests.served import READY_SECONDS, Process, Served

LARGEST = 1 << 20
LOOK_SECONDS = 0.02


# ── for tests ──


class Child:
    """A forked server."""

    def __init__(self, command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> None:
        outer, inner = os.pipe(), os.pipe()
        self.stdout, self.stderr = (os.fdopen(pipe[0], encoding="utf-8", errors="replace") for pipe in (outer, inner))
        self._nursery = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._nursery.connect(_nursery())
        asked = json.dumps({"command": list(command), "cwd": str(cwd), "environ": dict(environ)}).encode()
        writers = array.array("i", [outer[1], inner[1]])
        self._nursery.sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, writers)])
        for writer in writers:
            os.close(writer)
        self.pid = int(self._nursery.recv(64))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0.0)

    def wait(self, timeout: float) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("labeler serve", timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, seconds: float) -> int | None:
        if self.returncode is None:
            self._nursery.settimeout(seconds)
            try:
                self.returncode = int(self._nursery.recv(64))
                self._nursery.close()
            except (TimeoutError, BlockingIOError):
                return None
        return self.returncode


class QuickServed(Served):
    """A served study whose server begins at once; on the database with this URL, if one is given."""

    def __init__(
        self, directory: Path, study: dict[str, object], *options: str, port: int = 0, url: str | None = None
    ) -> None:
        super().__init__(directory, study, *options, port=port)
        self._url = url

    @property
    def database(self) -> str:
        return self._url or super().database

    def _launched(self, command: Sequence[str]) -> Process:
        return Child(command, self.directory, self._environ())


@cache
def _nursery() -> str:
    """The socket of this process's own nursery, which ends with it."""
    folder = tempfile.mkdtemp(prefix="nursery")
    atexit.register(shutil.rmtree, folder)
    path = f"{folder}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.nursery", path], stdin=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    atexit.register(process.kill)
    deadline = time.monotonic() + READY_SECONDS
    while not os.path.exists(path):
        assert process.poll() is None, "the nursery ended"
        assert time.monotonic() < deadline, "the nursery does not answer"
        time.sleep(LOOK_SECONDS)
    return path


# ── the process that forks ──


def main(path: str) -> None:
    import labeler.app  # noqa: PLC0415 - only here: what tests import is not slowed down
    import labeler.cli.serving  # noqa: F401, PLC0415

    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    watched = selectors.DefaultSelector()
    watched.register(listener, selectors.EVENT_READ)
    watched.register(sys.stdin, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    while True:
        for key, _ in watched.select(LOOK_SECONDS if running else None):
            if key.fileobj is sys.stdin:
                return
            asker, _ = listener.accept()
            pid = _forked(asker, [listener, *running.values()])
            running[pid] = asker
            _tell(asker, pid)
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with running.pop(pid) as asker:
                    _tell(asker, os.waitstatus_to_exitcode(status))


def _tell(asker: socket.socket, number: int) -> None:
    with suppress(OSError):  # whoever asked has gone
        asker.send(str(number).encode())


def _forked(asker: socket.socket, others: Sequence[socket.socket]) -> int:
    writers = array.array("i")
    asked, extra, _, _ = asker.recvmsg(LARGEST, socket.CMSG_SPACE(2 * writers.itemsize))
    for _, _, fds in extra:
        writers.frombytes(fds)
    pid = os.fork()
    if pid:
        for writer in writers:
            os.close(writer)
        return pid
    for one in (asker, *others):
        one.close()
    _become(json.loads(asked), *writers)


def _become(asked: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be the command that was asked for."""
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["environ"])
        sys.stdout = TextIOWrapper(os.fdopen(1, "wb", 0), encoding="utf-8", write_through=True)
        sys.stderr = TextIOWrapper(os.fdopen(2, "wb", 0), encoding="utf-8", write_through=True)
        sys.argv = ["labeler", *asked["command"]]
        from labeler.cli import main as labeler  # noqa: PLC0415

        labeler()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
