"""Samples of scripts/load and scripts/chaos-servers. How long anything took is printed, and held against nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load import chaos, crowd
from tests.load.annotator import Pace

BRISK = Pace(gesture=1.0, turn=6.0)


@pytest.mark.timeout(300)
def test_a_crowd_has_every_gesture_stored_once_and_memory_stays_flat(tmp_path: Path) -> None:
    load = crowd.run(tmp_path, annotators=10, seconds=30, pace=BRISK, seed=20261129)
    print(crowd.told(load))  # noqa: T201
    assert load.exactly_once, crowd.told(load)
    assert load.verdict.acknowledged >= 20
    assert load.figures.bares >= 1
    assert load.figures.growth <= crowd.MOST_GROWTH, crowd.told(load)


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_or_doubled_while_servers_die_restart_and_lose_each_other(tmp_path: Path) -> None:
    faults = ["kill", "restart-immediate", "root-vanish", "door-stall", "end", "root-stall"]
    lines: list[str] = []
    outcome = chaos.run(tmp_path, faults, annotators=8, pace=BRISK, seed=20261129, tell=lines.append)
    print(*lines, chaos.told(outcome, 0), sep="\n")  # noqa: T201
    assert outcome.ok, "\n".join([*lines, chaos.told(outcome, 0)])
    assert outcome.verdict.acknowledged >= 20


def test_every_kind_of_fault_has_its_turn_and_the_order_is_drawn() -> None:
    assert sorted(chaos.drawn(len(chaos.FAULTS), 1)) == sorted(chaos.FAULTS)
    assert len(chaos.drawn(25, 1)) == 25
    assert chaos.drawn(25, 1) != chaos.drawn(25, 2)
