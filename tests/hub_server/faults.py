"""Faults on demand: what goes wrong, on which kind of request, and on which one of them.

A fault is decided when a request arrives, before anything is applied. The kinds are those of the routes in ``api.py``:
``repo_info``, ``create``, ``preupload``, ``xet_token``, ``xorb``, ``xet_shard``, ``lfs_batch``, ``lfs_put``,
``lfs_verify``, ``validate_yaml``, ``commit``, ``paths_info``, ``resolve``, ``refs``, ``commits``, ``drop_ref``,
``squash``, ``lfs_files``, ``lfs_drop`` and so on.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """The Hub refuses: nothing is applied, this status is the answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "a fault was asked for"
    code: str | None = None


@dataclass(frozen=True)
class Reset:
    """The connection is reset before anything is applied, with the request's body left unread if it is ``early``."""

    early: bool = False


@dataclass(frozen=True)
class Lost:
    """The request is applied, its answer never arrives: a reset, or a gateway's own answer in its place."""

    status: int | None = None


@dataclass(frozen=True)
class Zombie:
    """The connection is reset now, and the request applied ``delay`` seconds later."""

    delay: float = 0.2


@dataclass(frozen=True)
class Stall:
    """No answer for ``seconds``, then a reset; nothing is applied."""

    seconds: float


@dataclass(frozen=True)
class Slow:
    """A normal answer, ``seconds`` late."""

    seconds: float


@dataclass(frozen=True)
class Hold:
    """The request waits at a gate that the test opens; then it is applied, or dropped.

    ``after`` holds the answer back instead: the request is applied before it waits.
    """

    gate: Gate
    after: bool = False


@dataclass(frozen=True)
class Kill:
    """Whoever sent the request dies (``HubServer.killers`` knows how) before it is applied, or ``after``."""

    after: bool = False


class Gate:
    """Where a held request waits. ``arrived`` tells the test that one is there."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.opened = threading.Event()
        self.applies = True

    def open(self, *, apply: bool = True) -> None:
        self.applies = apply
        self.opened.set()


Fault = Answer | Reset | Lost | Zombie | Stall | Slow | Hold | Kill


class Faults:
    """A schedule of faults: for each kind of request, which one of them (counted from 1) meets which fault."""

    def __init__(self, schedule: Sequence[tuple[str, int, Fault]] = ()) -> None:
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._planned: dict[tuple[str, int], Fault] = {}
        self._always: dict[str, Fault] = {}
        self.met: list[tuple[str, int, Fault]] = []
        for kind, nth, fault in schedule:
            self._planned[kind, nth] = fault

    def plan(self, kind: str, nth: int, fault: Fault) -> None:
        """The ``nth`` request of this kind, counted from 1 and from the start, meets this fault."""
        with self._lock:
            self._planned[kind, nth] = fault

    def next(self, kind: str, fault: Fault, *, times: int = 1) -> None:
        """The next ``times`` requests of this kind meet this fault."""
        with self._lock:
            for offset in range(times):
                self._planned[kind, self._seen[kind] + 1 + offset] = fault

    def always(self, kind: str, fault: Fault | None) -> None:
        """Every request of this kind meets this fault, until it is set to None."""
        with self._lock:
            if fault is None:
                self._always.pop(kind, None)
            else:
                self._always[kind] = fault

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()
            self._always.clear()

    def take(self, kind: str) -> Fault | None:
        """Count one request of this kind, and say what it meets."""
        with self._lock:
            self._seen[kind] += 1
            nth = self._seen[kind]
            fault = self._planned.get((kind, nth), self._always.get(kind))
            if fault is not None:
                self.met.append((kind, nth, fault))
            return fault

    @classmethod
    def random(cls, seed: int, kinds: Mapping[str, int], most: int = 5) -> Faults:
        """Up to ``most`` faults on kinds drawn by weight. The same seed gives the same schedule."""
        draw = random.Random(seed)
        names, weights = list(kinds), list(kinds.values())
        schedule = []
        for _ in range(draw.randint(0, most)):
            kind = draw.choices(names, weights)[0]
            schedule.append((kind, draw.choice([1, 1, 2, 2, 3, 4]), _draw(draw)))
        return cls(schedule)


def _draw(draw: random.Random) -> Fault:
    choices: list[Fault] = [
        Answer(409, message="another commit is in progress"),
        Answer(412, message="A commit has happened since. Please refresh and try again."),
        Answer(429, {"Retry-After": "1"}),
        Answer(429, {"RateLimit": '"api";r=0;t=1', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}),
        Answer(500),
        Answer(502),
        Answer(503, {"Retry-After": "3600"}),
        Reset(),
        Reset(early=True),
        Lost(),
        Lost(status=502),
        Zombie(round(draw.uniform(0.0, 0.6), 2)),
        Stall(4.0),
        Slow(0.3),
    ]
    return draw.choice(choices)
