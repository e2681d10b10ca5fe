"""From sums of what conversations contribute to what people read: one document of statistics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import exp
from typing import Any

from labeler.core.agreement import alpha, observed
from labeler.core.contributions import BUCKET, Key
from labeler.core.judging import STEPS, VOTES, WINNERS
from labeler.core.wishes import NO_WISHES, Wishes
from labeler.insights.agreement import Level, agreement
from labeler.insights.intervals import wilson
from labeler.insights.ranking import Battle, Leaderboard, flips_to_lose_first, leaderboard, left_share, votes_per_pair
from labeler.insights.raters import LEAST_GOLD, Rater, raters_of

Sums = Mapping[Key, int]
LEAST_SHARED = 5  # units that two annotators must share before they are compared


def report(sums: Sums, wishes: Wishes = NO_WISHES) -> dict[str, Any]:
    """The documented object (docs/stats.md): the same for the same sums."""
    battles = _battles(sums, wishes)
    plain = leaderboard(battles)
    return {
        "agreement": _agreement(sums),
        "between_annotators": _between(sums),
        "leaderboard": _leaderboard(sums, battles, plain, wishes),
        "position": _position(battles, plain),
        "raters": _raters(sums),
        "over_time": _over_time(sums),
        "days": _given(sums, "when", "day"),
        "reasons": sorted(_given(sums, "given", "reason"), key=lambda one: -_all_of(one)),
    }


def _share(right: int, number: int) -> dict[str, float | int | None]:
    """A share with its interval, rounded."""
    low, high = wilson(right, number) or (None, None)
    return {
        "n": number,
        "share": _round(right / number if number else None),
        "low": _round(low),
        "high": _round(high),
    }


def _round(number: float | None, digits: int = 4) -> float | None:
    return None if number is None else round(number, digits)


# ── agreement ──


def _units(sums: Sums, name: str, place: int) -> Counter[tuple[int, ...]]:
    """Counts of units under a name, from the part of the key at a place."""
    return sum(_units_by_first(sums, name, place).values(), Counter())


def _units_by_first(sums: Sums, name: str, place: int) -> Mapping[str, Counter[tuple[int, ...]]]:
    """The same apart for each week, or reason: what follows the name."""
    apart: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for key, times in sums.items():
        if key[0] == name:
            apart[key[1]][tuple(map(int, key[place].split(",")))] += times
    return apart


def _told(units: Counter[tuple[int, ...]], categories: Sequence[str], level: Level = "nominal") -> dict[str, Any]:
    found = asdict(agreement(units, categories, level))
    prevalence = {name: round(share, 4) for name, share in found.pop("prevalence").items()}
    return {name: _round(value) for name, value in found.items()} | {"prevalence": prevalence}


def _agreement(sums: Sums) -> dict[str, Any]:
    reasons = sorted(_units_by_first(sums, "reason", 2).items())
    return {
        "pairs": _told(_units(sums, "pair", 2), WINNERS),
        "pairs_ordinal": _told(_units(sums, "pair", 3), STEPS, "ordinal"),
        "votes": _told(_units(sums, "vote", 2), VOTES),
        "reasons": {name: _told(units, ("given", "not given")) for name, units in reasons},
    }


def _between(sums: Sums) -> list[dict[str, Any]]:
    """Each two annotators who judged enough of the same pairs of answers."""
    shared: dict[tuple[str, str], Counter[tuple[int, ...]]] = defaultdict(Counter)
    for key, times in sums.items():
        if key[0] == "between":
            counts = tuple([key[3], key[4]].count(winner) for winner in WINNERS)
            shared[key[1], key[2]][counts] += times
    enough = {pair: units for pair, units in sorted(shared.items()) if units.total() >= LEAST_SHARED}
    return [
        {
            "annotators": list(pair),
            "units": units.total(),
            "percent": _round(observed(units)),
            "alpha": _round(alpha(units)),
        }
        for pair, units in enough.items()
    ]


def _over_time(sums: Sums) -> list[dict[str, Any]]:
    """By week: how much was judged, and how far people agreed."""
    pairs, votes = _units_by_first(sums, "pair", 2), _units_by_first(sums, "vote", 2)
    return [
        {
            "week": week,
            "pairs": pairs[week].total(),
            "votes": votes[week].total(),
            "alpha": _round(alpha(pairs[week])),
        }
        for week in sorted({*pairs, *votes})
    ]


def _all_of(given: Mapping[str, Any]) -> int:
    return int(given["likes"] + given["dislikes"] + given["comparisons"])


def _given(sums: Sums, name: str, what: str) -> list[dict[str, Any]]:
    """How many likes, dislikes and comparisons there are of each day, or with each reason."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for key, times in sums.items():
        if key[0] == name:
            table[key[1]][key[2]] += times
    return [
        {what: one, "likes": counts["like"], "dislikes": counts["dislike"], "comparisons": counts["comparison"]}
        for one, counts in sorted(table.items())
    ]


