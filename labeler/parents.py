"""Processes that do not outlive the one that began them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait as wait_for


def end_with_parent() -> None:
    """From now on this process, which another one began, does not outlive it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
