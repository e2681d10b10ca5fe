"""Work that goes on until somebody says that it is enough, or leaves nothing lying about when it is broken off."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


def run_until_told(run: Callable[[threading.Event], None]) -> None:
    """Run something in this process until SIGTERM or SIGINT sets its event, and to its end then; what it raises passes.

    Told twice, end at once.
    """
    stop = threading.Event()

    def told(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)  # nothing that is run here is ever half done
        stop.set()

    # In a thread: the main one runs signal handlers, and may not hold the locks that they take.
    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="labeler-work") as thread:
            thread.submit(run, stop).result()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def leaving_nothing() -> Iterator[None]:
    """SIGTERM ends the block as an exception would, so that its scratch files go; else they would stay for good."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def told(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
