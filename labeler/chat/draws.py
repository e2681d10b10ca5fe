"""Which two models answer next: drawn with a chance that is known and kept with the draw."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from labeler.core.events import PairDrawn
from labeler.store import Store

Policy = Literal["uniform", "least_seen"]
Pair = tuple[str, str]


class Draws:
    """Draws pairs of models. Safe to call from any thread.

    Args:
        pairs: what can be drawn, each pair once.
        policy: ``uniform``: every pair is as likely. ``least_seen``: a pair is likelier the less often it was drawn,
            by anybody: its weight is 1 / (1 + times drawn).
    """

    def __init__(self, store: Store, pairs: Sequence[Pair], policy: Policy, chance: random.Random) -> None:
        self.policy = policy
        self._store = store
        self._pairs = list(pairs)
        self._chance = chance
        self._seen: Counter[frozenset[str]] = Counter()
        self._position = 0
        self._lock = threading.Lock()

    def draw(self) -> tuple[Pair, float]:
        """A pair, and the chance that it had."""
        weights = [1.0] * len(self._pairs) if self.policy == "uniform" else self._least_seen()
        place = self._chance.choices(range(len(self._pairs)), weights)[0]
        return self._pairs[place], weights[place] / sum(weights)

    def _least_seen(self) -> list[float]:
        with self._lock:
            upto = self._store.position()
            for event in self._store.of_kind(PairDrawn.kind, self._position, upto):
                assert isinstance(event.payload, PairDrawn)
                self._seen[frozenset((event.payload.model_a, event.payload.model_b))] += 1
            self._position = upto
            return [1 / (1 + self._seen[frozenset(pair)]) for pair in self._pairs]
