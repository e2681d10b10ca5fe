"""What an operator runs, on this machine: replicas behind nginx, PostgreSQL that waits for its disk, a model."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labeler.study import Study
from tests.load.annotator import REASONS
from tests.nginx import Proxy
from tests.nursery import Child
from tests.postgres_server import PostgresServer
from tests.served import Process, Served

ROOT = Path(__file__).parents[2]
FILES = 16_384
TOKENS_A_SECOND = 30


class Replica(Served):
    """``labeler serve`` on a database that others serve, too; ``program`` is the module that is run."""

    def __init__(self, directory: Path, study: dict[str, object], url: str, program: str) -> None:
        super().__init__(directory, study)
        self._url = url
        self._program = program

    @property
    def database(self) -> str:
        return self._url

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What it complained of is told with everything else that was seen.
        super().__exit__(kind or AssertionError, error, trace)

    def _launched(self, command: Sequence[str]) -> Process:
        if self._program == "labeler":  # begins again in no time: what is looked at is not how long Python imports
            return Child(command, self.directory, self._environ())
        return subprocess.Popen(
            [sys.executable, "-m", self._program, *command],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environ(),
        )


@dataclass
class Servers:
    """All of it while entered: database and model at once, replicas and their proxy when told where."""

    folder: Path
    program: str = "labeler"
    database: PostgresServer = field(default_factory=PostgresServer)
    replicas: list[Replica] = field(default_factory=list)
    url: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        more_files()
        with ExitStack() as stack:
            stack.enter_context(self.database)
            self.url = self.database.url(stack.enter_context(self.database.database()))
            self._model = stack.enter_context(model_server())
            self._stack = stack.pop_all()
        return self

    def serve(self, urls: Sequence[str]) -> None:
        """Start a replica for each of these database URLs."""
        assert self._model.stdout is not None
        spec = {
            "name": "scripted",
            "kind": "openai",
            "model": "scripted",
            "base_url": self._model.stdout.readline().strip(),
        }
        study: dict[str, object] = {"name": "load", "models": [spec], "vote_reasons": list(REASONS)}
        if "limits" in Study.model_fields:  # a crowd at one address is not what they are for
            study["limits"] = {"address_requests_per_minute": None, "address_streams": None}
        self.replicas = [Replica(self.folder, study, url, self.program) for url in urls]
        with ThreadPoolExecutor() as pool:
            list(pool.map(Replica.start, self.replicas))
        for replica in self.replicas:
            self._stack.enter_context(replica)

    def open_doors(self, ports: Sequence[int]) -> int:
        """Put nginx before these ports, and give its own."""
        return self._stack.enter_context(Proxy(self.folder / "nginx", [f"127.0.0.1:{port}" for port in ports])).port

    def end(self) -> list[int]:
        """Have the replicas end as an operator would, and give their exit codes."""
        return [replica.terminate(30) for replica in self.replicas]

    def tracebacks(self) -> list[str]:
        """The last line of each traceback that an operator would have found in the terminal."""
        told = "".join(line for replica in self.replicas for line in replica.errors)
        return re.findall(r"^Traceback .*\n(?:\s.*\n|\n)*(.*)", told, re.MULTILINE)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def model_server() -> subprocess.Popen[str]:
    """The scripted model in a process of its own; ends when it is left."""
    command = [sys.executable, "-m", "tests.model_server", "--pace", str(TOKENS_A_SECOND), "--until-eof"]
    return _Ended(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class _Ended(subprocess.Popen[str]):
    def __exit__(self, *rest: Any) -> None:
        self.kill()
        super().__exit__(*rest)


def more_files() -> None:
    """As many open files as this machine allows and a crowd needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def rss_of(pids: Sequence[int]) -> Mapping[int, int]:
    """Resident memory in KB, by pid; of those that run."""
    listing = subprocess.run(
        ["ps", "-o", "pid=,rss=", "-p", ",".join(map(str, pids))], capture_output=True, text=True, check=False
    )
    return {int(pid): int(rss) for pid, rss in re.findall(r"(\d+)\s+(\d+)", listing.stdout)}


def cpu_of(pid: int) -> float:
    """The processor seconds that a process has taken so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
