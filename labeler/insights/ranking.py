"""How strong models are, by Bradley and Terry: from comparisons, with intervals, and how little it hangs on.

The chance that a beats b is logistic in the difference of their strengths; a tie counts as half a win of each. Votes of
one annotator are not independent of each other, so intervals are clustered by annotator (a sandwich covariance). With
the side on which an answer stood as a term of its own, strengths are free of a bias towards one side.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np
import statsmodels.api as sm
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from labeler.insights.intervals import Z95

SCALE, MIDDLE = 400 / log(10), 1000.0
LEAST_COMPARISONS = 30
MOST_FLIPS_TRIED = 12
ROUNDING = 1e-9  # of a fit: equal strengths are not told apart by less
BOUNDLESS = 12.0  # logits: a chance of 1 in 160,000 that nobody can have estimated from votes


@dataclass(frozen=True, slots=True, order=True)
class Battle:
    """One comparison: ``outcome`` 1 if ``a`` is better, 0 if ``b`` is, 0.5 for a tie.

    ``side`` is 1 if a stood on the left, -1 if on the right, 0 if they did not stand side by side. ``length`` is the
    difference of the answers' lengths, (a − b) / (a + b), and ``style`` that of their Markdown marks.
    """

    a: str
    b: str
    outcome: float
    annotator: str
    side: int = 0
    length: float = 0.0
    style: float = 0.0


# Votes one by one, or each kind of vote with the number of them.
Battles = Iterable[Battle] | Mapping[Battle, int]


@dataclass(frozen=True, slots=True)
class Strength:
    """A model on the scale of Elo (1000 is the middle of those shown).

    ``rank`` is 1 and one more for each model that is better beyond doubt; None with fewer than 30 comparisons. Without
    an interval the model cannot be placed: it has only won, only lost, or was never compared with the others.
    """

    model: str
    comparisons: int
    rating: float | None
    low: float | None
    high: float | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Models from strong to weak; ``left`` is the advantage of the left side in Elo points, with its interval."""

    strengths: tuple[Strength, ...]
    left: tuple[float, float, float] | None
    comparisons: int


def leaderboard(battles: Battles, *, controls: Sequence[str] = ()) -> Leaderboard:
    """The table for these votes; the same for any order of them. ``controls`` are among ``length`` and ``style``."""
    votes = Counter(battles)
    counts: Counter[str] = Counter()
    for battle, times in votes.items():
        counts.update({battle.a: times})
        counts.update({battle.b: times})
    placed = _placed(votes)
    models = sorted(placed)
    fit = _fit(_design(votes, models, controls), len(models)) if placed else None
    if fit is None:
        return Leaderboard(_unplaced(counts, counts), None, votes.total())
    ratings, errors = _centred(fit, len(models))
    found = [
        Strength(
            model,
            counts[model],
            MIDDLE + SCALE * rating,
            MIDDLE + SCALE * (rating - Z95 * error),
            MIDDLE + SCALE * (rating + Z95 * error),
            None,
        )
        for model, rating, error in zip(models, ratings, errors, strict=True)
    ]
    found = sorted((_ranked(one, found) for one in found), key=lambda one: (-(one.rating or 0.0), one.model))
    return Leaderboard((*found, *_unplaced(set(counts) - placed, counts)), _left(fit, len(models)), votes.total())


def _unplaced(models: Iterable[str], counts: Mapping[str, int]) -> tuple[Strength, ...]:
    return tuple(Strength(model, counts[model], None, None, None, None) for model in sorted(models))


def _ranked(one: Strength, all_of_them: Sequence[Strength]) -> Strength:
    if one.comparisons < LEAST_COMPARISONS:
        return one
    sure = [other for other in all_of_them if other.comparisons >= LEAST_COMPARISONS]
    better = sum((other.low or 0.0) > (one.high or 0.0) for other in sure)
    return replace(one, rank=1 + int(better))


