"""A pusher publishes what is new, in its time, alone; and if it is not alone, still every row once."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from labeler.durations import later, seconds_between
from labeler.errors import HubError, PackageError
from labeler.export.crews import in_process
from labeler.export.manifest import Manifest
from labeler.hub import DatasetRepo, Patience, verify_remote
from labeler.store import Store, utc_now
from labeler.store.pushes import PushState, claim, push_state, push_states
from labeler.syncing import HOLD_SECONDS, JITTER, Outlet, Pusher, Tempo, Turn, push_once
from tests.export import KEY, exported, judged, open_store, rows_of, study_of, tell
from tests.hub.packages import rows_in
from tests.hub_server import Account, Answer, Gate, Hold, HubServer, Lost

REPO = "tester/votes"
EVERY = 600.0
QUICK = Patience(tries=3, first=0.01, longest=0.05, yields=True)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = "2026-11-26T10:00:00.000000Z"

    def __call__(self) -> str:
        return self.now

    def move(self, seconds: float) -> None:
        self.now = later(self.now, seconds)


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(accounts={"hf_test": Account("tester")}) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as store:
        tell(store, judged(1), judged(2))
        yield store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[Turn]:
    return []


def outlet_on(hub: HubServer, package: Path) -> Outlet:
    repo = DatasetRepo(REPO, endpoint=hub.endpoint, token="hf_test", timeout=5.0)
    return Outlet(study_of(), package, KEY, repo, in_process())


MakePusher = Callable[..., Pusher]


@pytest.fixture
def pusher(store: Store, hub: HubServer, tmp_path: Path, clock: Clock, told: list[Turn]) -> MakePusher:
    def make(name: str = "package", **keys: Any) -> Pusher:
        tempo = replace(Tempo(EVERY, patience=QUICK), **keys)
        return Pusher(store, outlet_on(hub, tmp_path / name), tempo, tell=told.append, clock=clock)

    return make


def commits(hub: HubServer) -> int:
    """How many there are beside the one that made the repo."""
    return len(hub.commits(REPO)) - 1


def assert_published(store: Store, hub: HubServer, tmp_path: Path) -> None:
    """The repo holds what the log derives to: each row once, and no file that its manifest does not name."""
    outlet = outlet_on(hub, tmp_path / "judge")
    published = outlet.repo.published()
    assert published is not None
    assert published.manifest is not None
    package = exported(store, study_of(), tmp_path / "judge").package
    rows = rows_in(hub.files(REPO))
    assert {config: len(found) for config, found in rows.items() if found} == {
        config: len(rows_of(package, config)) for config in rows if rows_of(package, config)
    }
    assert verify_remote(outlet.repo, published.manifest) == ()
    assert published.manifest.position == store.position()


# ── one pusher ──


def test_the_first_turn_publishes_and_the_next_ones_only_what_is_new(
    pusher: MakePusher, store: Store, hub: HubServer, clock: Clock, told: list[Turn], tmp_path: Path
) -> None:
    one = pusher()
    one.turn()
    assert commits(hub) == 1
    for _ in range(3):
        clock.move(1.2 * EVERY)
        one.turn()
    assert commits(hub) == 1, "nothing was new"
    tell(store, judged(3))
    one.turn()
    assert commits(hub) == 2
    assert_published(store, hub, tmp_path)
    assert [turn.pushed.note.split()[0] for turn in told if turn.pushed] == ["published", "published"]


def test_without_news_the_hub_is_not_even_asked(pusher: MakePusher, hub: HubServer, clock: Clock) -> None:
    one = pusher()
    one.turn()
    before = len(hub.seen)
    clock.move(1.2 * EVERY)
    one.turn()
    assert len(hub.seen) == before


def test_there_is_at_most_one_commit_in_an_interval(
    pusher: MakePusher, store: Store, hub: HubServer, clock: Clock
) -> None:
    one = pusher()
    one.turn()
    for number in range(3, 9):
        tell(store, judged(number))
        clock.move(EVERY / 4)
        wait = one.turn()
        assert wait > 0
    assert commits(hub) == 2
    made = [state.committed_at for state in push_states(store)]
    assert made == [later("2026-11-26T10:00:00.000000Z", EVERY)]


def test_a_restart_does_not_begin_a_new_interval(
    pusher: MakePusher, store: Store, hub: HubServer, clock: Clock
) -> None:
    pusher().turn()
    tell(store, judged(3))
    clock.move(60)
    wait = pusher().turn(first=True)
    assert commits(hub) == 1
    assert EVERY - 60 <= wait <= EVERY - 60 + EVERY * JITTER
    clock.move(wait)
    pusher().turn(first=True)
    assert commits(hub) == 2


def test_waits_are_spread_and_never_shorter_than_the_interval(pusher: MakePusher) -> None:
    one = pusher()
    one.turn()
    random.seed(1)
    waits = [one.turn() for _ in range(200)]
    assert EVERY <= min(waits) < max(waits) <= EVERY * (1 + JITTER)
    assert max(waits) - min(waits) > 0.8 * EVERY * JITTER


def test_the_last_turn_does_not_wait_for_its_time(
    pusher: MakePusher, store: Store, hub: HubServer, tmp_path: Path
) -> None:
    one = pusher()
    one.turn()
    tell(store, judged(3))
    one.turn(last=True)
    assert commits(hub) == 2
    assert push_state(store, outlet_on(hub, tmp_path).repo.address).next_at is None
    assert_published(store, hub, tmp_path)


def test_a_pusher_that_is_stopped_pushes_a_last_time(
    pusher: MakePusher, store: Store, hub: HubServer, tmp_path: Path
) -> None:
    one, stop, begun = pusher(), threading.Event(), threading.Event()
    turn = one.turn

    def watched(**which: bool) -> float:
        wait = turn(**which)
        begun.set()
        return wait

    one.turn = watched  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(one.run, stop)
        assert begun.wait(30)
        tell(store, judged(3))
        stop.set()
        running.result(30)
    assert commits(hub) == 2
    assert_published(store, hub, tmp_path)


# ── trouble ──


@pytest.mark.parametrize("headers", [{"Retry-After": "900"}, {"RateLimit": '"api";r=0;t=900'}])
def test_a_rate_limit_is_waited_for_as_long_as_the_hub_says(
    pusher: MakePusher, store: Store, hub: HubServer, headers: dict[str, str], clock: Clock, told: list[Turn]
) -> None:
    hub.faults.next("commit", Answer(429, headers))
    wait = pusher().turn(first=True)
    assert wait == 900
    assert len([one for one in hub.seen if one.kind == "commit"]) == 1, "asked once, and not again"
    (state,) = push_states(store)
    assert (state.failures, state.next_at) == (1, later(clock(), 900))
    assert "429" in str(state.error)
    assert told[-1].error == state.error
    clock.move(wait)
    pusher().turn()
    assert commits(hub) == 1
    (state,) = push_states(store)
    assert (state.failures, state.error) == (0, None)


def test_a_short_rate_limit_is_waited_for_within_the_turn(pusher: MakePusher, hub: HubServer) -> None:
    hub.faults.next("commit", Answer(429, {"Retry-After": "0"}))
    pusher().turn(first=True)
    assert commits(hub) == 1


def test_failures_are_counted_and_the_pusher_goes_on(
    pusher: MakePusher, store: Store, hub: HubServer, clock: Clock, told: list[Turn], tmp_path: Path
) -> None:
    one = pusher()
    one.turn(first=True)
    tell(store, judged(3))
    hub.faults.always("repo_info", Answer(503))
    for failures in (1, 2):
        clock.move(1.2 * EVERY)
        wait = one.turn()
        assert EVERY <= wait <= EVERY * (1 + JITTER)
        assert push_states(store)[0].failures == failures
        assert told[-1].error is not None
    hub.faults.always("repo_info", None)
    clock.move(1.2 * EVERY)
    one.turn()
    assert push_states(store)[0].failures == 0
    assert_published(store, hub, tmp_path)


def test_a_lost_answer_is_no_second_commit(pusher: MakePusher, store: Store, hub: HubServer, tmp_path: Path) -> None:
    hub.faults.next("commit", Lost())
    pusher().turn(first=True)
    assert commits(hub) == 1
    assert push_states(store)[0].commit_oid == hub.commits(REPO)[0].oid
    assert_published(store, hub, tmp_path)


def test_what_time_does_not_mend_ends_a_strict_pusher_at_once(
    hub: HubServer, store: Store, tmp_path: Path, told: list[Turn]
) -> None:
    refused = replace(
        outlet_on(hub, tmp_path / "p"), repo=DatasetRepo(REPO, endpoint=hub.endpoint, token="hf_wrong", timeout=5.0)
    )
    with pytest.raises(HubError, match="token"):
        Pusher(store, refused, Tempo(EVERY, patience=QUICK), tell=told.append).run(threading.Event())
    assert told == []
    assert push_states(store)[0].failures == 1


def test_a_lenient_pusher_goes_on_whatever_its_first_turn_met(
    pusher: MakePusher, hub: HubServer, clock: Clock, told: list[Turn], tmp_path: Path
) -> None:
    foreign = tmp_path / "package"
    foreign.mkdir()
    (foreign / "somebody-elses.txt").write_text("keep me")
    one = pusher(strict=False)
    with pytest.raises(PackageError):
        pusher().turn(first=True)
    one.turn(first=False)
    assert "somebody" in str(told[-1].error) or "package" in str(told[-1].error)
    (foreign / "somebody-elses.txt").unlink()
    clock.move(1.2 * EVERY)
    one.turn()
    assert commits(hub) == 1


# ── several ──


def test_two_pushers_of_one_log_keep_one_pace(
    pusher: MakePusher, store: Store, hub: HubServer, clock: Clock, tmp_path: Path
) -> None:
    both = pusher("a"), pusher("b")
    for number in range(3, 15):
        for one in both:
            one.turn()
        tell(store, judged(number))
        clock.move(EVERY / 3 + 1)
    assert commits(hub) == 4
    for one in both:
        one.turn(last=True)
    assert_published(store, hub, tmp_path)


def test_a_repo_that_is_held_is_left_alone_until_the_claim_runs_out(
    pusher: MakePusher, store: Store, hub: HubServer, clock: Clock, tmp_path: Path
) -> None:
    address = outlet_on(hub, tmp_path).repo.address
    until = later(clock(), HOLD_SECONDS)
    assert claim(store, address, "a dead one", now=clock(), until=until, unless_committed_after="").held_until == until
    wait = pusher().turn(first=True)
    assert wait == HOLD_SECONDS
    assert hub.seen == []
    clock.move(wait)
    pusher().turn(first=True)
    assert commits(hub) == 1


def test_a_push_that_takes_long_keeps_its_claim(
    pusher: MakePusher, store: Store, hub: HubServer, clock: Clock, tmp_path: Path
) -> None:
    gate = Gate()
    hub.faults.next("commit", Hold(gate))
    hub.faults.next("paths_info", Answer(503, {"Retry-After": "0"}))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(pusher("a").turn, first=True)
        assert gate.arrived.wait(30)
        clock.move(HOLD_SECONDS / 2)
        assert pusher("b").turn(first=True) == HOLD_SECONDS / 2
        gate.open()
        slow.result(30)
    assert commits(hub) == 1
    assert push_states(store)[0].holder is None


def test_two_pushers_that_know_nothing_of_each_other_publish_every_row_once(
    store: Store, hub: HubServer, tmp_path: Path
) -> None:
    """As on two machines, each with its copy of the log's database: no claim stands between them."""
    tempo = Tempo(0.05, strict=False, patience=replace(QUICK, tries=8))
    told: list[Turn] = []
    stop = threading.Event()
    shutil.copytree(tmp_path, tmp_path / "other", ignore=shutil.ignore_patterns("xet*"))
    with open_store(tmp_path / "other") as copy, ThreadPoolExecutor(2) as pool:
        for number in range(3, 9):
            tell(store, judged(number))
            tell(copy, judged(number))
        assert copy.position() == store.position()
        runs = [
            pool.submit(Pusher(log, outlet_on(hub, tmp_path / name), tempo, tell=told.append).run, stop)
            for name, log in (("a", store), ("b", copy))
        ]
        stop.set()
        for one in runs:
            one.result(60)
    assert commits(hub) == 1
    assert_published(store, hub, tmp_path)


