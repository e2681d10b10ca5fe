"""How far annotators agree (Krippendorff's alpha), with an interval, and beside what can be seen without it.

A unit is something that was judged, given as the number of annotators in each category; equal units are counted
together. Alpha says little where nearly everybody always says the same, so percent agreement and prevalence stand
beside it, and where it is undefined that is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import evalica
import numpy as np
import pandas as pd

from labeler.core.agreement import Units, observed, several

Level = Literal["nominal", "ordinal"]
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Agreement:
    """``alpha`` is 1 for agreement throughout and 0 for that of chance; None where it is undefined.

    ``units`` were judged by more than one annotator. ``percent`` is the share of pairs of annotators who agree,
    ``prevalence`` the share of each category among all judgements of these units.
    """

    units: int
    percent: float | None
    prevalence: Mapping[str, float]
    alpha: float | None
    low: float | None = None
    high: float | None = None


def agreement(units: Units, categories: Sequence[str], level: Level = "nominal", *, seed: int = 0) -> Agreement:
    """Agreement over units, categories in their order where the level is ordinal."""
    shared = {counts: times for counts, times in units.items() if sum(counts) > 1 and times > 0}
    totals = np.zeros(len(categories))
    for counts, times in shared.items():
        totals[: len(counts)] += np.array(counts) * times
    if not shared:
        return Agreement(0, None, {}, None)
    prevalence = {name: float(total / totals.sum()) for name, total in zip(categories, totals, strict=True)}
    percent, number = observed(shared), several(shared)
    if np.count_nonzero(totals) < 2:  # everybody always said the same: there is no disagreement to expect
        return Agreement(number, percent, prevalence, None)
    table = _table(shared)
    alpha = float(evalica.alpha(table, distance=level).alpha)
    low, high = _interval(shared, level, seed)
    return Agreement(number, percent, prevalence, alpha, low, high)


def _table(units: Units) -> pd.DataFrame:
    """Raters (rows, nobody in particular) by units (columns): whose judgement is whose does not matter to alpha."""
    most = max(sum(counts) for counts in units)
    kinds = np.full((most, len(units)), np.nan)
    for column, counts in enumerate(units):
        kinds[: sum(counts), column] = np.repeat(np.arange(len(counts)), counts)
    return pd.DataFrame(np.repeat(kinds, list(units.values()), axis=1))


def _interval(units: Units, level: Level, seed: int) -> tuple[float | None, float | None]:
    """The middle 95 % of alpha over samples of units, drawn with replacement.

    Samples in which everybody said the same have no alpha and are left out.
    """
    kinds = sorted(units)  # the same units in any order have the same interval
    times = np.array([units[kind] for kind in kinds])
    width = max(len(kind) for kind in kinds)
    counts = np.array([[*kind, *[0] * (width - len(kind))] for kind in kinds], dtype=float)
    drawn = np.random.default_rng(seed).multinomial(times.sum(), times / times.sum(), size=RESAMPLES)
    values = alphas(drawn.astype(float), counts, level)
    values = values[~np.isnan(values)]
    if not len(values):
        return None, None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def alphas(samples: np.ndarray, counts: np.ndarray, level: Level) -> np.ndarray:
    """Alpha of many samples of the same units at once.

    Args:
        samples: (samples, kinds) how often each kind of unit is in each sample.
        counts: (kinds, categories) how many annotators of a unit of that kind are in each category.
    """
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(counts.shape[1]), np.arange(counts.shape[1])] -= counts
    coincidences = np.einsum("sk,kij->sij", samples, pairs / (raters - 1)[:, None, None])
    totals = coincidences.sum(axis=2)
    distance = _distances(totals, level)
    values = totals.sum(axis=1)
    expected = totals[:, :, None] * totals[:, None, :]
    disagreement = (coincidences * distance).sum(axis=(1, 2)) / values
    by_chance = (expected * distance).sum(axis=(1, 2)) / (values * (values - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance > 0, 1 - disagreement / by_chance, np.nan)


def _distances(totals: np.ndarray, level: Level) -> np.ndarray:
    """Squared distances between categories, for each sample: (samples, categories, categories)."""
    size = totals.shape[1]
    if level == "nominal":
        return np.broadcast_to(1.0 - np.eye(size), (len(totals), size, size))
    upto = np.cumsum(totals, axis=1)
    middle = upto - totals / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2