# ── models ──


def _battles(sums: Sums, wishes: Wishes, controls: Sequence[str] = ()) -> Counter[Battle]:
    """The votes on two models, with what is to be controlled for and no more: what is alike is counted together."""
    battles: Counter[Battle] = Counter()
    for key, times in sums.items():
        if key[0] != "battle" or (wishes.blind_only and key[8]):
            continue
        _, a, b, outcome, annotator, side, length, style, _ = key
        if a != b:
            measured = {"length": float(length), "style": float(style)}
            contrasts = {name: value for name, value in measured.items() if name in controls}
            battles[Battle(a, b, float(outcome), annotator, int(side), **contrasts)] += times
    return battles


def _leaderboard(sums: Sums, battles: Counter[Battle], plain: Leaderboard, wishes: Wishes) -> dict[str, Any]:
    table = plain
    if wishes.controls:
        table = leaderboard(_battles(sums, wishes, wishes.controls), controls=wishes.controls)
    models = [
        {
            "model": one.model,
            "rank": one.rank,
            "rating": _round(one.rating, 1),
            "low": _round(one.low, 1),
            "high": _round(one.high, 1),
            "comparisons": one.comparisons,
        }
        for one in table.strengths
    ]
    pairs = [{"models": list(pair), "votes": votes} for pair, votes in votes_per_pair(battles).items()]
    return {
        "models": models,
        "votes_per_pair": pairs,
        "flips_to_lose_first": flips_to_lose_first(battles, plain),
        "controls": list(wishes.controls),
    }


def _position(battles: Counter[Battle], plain: Leaderboard) -> dict[str, Any]:
    left, decided = left_share(battles)
    points = None if plain.left is None else [round(one, 1) for one in plain.left]
    return {"left": _share(left, decided), "advantage": points}


# ── annotators ──


def _raters(sums: Sums) -> list[dict[str, Any]]:
    """Every annotator: how much, how fast, how kindly, and how far from what the others say."""
    days: dict[str, Counter[str]] = defaultdict(Counter)
    thumbs: dict[str, Counter[str]] = defaultdict(Counter)
    gold: dict[str, Counter[str]] = defaultdict(Counter)
    speeds: dict[str, Counter[int]] = defaultdict(Counter)
    for key, times in sums.items():
        match key[0]:
            case "day":
                days[key[1]][key[2]] += times
            case "thumb":
                thumbs[key[1]][key[2]] += times
            case "gold":
                gold[key[1]][key[2]] += times
            case "speed":
                speeds[key[1]][int(key[2])] += times
    against = {one.annotator: one for one in raters_of(sums)}
    names = sorted({*days, *thumbs, *gold, *against})
    return [
        {
            "annotator": name,
            "judgements": days[name].total(),
            "days": len(days[name]),
            "like_rate": _share(thumbs[name]["like"], thumbs[name].total()),
            "median_decision_ms": _median(speeds[name]),
            "gold": _share(gold[name]["right"], gold[name].total()) | {"enough": gold[name].total() >= LEAST_GOLD},
            **_consensus(against.get(name)),
        }
        for name in names
    ]


def _consensus(rater: Rater | None) -> dict[str, Any]:
    if rater is None:
        return {"shared": 0, "agreed": None, "z": None, "flagged": False}
    return {
        "shared": rater.judgements,
        "agreed": _round(rater.agreed),
        "z": _round(rater.z, 2),
        "flagged": rater.flagged,
    }


def _median(buckets: Counter[int]) -> int | None:
    """The middle of a histogram of times, in milliseconds, to about a tenth."""
    half, seen = buckets.total() / 2, 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= half:
            return round(exp(bucket * BUCKET))
    return None
