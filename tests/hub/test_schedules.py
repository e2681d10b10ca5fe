"""A sample of the random fault schedules; ``scripts/faults --rounds 1000`` runs many."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.export import open_store, simulated, study_of
from tests.hub.mortal import Order, Pusher
from tests.hub.schedules import HOSTS, REPO, run_schedule, summary
from tests.hub_server import Account, HubServer, Kill

SECONDS = 30.0


@pytest.fixture
def order(tmp_path: Path, hub: HubServer) -> Order:
    study = study_of(redaction={"policy": "replace"})
    with open_store(tmp_path) as store:
        simulated(store, 5, study)
    url, folder = f"sqlite:///{tmp_path / 'log.db'}", tmp_path / "one"
    folder.mkdir()
    return Order(url, study, folder / "package", hub.endpoint, "xet", tmp_path / "xet")


@pytest.fixture
def hub() -> HubServer:
    return HubServer(accounts={"hf_test": Account("tester")})


def test_rows_on_the_hub_are_the_rows_derived_whatever_fails_and_whoever_dies() -> None:
    started, seed, rounds = time.monotonic(), 0, []
    while seed < 2 or (seed < 24 and time.monotonic() - started < SECONDS):
        rounds.append(run_schedule(seed))
        seed += 1
    assert sum(one.died.total() for one in rounds) >= 2
    assert f"{seed} rounds held" in summary(rounds)


def test_a_round_can_be_told_again_from_its_seed() -> None:
    one, again = run_schedule(3), run_schedule(3)
    assert (one.way, one.stages, one.commits, one.rows) == (again.way, again.stages, again.commits, again.rows)


def test_a_pusher_tells_of_its_writes_and_dies_before_the_one_that_it_is_told(order: Order, hub: HubServer) -> None:
    with hub:
        whole = Pusher(order).end()
        assert whole.pushed
        assert {"open /.package.lock", "rename /package", "commit of the database"} <= set(whole.writes)
        scanned = Pusher(replace(order, package=order.package.parent / "another")).end()
        other = replace(order, package=order.package.parent / "other")
        died = Pusher(replace(other, dies_at=scanned.writes.index("rename /another") + 1)).end()
    assert died.dead
    assert died.writes[-1] == "rename /other"
    assert not other.package.exists()
    assert (other.package.parent / ".other.new").is_dir()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_hub_kills_who_sent_a_request_before_or_after_it_is_applied(
    order: Order, hub: HubServer, after: bool
) -> None:
    hub.faults.next("commit", Kill(after))
    with hub:
        pusher = Pusher(replace(order, endpoint=hub.endpoint.replace(HOSTS[0], HOSTS[1])))
        hub.killers = {HOSTS[1]: pusher.kill}
        assert pusher.end().dead
        assert len(hub.commits(REPO)) == 1 + after
