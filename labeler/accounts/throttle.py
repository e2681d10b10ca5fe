"""How often somebody may fail: so many times in so many seconds, for each key (a place)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

KEYS_KEPT = 10_000


class Throttle:
    """Counts tries in this process. Safe to call from any thread.

    Args:
        most: tries that one key has in ``seconds``.
        clock: seconds that only grow.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """Count a try; or say for how many seconds there is none left, and count nothing."""
        now = self._clock()
        with self._lock:
            tries = self._tries.setdefault(key, deque())
            self._tries.move_to_end(key)
            while tries and tries[0] <= now - self._seconds:
                tries.popleft()
            if len(tries) >= self._most:
                return tries[0] + self._seconds - now
            tries.append(now)
            if len(self._tries) > KEYS_KEPT:
                self._tries.popitem(last=False)
        return 0.0

    def forgive(self, key: str) -> None:
        """Take the last try back: it was a good one."""
        with self._lock:
            if tries := self._tries.get(key):
                tries.pop()