def _placed(battles: Iterable[Battle]) -> set[str]:
    """The models whose strengths are finite: each has won or tied against, and lost or tied to, the others, if only by
    way of others (a strongly connected part of the graph of wins); the largest such part."""
    met = {(battle.a, battle.b, battle.outcome) for battle in battles}
    models = sorted({model for a, b, _ in met for model in (a, b)})
    place = {model: number for number, model in enumerate(models)}
    edges = {(place[a], place[b]) for a, b, outcome in met if outcome > 0}
    edges |= {(place[b], place[a]) for a, b, outcome in met if outcome < 1}
    if not edges:
        return set()
    rows, columns = zip(*sorted(edges), strict=True)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(models), len(models)))
    _, parts = connected_components(graph, directed=True, connection="strong")
    largest = max(Counter(parts.tolist()).items(), key=lambda entry: (entry[1], -entry[0]))[0]
    return {model for model, part in zip(models, parts, strict=True) if part == largest}


# ── the fit ──


@dataclass(frozen=True, slots=True)
class _Design:
    """One row for each kind of vote of one annotator; columns are models, the side, the controls."""

    matrix: np.ndarray
    outcomes: np.ndarray
    weights: np.ndarray
    groups: np.ndarray


def _design(votes: Mapping[Battle, int], models: Sequence[str], controls: Sequence[str]) -> _Design:
    """The fit follows kinds of votes, not their number: equal votes of one annotator are one row with a weight."""
    place = {model: number for number, model in enumerate(models)}
    inside = [(battle, times) for battle, times in votes.items() if battle.a in place and battle.b in place]
    kinds = sorted(inside, key=_order)
    annotators = {name: number for number, name in enumerate(sorted({battle.annotator for battle, _ in kinds}))}
    matrix = np.zeros((len(kinds), len(models) + 1 + len(controls)))
    for row, (battle, _) in enumerate(kinds):
        matrix[row, place[battle.a]] = 1
        matrix[row, place[battle.b]] = -1
        matrix[row, len(models) :] = [battle.side, *(getattr(battle, control) for control in controls)]
    groups = np.array([annotators[battle.annotator] for battle, _ in kinds])
    return _Design(
        matrix,
        np.array([battle.outcome for battle, _ in kinds]),
        np.array([float(times) for _, times in kinds]),
        groups if len(annotators) > 1 else np.arange(len(kinds)),
    )


def _order(entry: tuple[Battle, int]) -> tuple[object, ...]:
    """As battles are ordered, but quicker to compare."""
    one, _ = entry
    return one.a, one.b, one.outcome, one.annotator, one.side, one.length, one.style


@dataclass(frozen=True, slots=True)
class _Fit:
    """Logits and their covariance, for the columns that were ``used``."""

    params: np.ndarray
    covariance: np.ndarray
    used: tuple[int, ...]


def _fit(design: _Design, size: int) -> _Fit | None:
    """Logistic regression of the outcome on so many models, of which the first is the reference, and what stands
    beside them.

    Where the votes cannot tell the side or a control from the models, or leave it without bounds, it is left out. None:
    there are too few votes to say how sure anything is.
    """
    everything = [column for column in range(1, design.matrix.shape[1]) if design.matrix[:, column].any()]
    for used in (everything, [column for column in everything if column != size], list(range(1, size))):
        fit = _tried(design, used)
        if fit is not None:
            return fit
    return None


def _tried(design: _Design, used: Sequence[int]) -> _Fit | None:
    matrix = design.matrix[:, used]
    if len(matrix) <= len(used) or np.linalg.matrix_rank(matrix) < len(used):
        return None
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": design.groups, "use_correction": False}}
    fit = _regression(design, used, **clustered)
    if fit is None or not np.isfinite(fit.cov_params()).all() or np.abs(fit.params).max() >= BOUNDLESS:
        return None
    # The library's own correction for few votes would count kinds of votes.
    votes, clusters = design.weights.sum(), len(set(design.groups.tolist()))
    few = (votes - 1) / max(1.0, votes - len(used)) * clusters / max(1, clusters - 1)
    return _Fit(np.asarray(fit.params), np.asarray(fit.cov_params()) * few, tuple(used))