# ── by hand, and what is remembered ──


def test_a_push_by_hand_is_remembered_and_keeps_the_pace(
    pusher: MakePusher, store: Store, hub: HubServer, tmp_path: Path
) -> None:
    outlet = outlet_on(hub, tmp_path / "p")
    _, pushed = push_once(store, outlet)
    (state,) = push_states(store)
    assert (state.repo, state.commit_oid, state.position) == (outlet.repo.address, pushed.commit, store.position())
    assert state.holder is None
    assert seconds_between(str(state.committed_at), utc_now()) < 60


def test_a_failure_by_hand_is_remembered_too_and_a_dry_run_is_not(store: Store, hub: HubServer, tmp_path: Path) -> None:
    outlet = outlet_on(hub, tmp_path / "p")
    push_once(store, outlet, dry_run=True)
    assert push_states(store) == []
    wrong = replace(outlet, repo=DatasetRepo(REPO, endpoint=hub.endpoint, token="hf_wrong", timeout=5.0))
    with pytest.raises(HubError):
        push_once(store, wrong)
    assert [(state.failures, state.position) for state in push_states(store)] == [(1, None)]


def test_what_is_known_is_told_as_one_object(pusher: MakePusher, store: Store, hub: HubServer, clock: Clock) -> None:
    pusher().turn()
    tell(store, judged(3))
    facts = push_states(store)[0].facts(store.position(), clock())
    assert facts["state"] == "waiting"
    assert facts["behind"] == store.position() - int(facts["position"] or 0) > 0
    assert facts["commit"] == hub.commits(REPO)[0].oid
    held = PushState("r", holder="h", held_until=later(clock(), 1))
    assert held.facts(5, clock())["state"] == "pushing"
    assert PushState("r", error="refused", failures=1).facts(5, clock())["state"] == "failing"
    assert held.facts(5, later(clock(), 2))["state"] == "waiting"


def test_the_published_manifest_is_of_one_position(pusher: MakePusher, store: Store, hub: HubServer) -> None:
    pusher().turn()
    manifest = Manifest.from_json(hub.files(REPO)["_export/manifest.json"].decode())
    assert manifest.position == push_states(store)[0].position == store.position()
