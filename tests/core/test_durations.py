"""Lengths of time as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.durations import seconds_of

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@given(st.integers(1, 999_999), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_a_number_and_a_unit_are_seconds(number: int, unit: str, space: str) -> None:
    assert seconds_of(f" {number}{space}{unit} ") == number * UNITS[unit]


@pytest.mark.parametrize("written", ["", "10", "m", "0m", "-5m", "1.5h", "10 minutes", "10M", "1h30m", "1e3s", "١٠m"])
def test_anything_else_is_refused_with_the_way_to_write_it(written: str) -> None:
    with pytest.raises(ValueError, match="write it like 90s, 10m, 1h or 1d"):
        seconds_of(written)
