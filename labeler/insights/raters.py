"""The annotators themselves: who does not agree with the others more often than chance would have it.

Each annotator is compared with the consensus of the others on the same units, theirs left out. The score z is how far
the log-likelihood of what they said lies from what it would be if they answered as the others do, in standard
deviations. Flags are corrected for the number of annotators (Benjamini and Hochberg), and are for people to look at:
nothing is dropped by them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

from scipy.stats import norm

from labeler.core.contributions import Key
from labeler.core.judging import VOTES, WINNERS

SMOOTHING = 1.0
FALSE_DISCOVERIES = 0.05
LEAST_JUDGEMENTS = 10
LEAST_GOLD = 10

CATEGORIES: Mapping[str, Sequence[str]] = {"pair": WINNERS, "vote": VOTES}


@dataclass(frozen=True, slots=True)
class Rater:
    """``judgements`` are those on units that others judged too; ``agreed`` is the share on which they said what most of
    the others did. ``z`` is None with too few of them; ``flagged``: it is too low to be chance."""

    annotator: str
    judgements: int
    agreed: float | None
    z: float | None
    p: float | None
    flagged: bool = False


def raters_of(sums: Mapping[Key, int]) -> list[Rater]:
    """Every annotator who judged what others judged, by id, from the sums under ``rater``."""
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0] * 5)
    for key, times in sorted(sums.items()):
        if key[0] == "rater":
            _, annotator, kind, word, others = key
            _add(totals[annotator], CATEGORIES[kind], word, [int(count) for count in others.split(",")], times)
    found = [_rater(annotator, *values) for annotator, values in sorted(totals.items())]
    flagged = _discoveries({rater.annotator: rater.p for rater in found if rater.p is not None})
    return [replace(one, flagged=one.annotator in flagged) for one in found]


def _add(totals: list[float], categories: Sequence[str], word: str, others: Sequence[int], times: int) -> None:
    """Add judgements of one kind: how many, agreements, log-likelihood, its expectation and variance."""
    weights = [count + SMOOTHING for count in others]
    chances = [weight / sum(weights) for weight in weights]
    logs = [log(chance) for chance in chances]
    mean = sum(chance * one for chance, one in zip(chances, logs, strict=True))
    variance = sum(chance * (one - mean) ** 2 for chance, one in zip(chances, logs, strict=True))
    own = categories.index(word)
    added = (1.0, float(others[own] == max(others)), logs[own], mean, variance)
    for place, value in enumerate(added):
        totals[place] += times * value


def _rater(annotator: str, number: float, agreed: float, likelihood: float, mean: float, variance: float) -> Rater:
    count = int(number)
    if count < LEAST_JUDGEMENTS or variance <= 0:
        return Rater(annotator, count, agreed / number, None, None)
    z = (likelihood - mean) / sqrt(variance)
    return Rater(annotator, count, agreed / number, z, float(norm.cdf(z)))


def _discoveries(chances: Mapping[str, float]) -> set[str]:
    """Those whose p-values are too small for the number of them (Benjamini and Hochberg, 5 % false discoveries)."""
    ordered = sorted(chances, key=lambda name: chances[name])
    last = 0
    for place, name in enumerate(ordered, 1):
        if chances[name] <= FALSE_DISCOVERIES * place / len(ordered):
            last = place
    return set(ordered[:last])
