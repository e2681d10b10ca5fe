"""Agreement equals what others compute, and says when there is nothing to compute."""

from __future__ import annotations

from collections import Counter

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labeler.core.agreement import alpha as pure_alpha
from labeler.insights.agreement import Level, agreement, alphas

NAMES = ("a much", "a", "tie", "b", "b much")
# Krippendorff's own example: four observers, twelve units, with gaps.
PUBLISHED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=2, max_size=30)


def counted(units: list[list[int]], size: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(unit.count(category) for category in range(size)) for unit in units)


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.7434), ("ordinal", 0.8154)])
def test_the_published_example_has_its_published_value(level: Level, value: float) -> None:
    columns = zip(*PUBLISHED, strict=True)
    units = [[one - 1 for one in column if one is not None] for column in columns]
    assert agreement(counted(units, 5), NAMES, level).alpha == pytest.approx(value, abs=5e-5)


@settings(deadline=None)
@given(UNITS, st.sampled_from(["nominal", "ordinal"]))
def test_alpha_equals_the_oracle(units: list[list[int]], level: Level) -> None:
    found = agreement(counted(units, 4), NAMES[:4], level).alpha
    shared = [unit for unit in units if len(unit) > 1]
    assume(len({one for unit in shared for one in unit}) > 1)
    width = max(len(unit) for unit in units)
    table = np.array([[*unit, *[np.nan] * (width - len(unit))] for unit in units], dtype=float).T
    assert found == pytest.approx(
        krippendorff.alpha(reliability_data=table, level_of_measurement=level, value_domain=[0, 1, 2, 3]), abs=1e-9
    )
    counts = np.array([[unit.count(category) for category in range(4)] for unit in shared], dtype=float)
    assert alphas(np.ones((1, len(shared))), counts, level)[0] == pytest.approx(found, abs=1e-9)


@given(UNITS)
def test_alpha_equals_the_one_that_the_card_has(units: list[list[int]]) -> None:
    assert agreement(counted(units, 4), NAMES[:4]).alpha == pytest.approx(pure_alpha(counted(units, 4)), abs=1e-9)


@pytest.mark.parametrize("units", [[], [[0], [1], [2]], [[1, 1], [1, 1, 1]]])
def test_what_is_undefined_says_so(units: list[list[int]]) -> None:
    found = agreement(counted(units, 3), NAMES[:3])
    assert (found.alpha, found.low, found.high) == (None, None, None)


def test_percent_and_prevalence_stand_beside_it() -> None:
    """Where nearly all say the same, alpha is low in spite of agreement; the numbers beside it say why."""
    found = agreement({(2, 0): 95, (1, 1): 5}, ("like", "dislike"))
    assert found.percent == pytest.approx(0.95)
    assert found.prevalence == {"like": 0.975, "dislike": 0.025}
    assert found.alpha is not None
    assert found.alpha < 0.01


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Annotators who say the truth four times of five, and guess else: alpha is then 0.64 for two categories."""
    chance = np.random.default_rng(7)
    held = 0
    for _ in range(120):
        truth = chance.integers(0, 2, 150)
        said = [np.where(chance.random(150) < 0.8, truth, chance.integers(0, 2, 150)) for _ in range(3)]
        units = Counter((int(sum(one)), 3 - int(sum(one))) for one in zip(*said, strict=True))
        found = agreement(units, ("a", "b"))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.64 <= found.high
    assert 0.89 <= held / 120 <= 1.0


def test_the_same_units_have_the_same_interval() -> None:
    units = {(2, 1): 10, (3, 0): 20, (0, 3): 15, (1, 2): 7}
    assert agreement(units, ("a", "b")) == agreement(dict(reversed(units.items())), ("a", "b"))
