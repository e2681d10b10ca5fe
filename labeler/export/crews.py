"""Who builds the shards: threads of this process, a pool of processes, or the workers of a Dask cluster.

All of them are ``concurrent.futures.Executor``s and give the same bytes. A worker that is lost costs a retry: its
shards are built again by the others.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from labeler.errors import LabelerError, PackageError
from labeler.export.building import Work, build
from labeler.export.shards import Shard
from labeler.parents import end_with_parent

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

MOST_LOSSES = 3
MOST_WORKERS = 256
CONNECT_SECONDS = 30.0
IDLE_SECONDS = 60.0
_LOOK_SECONDS = 5.0
# Reads and writes are the worker's own, and most of the work is its: more than this lie ready for each at no time.
_SHARDS_A_WORKER = 2


def _never() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Crew:
    """A way to have shards built. ``opened`` gives a fresh executor, as often as one breaks.

    At most ``shards_at_once`` are handed out at a time. ``look`` is called every few seconds while nothing comes back;
    it raises PackageError if nothing ever will.
    """

    opened: Callable[[], AbstractContextManager[Executor]]
    shards_at_once: int
    look: Callable[[], None] = _never


def crew_of(workers: int | None = None, scheduler: str | None = None) -> Crew:
    """The crew that two options name: so many processes here, or a cluster by its scheduler's address.

    Raises:
        PackageError: both are named, or the number is none that a machine has.
    """
    if workers is not None and scheduler is not None:
        raise PackageError("--workers and --scheduler exclude each other: processes here, or the cluster's workers")
    if scheduler is not None:
        return cluster(scheduler)
    return in_process() if workers is None or workers == 1 else processes(workers)


def in_process() -> Crew:
    """Two threads of this process: one derives a shard while the one before is being encoded."""
    return Crew(lambda: ThreadPoolExecutor(2, thread_name_prefix="labeler-shard"), 2)


def processes(count: int) -> Crew:
    """A pool of so many processes on this machine. Each takes the memory of an export of its own.

    Raises:
        PackageError: the number is out of bounds.
    """
    if not 1 <= count <= MOST_WORKERS:
        raise PackageError(f"--workers {count}: name a number from 1 to {MOST_WORKERS}")

    def opened() -> ProcessPoolExecutor:
        # Not forked: a copy of a process that runs threads may hold their locks for ever.
        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_begin_worker)

    return Crew(opened, _SHARDS_A_WORKER * count)


def _begin_worker() -> None:
    """In each process of a pool: Ctrl-C is for the export, and nobody works on when the export was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def cluster(address: str) -> Crew:
    """The workers of an existing Dask cluster. They need labeler, the log and the package's folder at the same places.

    Raises:
        PackageError: the extra ``cluster`` is not installed.
    """
    if find_spec("distributed") is None:
        raise PackageError("--scheduler needs Dask: install labeler[cluster]")
    clients: list[Client] = []

    @contextmanager
    def opened() -> Iterator[Executor]:
        with _explained(address), _client(address) as client:
            clients[:] = [client]
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            # Not pure: nobody may be handed what an earlier export left in the cluster's memory.
            with client.get_executor(pure=False, retries=MOST_LOSSES) as executor:
                yield _Cancelling(executor)

    idle = Counter[str]()

    def look() -> None:
        with _explained(address):
            idle["looks"] = 0 if clients[0].scheduler_info()["workers"] else idle["looks"] + 1
        if idle["looks"] * _LOOK_SECONDS >= IDLE_SECONDS:
            raise PackageError(
                f"{address}: the cluster has had no worker for {IDLE_SECONDS:.0f} s; start one, try again"
            )

    return Crew(opened, 64, look)


def _client(address: str) -> Client:
    from distributed import Client  # noqa: PLC0415 - an extra, and it takes a second

    made: Client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    return made


class _Cancelling(Executor):
    """A Dask executor that can drop its tasks when nobody wants them any more: by itself it would wait for them."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, call: Callable[..., T], /, *arguments: Any, **options: Any) -> Future[T]:
        return self._executor.submit(call, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=not cancel_futures)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Whatever goes wrong with the cluster itself, in one line."""
    try:
        yield
    except (LabelerError, GeneratorExit):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PackageError(f"{address}: the Dask cluster does not do it ({reason}); look at its scheduler") from error


def built(work: Work, ordinals: Iterable[int], crew: Crew) -> Iterator[Shard]:
    """Have shards built, and hand each out when it is done: in any order, each once.

    Raises:
        PackageError: workers were lost again and again, or the cluster failed.
        StoreError, LogError: the log cannot be read.
    """
    left, losses = dict.fromkeys(ordinals), 0
    while left:
        try:
            with crew.opened() as executor:
                yield from _round(work, left, executor, crew)
        except BrokenExecutor as error:
            losses += 1
            if losses > MOST_LOSSES:
                raise PackageError(
                    f"workers were lost {losses} times over (killed, or out of memory); take fewer, or a machine with"
                    " more memory; the package is as it was"
                ) from error


def _round(work: Work, left: dict[int, None], executor: Executor, crew: Crew) -> Iterator[Shard]:
    """Hand out what is left until all of it is done, or the executor breaks."""
    queue = deque(left)
    under_way: set[Future[Shard]] = set()
    try:
        while queue or under_way:
            while queue and len(under_way) < crew.shards_at_once:
                under_way.add(executor.submit(build, work, queue.popleft()))
            done, under_way = wait(under_way, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            if not done:
                crew.look()
            for future in done:
                shard = future.result()
                del left[shard.ordinal]
                yield shard
    except BaseException:
        executor.shutdown(cancel_futures=True)
        raise