def _regression(design: _Design, used: Sequence[int], **how: Any) -> Any:
    """The library's fit; None where it finds none."""
    family = sm.families.Binomial()
    model = sm.GLM(design.outcomes, design.matrix[:, used], family=family, freq_weights=design.weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a half for a tie is no count, which the family remarks upon
        try:
            return model.fit(**how)
        except np.linalg.LinAlgError:
            return None


def _centred(fit: _Fit, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Strengths around their mean, and their standard errors."""
    strengths = np.zeros(size)
    strengths[1:] = fit.params[: size - 1]
    covariance = np.zeros((size, size))
    covariance[1:, 1:] = fit.covariance[: size - 1, : size - 1]
    centring = np.eye(size) - 1 / size
    variances = np.diag(centring @ covariance @ centring.T)
    return centring @ strengths, _errors(variances)


def _errors(variances: np.ndarray) -> np.ndarray:
    """Standard errors; where one is nothing, rounding may have left a variance below it."""
    errors: np.ndarray = np.sqrt(np.maximum(variances, 0.0))
    return errors


def _left(fit: _Fit, size: int) -> tuple[float, float, float] | None:
    if size not in fit.used:
        return None
    place = fit.used.index(size)
    value, error = float(fit.params[place]), float(_errors(fit.covariance[place, place]))
    return SCALE * value, SCALE * (value - Z95 * error), SCALE * (value + Z95 * error)


# ── how little it hangs on ──


def flips_to_lose_first(battles: Battles, table: Leaderboard | None = None) -> int | None:
    """How few votes, turned the other way, make another model first; None: more than are tried, or nobody is first.

    Votes that the first one won against a rival are turned, and the table is fitted anew, for every rival: what is
    found is enough, and the fewest that this way needs. ``table`` is that of these votes, if known.
    """
    votes = Counter(battles)
    table = table or leaderboard(votes)
    ranked = [one.model for one in table.strengths if one.rating is not None]
    # Who turned a vote does not matter to strengths, and without names there are fewer kinds of votes.
    nameless: Counter[Battle] = Counter()
    for battle, times in votes.items():
        if battle.a in ranked and battle.b in ranked:
            nameless[replace(battle, annotator="")] += times
    fewest: int | None = None
    for rival in ranked[1:]:
        flips = _flips(nameless, ranked, rival, MOST_FLIPS_TRIED if fewest is None else fewest - 1)
        fewest = flips if flips is not None else fewest
    return fewest


def _flips(votes: Counter[Battle], ranked: Sequence[str], rival: str, most: int) -> int | None:
    """How few votes put a rival before the first one, up to ``most``. More of them never put it back."""
    wins = sorted(battle for battle in votes if _helps(battle, ranked[0], rival))
    most = min(most, sum(votes[battle] for battle in wins))
    if most < 1 or not _ahead(_turned(votes, wins, most), ranked, rival):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _ahead(_turned(votes, wins, middle), ranked, rival) else (middle, high)
    return high


def _turned(votes: Counter[Battle], wins: Sequence[Battle], number: int) -> Counter[Battle]:
    """The same votes, so many of the wins turned."""
    turned = votes.copy()
    for battle in wins:
        times = min(number, votes[battle])
        turned[battle] -= times
        turned[replace(battle, outcome=1 - battle.outcome)] += times
        number -= times
    return +turned


def _ahead(votes: Counter[Battle], ranked: Sequence[str], rival: str) -> bool:
    """Whether the rival is stronger than the first by these votes."""
    models = sorted(ranked)
    design = _design(votes, models, ())
    used = [column for column in range(1, design.matrix.shape[1]) if design.matrix[:, column].any()]
    if np.linalg.matrix_rank(design.matrix[:, used]) < len(used):
        used = [column for column in used if column < len(models)]
    fit = _regression(design, used)
    if fit is None:
        return False
    strengths = dict(zip(models, [0.0, *fit.params[: len(models) - 1]], strict=True))
    return bool(strengths[rival] > strengths[ranked[0]] + ROUNDING)


def _helps(battle: Battle, first: str, rival: str) -> bool:
    """Whether it is a win of the first over the rival."""
    return (battle.a, battle.b, battle.outcome) in ((first, rival, 1), (rival, first, 0))


# ── bias ──


def left_share(battles: Battles) -> tuple[int, int]:
    """How often the left answer was preferred, and of how many preferences of one side by side."""
    decided = [(one, times) for one, times in Counter(battles).items() if one.side and one.outcome in (0, 1)]
    left = sum(times for one, times in decided if (one.side > 0) == (one.outcome == 1))
    return left, sum(times for _, times in decided)


def votes_per_pair(battles: Battles) -> Mapping[tuple[str, str], int]:
    """How often each two models were compared."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for one, times in Counter(battles).items():
        counts[min(one.a, one.b), max(one.a, one.b)] += times
    return dict(sorted(counts.items()))
