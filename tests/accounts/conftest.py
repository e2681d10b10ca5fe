"""A log, a clock that tests move, and hashes that take no time to make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from argon2 import PasswordHasher

from labeler.accounts import Accounts, Passwords, Sessions
from labeler.accounts.throttle import Throttle
from labeler.durations import later
from labeler.store import Store

KEY = b"k" * 32
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass(slots=True)
class Clock:
    now: str = "2026-11-28T10:00:00.000000Z"
    seconds: float = 0.0

    def __call__(self) -> str:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def move(self, seconds: float) -> None:
        self.now = later(self.now, seconds)
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(new_url: Callable[[str], str]) -> Iterator[Store]:
    with closing(Store.open(new_url("log"))) as store:
        yield store


@pytest.fixture
def accounts(store: Store, clock: Clock) -> Accounts:
    throttle = Throttle(most=1000, seconds=60, clock=clock.monotonic)
    return Accounts(store, clock=clock, passwords=Passwords(QUICK), throttle=throttle)


@pytest.fixture
def sessions(store: Store, clock: Clock) -> Sessions:
    return Sessions(store, KEY, clock=clock, monotonic=clock.monotonic)
