"""Durable appends per second from 64 threads, beside a bare group-commit loop on the same disk in the same run.

The bare loop is what one would write without a store: events in, their bodies as JSON, a queue, one thread, the raw
driver, the table of events with its constraints. It checks nothing, derives nothing, answers with a position, and lets
nobody else write.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from labeler.core.bodies import body_json
from labeler.core.events import ConversationStarted, NewEvent, VoteCast
from labeler.ids import event_id, uuid7
from labeler.store import Store

FLOOR = 0.9
AT = "2026-11-22T10:00:00.000000Z"


class Run(NamedTuple):
    """What one way of storing took: seconds on the clock and of the processors."""

    seconds: float
    cpu: float


# ── what is stored ──


def votes_of(thread: int, count: int) -> list[NewEvent]:
    """A conversation of one annotator: its beginning, then votes."""
    conversation_id = uuid7(1_700_000_000_000 + thread, thread.to_bytes(10, "big"))
    annotator_id = f"annotator-{thread:04}"
    started = ConversationStarted(study="bench", mode="chat", model="none")
    votes = [VoteCast(message_id=uuid7(1_700_000_000_000 + n, bytes(10)), vote=1) for n in range(count - 1)]
    return [
        NewEvent(
            event_id=event_id(annotator_id, str(seq), 0),
            conversation_id=conversation_id,
            seq=seq,
            at=AT,
            annotator_id=annotator_id,
            payload=payload,
        )
        for seq, payload in enumerate([started, *votes], 1)
    ]


# ── two ways to store it ──


def store(folder: Path, histories: Sequence[Sequence[NewEvent]]) -> Run:
    with Store.open(f"sqlite:///{folder}/store.db") as opened:
        return from_all_threads(lambda event: opened.append([event]), histories)


def bare(folder: Path, histories: Sequence[Sequence[NewEvent]]) -> Run:
    with bare_loop(folder / "bare.db") as append:
        return from_all_threads(append, histories)


@contextmanager
def bare_loop(path: Path) -> Iterator[Callable[[NewEvent], int]]:
    """Yields an append that returns an event's position once it is on disk."""
    waiting: SimpleQueue[Any] = SimpleQueue()

    def append(event: NewEvent) -> int:
        stored: Future[int] = Future()
        waiting.put((_row(event), stored))
        return stored.result()

    thread = threading.Thread(target=_commit_groups, args=(path, waiting))
    thread.start()
    try:
        yield append
    finally:
        waiting.put(None)
        thread.join()


def _row(event: NewEvent) -> tuple[Any, ...]:
    kind, body = event.payload.kind, body_json(event.payload)
    return (event.event_id, event.conversation_id, event.seq, kind, event.at, event.annotator_id, body)


def _commit_groups(path: Path, waiting: SimpleQueue[Any]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE events (position INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE,"
            " conversation_id TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL,"
            " annotator_id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (conversation_id, seq))"
        )
        position = 0
        while group := _group(waiting):
            connection.execute("BEGIN IMMEDIATE")
            rows = [(position + number, *row) for number, (row, _) in enumerate(group, 1)]
            connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
            for number, (_, stored) in enumerate(group, 1):
                stored.set_result(position + number)
            position += len(group)


def _group(waiting: SimpleQueue[Any]) -> list[Any]:
    group = [waiting.get()]
    while not waiting.empty():
        group.append(waiting.get())
    return [each for each in group if each is not None]


# ── how it is measured ──


def from_all_threads(append: Callable[[NewEvent], object], histories: Sequence[Sequence[NewEvent]]) -> Run:
    """A thread for every history; each waits for its last append before it makes the next."""
    ready = threading.Barrier(len(histories) + 1)

    def go(history: Sequence[NewEvent]) -> None:
        ready.wait()
        for event in history:
            append(event)

    threads = [threading.Thread(target=go, args=(history,)) for history in histories]
    for thread in threads:
        thread.start()
    cpu = time.process_time()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return Run(time.perf_counter() - began, time.process_time() - cpu)


def pair(folder: Path, histories: Sequence[Sequence[NewEvent]], number: int) -> tuple[Run, Run]:
    """Both ways, in fresh files, one after the other; who goes first changes."""
    runs: dict[str, Run] = {}
    for way in (store, bare) if number % 2 else (bare, store):
        with TemporaryDirectory(dir=folder) as fresh:
            runs[way.__name__] = way(Path(fresh), histories)
    return runs["store"], runs["bare"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench appends", description=__doc__)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--events", type=int, default=100, help="appends of each thread in one run")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where the files go: a folder on the disk in question"
    )
    chosen = parser.parse_args(argv)
    histories = [votes_of(thread, chosen.events) for thread in range(chosen.threads)]
    total = chosen.threads * chosen.events
    ratios = []
    for number in range(chosen.pairs):
        ours, theirs = pair(chosen.folder, histories, number)
        ratios.append(theirs.seconds / ours.seconds)
        print(
            f"pair {number + 1}: store {total / ours.seconds:,.0f}/s ({ours.cpu / total * 1e6:.0f} µs CPU each), "
            f"bare loop {total / theirs.seconds:,.0f}/s ({theirs.cpu / total * 1e6:.0f} µs); ratio {ratios[-1]:.2f}"
        )
    print(f"appends, {chosen.threads} threads, store / bare loop: {median(ratios):.2f} (floor {FLOOR})")
    return 0 if median(ratios) >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
