"""The annotators: those who answer at random are found, the others mostly not."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.contributions import _add_raters
from labeler.core.judging import WINNERS
from labeler.insights.intervals import wilson
from labeler.insights.raters import LEAST_JUDGEMENTS, Rater, raters_of

Judgement = tuple[str, str, str]


def raters(told: list[Judgement]) -> list[Rater]:
    """Judgements (unit, annotator, word) as a log would add them up."""
    units: dict[str, dict[str, str]] = {}
    for unit, annotator, word in told:
        units.setdefault(unit, {})[annotator] = word
    sums: Counter[tuple[str, ...]] = Counter()
    for words in units.values():
        _add_raters(sums, words, WINNERS, "pair")
    return raters_of(sums)


def crowd(chance: random.Random, *, honest: int, guessing: int, units: int, each: int) -> list[Judgement]:
    """Units whose truth honest annotators see four times of five; the others guess."""
    names = [f"h{number}" for number in range(honest)] + [f"g{number}" for number in range(guessing)]
    told = []
    for unit in range(units):
        truth = chance.choice(("a", "b"))
        for name in chance.sample(names, each):
            sees = name.startswith("h") and chance.random() < 0.8
            told.append((f"u{unit}", name, truth if sees else chance.choice(WINNERS)))
    return told


def test_guessers_are_flagged_and_honest_annotators_mostly_not() -> None:
    """The rates over 30 crowds of 16 honest annotators and 4 who guess, about 60 judgements each."""
    chance = random.Random(13)
    found = {"h": [0, 0], "g": [0, 0]}
    for _ in range(30):
        for rater in raters(crowd(chance, honest=16, guessing=4, units=300, each=4)):
            found[rater.annotator[0]][0] += rater.flagged
            found[rater.annotator[0]][1] += 1
    guessers, honest = (found[kind][0] / found[kind][1] for kind in "gh")
    assert guessers >= 0.9
    assert honest <= 0.05


def test_whoever_judged_little_is_not_judged() -> None:
    told = [(f"u{n}", name, "a") for n in range(LEAST_JUDGEMENTS - 1) for name in ("x", "y", "z")]
    assert [(one.z, one.flagged) for one in raters(told)] == [(None, False)] * 3


def test_what_nobody_else_judged_says_nothing() -> None:
    assert raters([(f"u{n}", "x", "a") for n in range(50)]) == []


def test_order_does_not_matter() -> None:
    told = crowd(random.Random(1), honest=6, guessing=2, units=80, each=3)
    again = list(told)
    random.Random(2).shuffle(again)
    for one, other in zip(raters(told), raters(again), strict=True):
        assert (one.annotator, one.judgements, one.flagged) == (other.annotator, other.judgements, other.flagged)
        assert one.z == pytest.approx(other.z)


@given(st.integers(0, 500), st.integers(1, 500))
def test_a_wilson_interval_holds_the_share_and_stays_in_bounds(right: int, number: int) -> None:
    right = min(right, number)
    low, high = wilson(right, number) or (1, 0)
    assert 0 <= low <= right / number <= high <= 1


def test_a_wilson_interval_is_the_published_one() -> None:
    assert wilson(9, 10) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))
    assert wilson(0, 0) is None
