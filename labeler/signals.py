"""Work that goes on until somebody says that it is enough."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


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
