"""A sample of the random fault schedules; ``scripts/faults --rounds 200`` runs many."""

from __future__ import annotations

import time

from tests.hub.schedules import run_schedule

SECONDS = 15.0


def test_rows_on_the_hub_are_the_rows_derived_whatever_fails() -> None:
    started, seed = time.monotonic(), 0
    while seed < 2 or (seed < 12 and time.monotonic() - started < SECONDS):
        run_schedule(seed)
        seed += 1


def test_a_round_can_be_told_again_from_its_seed() -> None:
    one, again = run_schedule(3), run_schedule(3)
    assert (one.way, one.stages, one.commits, one.rows) == (again.way, again.stages, again.commits, again.rows)
