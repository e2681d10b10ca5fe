"""A served study in a process of its own: started as a person starts it, ended or killed by the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

import httpx
import yaml

READY_SECONDS = 60.0


class Process(Protocol):
    """What is used of a ``subprocess.Popen``."""

    pid: int
    stdout: IO[str] | None
    stderr: IO[str] | None

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


class Served:
    """``labeler serve`` on a free port (the same one again after a restart), in its own working directory.

    When it is left, the operator may have seen no traceback in its terminal.
    """

    def __init__(self, directory: Path, study: dict[str, object], *options: str, port: int = 0) -> None:
        self.directory = directory
        self.config = directory / "study.yaml"
        self.config.write_text(yaml.safe_dump(study), encoding="utf-8")
        self.options = options
        self.port = port
        self.address = ""
        self.process: Process | None = None
        self._drainer: threading.Thread | None = None
        self.errors: list[str] = []

    @property
    def database(self) -> str:
        return f"sqlite:///{self.directory}/log.db"

    def start(self) -> Served:
        """Run it and wait for its one line."""
        command = ["serve", "--config", str(self.config), "--database", self.database, "--port", str(self.port)]
        self.process = self._launched([*command, *self.options])
        self._drainer = threading.Thread(target=self._drain, args=(self.process,), daemon=True)
        self._drainer.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("labeler: serving"):
            self.process.wait(READY_SECONDS)
            self._close()
            raise AssertionError(f"it did not serve: {line!r} {''.join(self.errors)}")
        self.address = line.rsplit(" ", 1)[1].strip()
        self.port = int(self.address.rsplit(":", 1)[1])
        return self

    def _launched(self, command: Sequence[str]) -> Process:
        return subprocess.Popen(
            [sys.executable, "-m", "labeler", *command],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environ(),
        )

    def _environ(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}

    def _close(self) -> None:
        """Let go of a process that has ended."""
        if self.process is None or self._drainer is None or self.process.stdout is None:
            return
        self._drainer.join(10)
        self.process.stdout.close()

    def _drain(self, process: Process) -> None:
        assert process.stderr is not None
        with process.stderr:
            self.errors.extend(process.stderr)

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self._close()

    def terminate(self, seconds: float = 10.0) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self._close()
        return code

    def health(self) -> dict[str, object]:
        answer = httpx.get(f"{self.address}/healthz", timeout=5)
        answer.raise_for_status()
        body: dict[str, object] = answer.json()
        return body

    def wait_down(self, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while self.process is not None and self.process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __enter__(self) -> Served:
        return self if self.process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._close()
        if kind is None:
            assert "Traceback" not in "".join(self.errors), "".join(self.errors)
