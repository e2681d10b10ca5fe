"""How often, and how many at once: counted by key (a person, an address) in memory that is bounded.

Both are for one thread: the event loop that asks them for every request.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEYS_KEPT = 20_000
MINUTE = 60.0


class Rate:
    """A token bucket for each key: ``per_minute`` tokens, full at first and full again after a minute of rest.

    A bucket is one number, the moment at which it will be full. Of too many keys the least recently used is forgotten,
    so an address that comes back after many others have come begins anew.

    Args:
        per_minute: tokens; None: everybody may always.
        clock: seconds. One that jumps back makes nobody wait longer than for one token.
    """

    def __init__(
        self, per_minute: int | None, clock: Callable[[], float] = time.monotonic, *, keys: int = KEYS_KEPT
    ) -> None:
        self._token = MINUTE / per_minute if per_minute else 0.0
        self._keys = keys
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, key: str) -> float:
        """Take a token: 0.0. Or, if there is none, take nothing and say in how many seconds there will be one."""
        if not self._token:
            return 0.0
        now = self._clock()
        full_at = min(max(self._full_at.get(key, now), now), now + MINUTE)
        missing = full_at + self._token - now - MINUTE
        refused = missing > self._token * 1e-6
        self._full_at[key] = full_at if refused else full_at + self._token
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._keys:
            self._full_at.popitem(last=False)
        return missing if refused else 0.0

    @property
    def known(self) -> int:
        """How many keys are remembered."""
        return len(self._full_at)


class Seats:
    """So many at once for each key; None: as many as come."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._taken: dict[str, int] = {}

    @contextmanager
    def seat(self, key: str) -> Iterator[bool]:
        """Sit down for as long as the block lasts; false when all are taken, and then nobody sits."""
        taken = self._taken.get(key, 0)
        free = self._most is None or taken < self._most
        if not free:
            yield False
            return
        self._taken[key] = taken + 1
        try:
            yield True
        finally:
            self._leave(key)

    def _leave(self, key: str) -> None:
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]

    @property
    def known(self) -> int:
        """How many keys hold a seat."""
        return len(self._taken)
