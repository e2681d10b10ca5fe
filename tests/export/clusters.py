"""A Dask cluster of real processes on loopback: one scheduler, and workers that can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STARTS_SECONDS = 60
_ADDRESS = re.compile(r"Scheduler at:\s+(tcp://\S+)")


@dataclass
class Cluster:
    """``address`` is what ``--scheduler`` takes. ``lose`` kills a worker as the kernel would when memory runs out."""

    address: str
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self) -> None:
        # No nanny: a worker that is lost stays lost.
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--no-nanny", "--nthreads", "1"]
        scratch = self.folder / f"worker-{len(self.workers)}"
        scratch.mkdir(parents=True)
        options = ["--no-dashboard", "--local-directory", str(scratch), "--death-timeout", "120"]
        with (scratch / "log").open("wb") as log:
            self.workers.append(subprocess.Popen([*command, *options], stdout=log, stderr=log, env=_environment()))

    def lose(self, number: int) -> None:
        self.workers[number].send_signal(signal.SIGKILL)
        self.workers[number].wait()


@contextmanager
def cluster_of(workers: int, folder: Path) -> Iterator[Cluster]:
    """Start it, and end every process of it, however the block is left."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            subprocess.Popen([*command, "--no-dashboard"], stderr=subprocess.PIPE, env=_environment())
        )
        stack.callback(scheduler.kill)
        cluster = Cluster(_address(scheduler), folder)
        stack.callback(_end, cluster)
        for _ in range(workers):
            cluster.start_worker()
        yield cluster


def _address(scheduler: subprocess.Popen[bytes]) -> str:
    assert scheduler.stderr is not None
    for line in scheduler.stderr:
        if found := _ADDRESS.search(line.decode()):
            return found[1]
    raise AssertionError("the scheduler ended before it said where it listens")


def _end(cluster: Cluster) -> None:
    for worker in cluster.workers:
        worker.kill()
        worker.wait()


def _environment() -> dict[str, str]:
    """Workers import what the tests do, and take no more threads than they are given."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
