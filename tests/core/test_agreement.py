"""Agreement: against Krippendorff's own example, and against what the words mean."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.agreement import alpha, observed, several

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), part C: 4 observers, 12 units, values 1 to 5.
OBSERVERS = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)

tables = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=12).map(Counter)


def units_of(*observers: str) -> Counter[tuple[int, ...]]:
    columns = zip(*(line.split() for line in observers), strict=True)
    return Counter(tuple(column.count(value) for value in "12345") for column in columns)


def test_krippendorffs_example_has_his_value() -> None:
    assert alpha(units_of(*OBSERVERS)) == pytest.approx(0.7434, abs=5e-5)


def test_units_that_one_annotator_judged_say_nothing() -> None:
    units = units_of(*OBSERVERS)
    more = units + Counter({(1, 0, 0, 0, 0): 7, (0, 0, 0, 0, 0): 2})
    assert (alpha(more), observed(more), several(more)) == (alpha(units), observed(units), several(units))
    assert several(units) == 11


def test_agreement_throughout_is_one() -> None:
    units = {(3, 0): 2, (0, 2): 1}
    assert (alpha(units), observed(units)) == (1.0, 1.0)


def test_where_everybody_uses_one_category_alpha_is_undefined() -> None:
    assert alpha({(3, 0): 4}) is None
    assert observed({(3, 0): 4}) == 1.0


@pytest.mark.parametrize("units", [{}, {(1, 0): 3}, {(0, 0): 1}], ids=repr)
def test_nothing_judged_twice_is_undefined(units: dict[tuple[int, ...], int]) -> None:
    assert (alpha(units), observed(units), several(units)) == (None, None, 0)


@given(tables)
def test_the_observed_share_is_that_of_all_pairs_of_annotators(units: Counter[tuple[int, ...]]) -> None:
    judged = [[place for place, n in enumerate(counts) for _ in range(n)] for counts in units.elements()]
    pairs = [one == other for unit in judged for one, other in permutations(unit, 2)]
    assert observed(units) == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


@given(tables, st.permutations(range(3)))
def test_the_names_of_categories_do_not_matter(units: Counter[tuple[int, ...]], order: list[int]) -> None:
    renamed = {tuple(counts[place] for place in order): times for counts, times in units.items()}
    assert alpha(renamed) == (None if alpha(units) is None else pytest.approx(alpha(units)))
