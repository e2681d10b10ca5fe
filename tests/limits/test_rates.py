"""Rates and seats: nobody gets more than their share, nobody waits longer than needed, and memory is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.rates import MINUTE, Rate, Seats


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


rates = st.integers(1, 600)
pauses = st.lists(st.floats(0.0, 90.0, allow_nan=False), min_size=1, max_size=60)


def test_a_minutes_worth_may_come_at_once_and_then_one_by_one() -> None:
    clock = Clock()
    rate = Rate(60, clock)
    assert [rate.wait("a") for _ in range(60)] == [0.0] * 60
    assert rate.wait("a") == pytest.approx(1.0)
    clock.now += 1.0
    assert rate.wait("a") == 0.0
    assert rate.wait("a") == pytest.approx(1.0)


def test_one_key_takes_nothing_from_another() -> None:
    rate = Rate(1, Clock())
    assert (rate.wait("a"), rate.wait("b")) == (0.0, 0.0)
    assert rate.wait("a") > 0


def test_no_rate_refuses_nobody_and_remembers_nobody() -> None:
    rate = Rate(None, Clock())
    assert {rate.wait("a") for _ in range(10_000)} == {0.0}
    assert rate.known == 0


@given(st.integers(1, 30), st.lists(st.floats(0.0, 90.0, allow_nan=False), min_size=1, max_size=15))
def test_no_minute_sees_more_than_two_minutes_worth(per_minute: int, between: list[float]) -> None:
    clock = Clock()
    rate = Rate(per_minute, clock)
    taken = []
    for pause in between:
        clock.now += pause
        for _ in range(per_minute // 3 + 1):
            if rate.wait("a") == 0.0:
                taken.append(clock.now)
    for begin in taken:
        assert sum(begin <= at < begin + MINUTE for at in taken) <= 2 * per_minute


@given(rates, pauses)
def test_whoever_waits_as_long_as_told_is_not_refused_again(per_minute: int, between: list[float]) -> None:
    clock = Clock()
    rate = Rate(per_minute, clock)
    for pause in between:
        clock.now += pause
        for _ in range(per_minute + 1):
            seconds = rate.wait("a")
            if seconds:
                assert seconds <= MINUTE / per_minute * 1.001
                clock.now += seconds
                assert rate.wait("a") == 0.0


@given(rates, st.lists(st.floats(-1e6, 1e6, allow_nan=False), max_size=40))
def test_a_clock_that_jumps_locks_nobody_out(per_minute: int, jumps: list[float]) -> None:
    clock = Clock()
    rate = Rate(per_minute, clock)
    for jump in jumps:
        clock.now += jump
        for _ in range(5):
            assert 0.0 <= rate.wait("a") <= MINUTE / per_minute * 1.001


def test_of_too_many_keys_the_one_that_came_last_longest_ago_is_forgotten() -> None:
    rate = Rate(1, Clock(), keys=3)
    for key in "abc":
        rate.wait(key)
    assert rate.wait("a") > 0  # refused, and still one who came just now
    rate.wait("d")
    assert rate.known == 3
    assert rate.wait("a") > 0
    assert rate.wait("b") == 0.0


@given(st.lists(st.integers(0, 100_000), max_size=300), st.integers(1, 20))
def test_memory_is_bounded_whoever_comes(keys: list[int], most: int) -> None:
    rate = Rate(5, Clock(), keys=most)
    for key in keys:
        rate.wait(str(key))
        assert rate.known <= most


def test_seats_are_free_again_when_they_are_left_however_that_happens() -> None:
    seats = Seats(2)
    with seats.seat("a") as first, seats.seat("a") as second, seats.seat("a") as third, seats.seat("b") as other:
        assert (first, second, third, other) == (True, True, False, True)
    assert seats.known == 0
    with pytest.raises(ZeroDivisionError), seats.seat("a"):
        raise ZeroDivisionError
    with seats.seat("a") as again:
        assert again
    assert seats.known == 0


def test_no_number_of_seats_is_enough_for_all() -> None:
    seats = Seats(None)
    with seats.seat("a") as one, seats.seat("a") as two:
        assert one
        assert two
