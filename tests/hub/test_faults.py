"""Whatever fails, the repo ends with exactly the package's rows in exactly one commit, or as it was."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from labeler.errors import HubError
from labeler.hub import DatasetRepo, Patience, Step, push, verify_remote
from tests.hub.conftest import ACCOUNTS, QUICK, REPO, repo_on
from tests.hub.packages import dpo, manifest_of, rows_in, rows_of, votes, write_package
from tests.hub_server import Answer, Change, Fault, Gate, Hold, HubServer, Lost, Reset, Slow, Stall, Zombie

FIRST = {("dpo", "train", 0): dpo("a", "b"), ("votes", "train", 0): votes("v1")}
LATER = {("dpo", "train", 0): dpo("a", "b"), ("votes", "train", 0): votes("v1", "v2")}

PASSING: list[Fault] = [
    Answer(408),
    Answer(429, {"Retry-After": "0"}),
    Answer(429, {"RateLimit": '"api";r=0;t=0', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}),
    Answer(500),
    Answer(502, message="<html>"),
    Answer(503, {"Retry-After": "0"}),
    Reset(),
    Reset(early=True),
    Lost(),
    Lost(status=502),
    Slow(0.05),
]
RACES: list[Fault] = [Answer(409), Answer(412), Zombie(0.0), Zombie(0.5), Stall(3.0)]
READS = ("repo_info", "resolve")
WRITES = ("create", "preupload", "validate_yaml", "commit")
STORAGE = {"xet": ("xet_token", "xorb", "xet_shard"), "lfs": ("lfs_batch", "lfs_put", "lfs_verify")}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package", FIRST)


@pytest.fixture
def later(tmp_path: Path) -> Path:
    return write_package(tmp_path / "later", LATER, position=20)


def assert_published_once(hub: HubServer, package: Path, commits: int = 2) -> None:
    """The package's rows, all of them, in that many commits, the repo's first one included."""
    hub.settle()
    assert rows_in(hub.files(REPO)) == rows_in(
        {path.relative_to(package).as_posix(): path.read_bytes() for path in package.rglob("*.parquet")}
    )
    assert len(hub.commits(REPO)) == commits
    assert verify_remote(repo_on(hub), manifest_of(package)) == ()


# ── passing trouble ──


@pytest.mark.parametrize("fault", PASSING + RACES, ids=repr)
def test_trouble_at_the_commit_ends_in_one_commit(hub: HubServer, package: Path, fault: Fault) -> None:
    hub.faults.next("commit", fault)
    result = push(package, repo_on(hub, timeout=1.0), patience=QUICK)
    assert_published_once(hub, package)
    assert result.commit == hub.commits(REPO)[0].oid


@pytest.mark.parametrize("kind", [*READS, *WRITES, "paths_info"])
@pytest.mark.parametrize("fault", [Answer(503, {"Retry-After": "0"}), Reset(), Lost(), Stall(0.8)], ids=repr)
def test_trouble_at_any_other_step_ends_in_one_commit(hub: HubServer, package: Path, kind: str, fault: Fault) -> None:
    hub.faults.next(kind, fault)
    push(package, repo_on(hub, timeout=0.7), patience=QUICK)
    assert_published_once(hub, package)


@pytest.mark.parametrize("fault", [*PASSING[:6], Reset(early=True), Lost(), Stall(0.8)], ids=repr)
def test_trouble_while_files_are_stored_ends_in_one_commit(
    hub: HubServer, package: Path, way: str, fault: Fault
) -> None:
    for kind in STORAGE[way]:
        hub.faults.next(kind, fault)
    push(package, repo_on(hub, timeout=0.4), patience=QUICK)
    assert_published_once(hub, package)


def test_a_second_push_meets_trouble_as_well_as_the_first(hub: HubServer, package: Path, later: Path, way: str) -> None:
    push(package, repo_on(hub))
    for kind in (*READS, "preupload", "paths_info", *STORAGE[way]):
        hub.faults.next(kind, Reset())
    hub.faults.next("commit", Lost())
    result = push(later, repo_on(hub), patience=dataclasses.replace(QUICK, tries=12))
    assert_published_once(hub, later, commits=3)
    assert (result.commit, result.note) == (hub.commits(REPO)[0].oid, "published; the Hub's answer had been lost")


@pytest.mark.parametrize("way", ["lfs"], indirect=True)
def test_a_bad_line_that_gets_on_file_by_file_is_not_given_up(hub: HubServer, tmp_path: Path, way: str) -> None:
    shards = {("dpo", "train", number): dpo(f"row {number}") for number in range(6)}
    package = write_package(tmp_path / "package", shards)
    for nth in range(2, 12, 2):  # every second upload fails: more often than there are tries
        hub.faults.plan("lfs_put", nth, Answer(500))
    push(package, repo_on(hub), patience=Patience(tries=2, first=0.01, longest=0.02))
    assert_published_once(hub, package)


def test_files_that_were_stored_are_not_sent_again_by_the_next_try(hub: HubServer, package: Path, way: str) -> None:
    hub.faults.next("commit", Answer(503), times=3)
    result = push(package, repo_on(hub), patience=QUICK)
    assert hub.count("commit") == 4
    assert result.bytes_sent == hub.received("xorb", "xet_shard", "lfs_put")
    assert hub.count("xorb") + hub.count("lfs_put") == len(manifest_of(package).files) if way == "lfs" else 1


def test_a_late_commit_of_a_broken_connection_is_fenced_off(hub: HubServer, package: Path) -> None:
    hub.faults.next("commit", Zombie(0.6))
    push(package, repo_on(hub), patience=QUICK)
    time.sleep(0.8)
    assert_published_once(hub, package)


# ── waiting ──


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "3600"}, {"RateLimit": '"api";r=0;t=3600', "RateLimit-Policy": '"fixed window";"api";q=1;w=3600'}],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["commit", "preupload", "repo_info", "paths_info"])
def test_an_hour_is_asked_for_and_a_moment_is_waited(
    hub: HubServer, package: Path, kind: str, headers: dict[str, str]
) -> None:
    hub.faults.next(kind, Answer(429, headers))
    steps: list[Step] = []
    started = time.monotonic()
    push(package, repo_on(hub), patience=Patience(tries=3, first=0.01, longest=0.2), report=steps.append)
    assert 0.2 <= time.monotonic() - started < 10
    assert [step.text.partition(" (")[0] for step in steps if step.stage == "wait"] == ["the Hub answered 429"]
    assert_published_once(hub, package)


def test_what_the_hub_asks_for_is_waited() -> None:
    patience = Patience(tries=5, first=1.0, longest=60.0)
    assert patience.wait(1, 7.0) == 7.0
    assert patience.wait(1, 3600.0) == 60.0
    for failures in range(1, 20):
        assert 0.5 <= patience.wait(failures, None) <= 60.0


@pytest.mark.parametrize("kind", ["repo_info", "create", "resolve", "preupload", "commit"])
@pytest.mark.parametrize("fault", [Answer(503), Reset(), Stall(5.0)], ids=repr)
def test_a_hub_that_stays_away_is_given_up_in_bounded_time(
    hub: HubServer, package: Path, kind: str, fault: Fault
) -> None:
    hub.faults.always(kind, fault)
    started = time.monotonic()
    with pytest.raises(HubError, match="gave up after 2 tries, try again later") as caught:
        push(package, repo_on(hub, timeout=0.3), patience=Patience(tries=2, first=0.01, longest=0.02))
    assert time.monotonic() - started < 8
    assert "\n" not in str(caught.value)
    hub.faults.clear()
    push(package, repo_on(hub), patience=QUICK)
    assert_published_once(hub, package)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:80", "ftp://127.0.0.1", "http://[::1"])
def test_an_address_that_is_none_is_one_clear_line(package: Path, endpoint: str) -> None:
    with pytest.raises(HubError, match=r"is not a Hub's address \(.*\); check HF_ENDPOINT"):
        push(package, DatasetRepo(REPO, endpoint=endpoint, token="hf_test"), patience=QUICK)


def test_checking_a_repo_is_as_patient_as_pushing(hub: HubServer, package: Path) -> None:
    push(package, repo_on(hub))
    for kind in ("repo_info", "resolve", "paths_info"):
        hub.faults.next(kind, Answer(503))
    assert verify_remote(repo_on(hub), patience=QUICK) == ()


def test_nobody_at_the_address_is_one_clear_line(hub: HubServer, package: Path) -> None:
    repo = DatasetRepo(REPO, endpoint="http://127.0.0.1:9", token="hf_test", timeout=0.5)
    with pytest.raises(HubError, match=r"no answer from http://127.0.0.1:9 \(.*\); gave up after 2 tries"):
        push(package, repo, patience=Patience(tries=2, first=0.01, longest=0.02))


@pytest.mark.parametrize("way", ["xet"], indirect=True)
@pytest.mark.parametrize("kind", ["xet_token", "xorb", "xet_shard"])
def test_a_storage_that_stalls_does_not_hold_the_push_for_ever(
    hub: HubServer, package: Path, way: str, kind: str
) -> None:
    hub.faults.always(kind, Stall(30.0))
    started = time.monotonic()
    with pytest.raises(HubError, match="the upload was cut off"):
        push(package, repo_on(hub, timeout=0.3), patience=Patience(tries=2, first=0.01, longest=0.02))
    assert time.monotonic() - started < 15


def test_an_old_storage_without_timeouts_does_not_hold_the_push_for_ever(hub: HubServer, package: Path) -> None:
    """Against the first version of the shard endpoint, hf_xet waits without a limit of its own."""
    hub.api.shard_versions = ("v1",)
    hub.faults.always("xet_shard_v1", Stall(30.0))
    started = time.monotonic()
    with pytest.raises(HubError, match="the upload was cut off"):
        push(package, repo_on(hub, timeout=0.3), patience=Patience(tries=2, first=0.01, longest=0.02))
    assert time.monotonic() - started < 15
    hub.faults.clear()
    push(package, repo_on(hub), patience=QUICK)
    assert_published_once(hub, package)


# ── refusals ──

REFUSALS = {
    400: "refused the push to tester/votes on .* as malformed: a fault was asked for",
    401: "does not accept the token, or there is none: set HF_TOKEN",
    403: "may not do this on tester/votes on .*: a fault was asked for; use one with write access",
    404: "tester/votes on .* does not exist, or the token .* may not see it",
    413: "too large: a fault was asked for",
    422: "cannot process the push to tester/votes",
    451: "the Hub answered 451 for tester/votes on .*: a fault was asked for",
}


@pytest.mark.parametrize("kind", ["preupload", "commit"])
@pytest.mark.parametrize(("status", "line"), REFUSALS.items())
def test_a_refusal_is_one_line_and_is_not_tried_again(
    hub: HubServer, package: Path, kind: str, status: int, line: str
) -> None:
    hub.faults.always(kind, Answer(status))
    with pytest.raises(HubError, match=line) as caught:
        push(package, repo_on(hub), patience=QUICK)
    assert "\n" not in str(caught.value)
    assert hub.count(kind) == 1
    assert len(hub.commits(REPO)) == 1


@pytest.mark.parametrize("kind", ["xet_token", "xorb", "xet_shard"])
def test_a_refusing_storage_is_one_line(hub: HubServer, package: Path, kind: str) -> None:
    hub.faults.always(kind, Answer(403))
    with pytest.raises(HubError, match="may not do this on tester/votes"):
        push(package, repo_on(hub), patience=QUICK)
    assert hub.count(kind) == 1


@pytest.mark.parametrize("kind", ["lfs_batch", "lfs_put", "lfs_verify"])
@pytest.mark.parametrize("way", ["lfs"], indirect=True)
def test_a_refusing_file_storage_is_one_line(hub: HubServer, package: Path, way: str, kind: str) -> None:
    hub.faults.always(kind, Answer(403))
    with pytest.raises(HubError, match="may not do this on tester/votes"):
        push(package, repo_on(hub), patience=QUICK)
    assert hub.count(kind) == 1


@pytest.mark.parametrize(
    ("token", "line"),
    [
        (None, "set HF_TOKEN to one that may write to tester/votes"),
        ("hf_nobody", "set HF_TOKEN to one that may write to tester/votes"),
        ("hf_reader", "tester/votes on .* does not exist, and this token may not create it; have it created"),
        ("hf_narrow", "tester/votes on .* does not exist, and this token may not create it; have it created"),
        ("hf_other", "tester/votes on .* does not exist, and this token may not create it; have it created"),
    ],
)
def test_a_token_that_may_not_create_the_repo_is_told_so(
    hub: HubServer, package: Path, token: str | None, line: str
) -> None:
    with pytest.raises(HubError, match=line):
        push(package, repo_on(hub, token=token), patience=QUICK)
    assert hub.state.repos == {}


@pytest.mark.parametrize(
    ("token", "line"),
    [
        (None, "set HF_TOKEN"),
        ("hf_nobody", "set HF_TOKEN"),
        ("hf_reader", "may not do this on tester/votes .*: Forbidden: you must have write access"),
        ("hf_other", "does not exist, and this token may not create it"),
    ],
)
def test_a_token_that_may_not_write_is_told_so_before_any_data_is_sent(
    hub: HubServer, package: Path, way: str, token: str | None, line: str
) -> None:
    hub.state.create(REPO, private=True)
    with pytest.raises(HubError, match=line):
        push(package, repo_on(hub, token=token), patience=QUICK)
    assert hub.received("xorb", "lfs_put", "xet_shard", "commit") == 0


@pytest.mark.parametrize("token", ["hf_test\n", "\r\n hf_test\t"])
def test_a_token_may_have_white_space_around_it(hub: HubServer, package: Path, way: str, token: str) -> None:
    push(package, repo_on(hub, token=token), patience=QUICK)
    assert_published_once(hub, package)


@pytest.mark.parametrize("token", ["hf_te\nst", "hf_te\x00st", "hf_t\u00e9st", "hf_test\u2026"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_quoted(hub: HubServer, token: str) -> None:
    with pytest.raises(HubError, match="what HF_TOKEN holds is no token") as caught:
        repo_on(hub, token=token)
    assert "hf_t" not in str(caught.value)
    assert hub.seen == []


def test_a_kept_token_that_no_header_can_carry_is_not_quoted(
    hub: HubServer, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    kept = tmp_path / "token"
    kept.write_text("hf_te\x00st")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(kept))
    with pytest.raises(HubError, match="set HF_TOKEN anew, or `hf auth login` again") as caught:
        push(package, DatasetRepo(REPO, endpoint=hub.endpoint), patience=QUICK)
    assert "hf_te" not in str(caught.value)


def test_a_token_for_this_repo_alone_pushes_into_a_repo_made_for_it(hub: HubServer, package: Path) -> None:
    hub.state.create(REPO, private=True)
    push(package, repo_on(hub, token="hf_narrow"), patience=QUICK)
    assert_published_once(hub, package)


def test_a_hub_without_xet_is_named_with_the_way_out(package: Path) -> None:
    with (
        HubServer(accounts=ACCOUNTS, offers_xet=False) as hub,
        pytest.raises(HubError, match="has no Xet storage; set HF_HUB_DISABLE_XET=1"),
    ):
        push(package, repo_on(hub), patience=QUICK)


@pytest.mark.parametrize("way", ["lfs"], indirect=True)
def test_large_files_travel_in_parts(package: Path, way: str) -> None:
    with HubServer(accounts=ACCOUNTS, offers_xet=False, multipart_from=500) as hub:
        result = push(package, repo_on(hub), patience=QUICK)
        assert hub.count("lfs_complete") == 2
        assert result.bytes_sent == hub.received("lfs_put") == sum(file.bytes for file in manifest_of(package).files)
        assert_published_once(hub, package)


def test_a_repo_name_that_is_none_is_one_line(hub: HubServer, package: Path) -> None:
    with pytest.raises(HubError, match="'no spaces/here please' is not a repo name; write it as owner/name"):
        push(package, DatasetRepo("no spaces/here please", endpoint=hub.endpoint, token="hf_test"))


def test_an_answer_that_makes_no_sense_is_trouble_like_any_other(
    hub: HubServer, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.faults.next("commit", Lost(status=200))
    hub.faults.next("repo_info", Lost(status=200))
    hub.faults.next("validate_yaml", Lost(status=200))
    push(package, repo_on(hub), patience=QUICK)
    assert_published_once(hub, package)


# ── others at work ──


def test_of_two_pushes_at_once_one_commits_and_both_are_content(hub: HubServer, package: Path) -> None:
    repos = [repo_on(hub), repo_on(hub)]
    notes = at_once(lambda repo: push(package, repo, patience=QUICK).note, repos)
    assert_published_once(hub, package)
    assert [note for note in notes if note == "up to date"] == ["up to date"]


def test_who_came_second_does_not_take_the_commit_of_the_first_for_its_own(hub: HubServer, package: Path) -> None:
    hub.state.create(REPO, private=True)
    gate = Gate()
    hub.faults.next("commit", Hold(gate))
    with ThreadPoolExecutor() as pool:
        second = pool.submit(push, package, repo_on(hub), patience=QUICK)
        assert gate.arrived.wait(20)
        first = push(package, repo_on(hub), patience=QUICK)
        gate.open()
    assert (second.result().commit, second.result().note) == (None, "up to date")
    assert first.commit == hub.commits(REPO)[0].oid
    assert_published_once(hub, package)


def test_a_commit_that_could_not_be_looked_at_is_named_even_if_others_follow(hub: HubServer, package: Path) -> None:
    gate = Gate()
    hub.faults.plan("repo_info", 3, Hold(gate))  # missing, made, and then the look at the commit
    with ThreadPoolExecutor() as pool:
        pushed = pool.submit(push, package, repo_on(hub), patience=QUICK)
        assert gate.arrived.wait(20)
        made = hub.commits(REPO)[0].oid
        card = hub.files(REPO)["README.md"] + b"\nWe thank Ada.\n"
        hub.state.commit(REPO, "main", Change("thanks", put={"README.md": hub.state.regular(card)}))
        gate.open(apply=False)
    assert (pushed.result().commit, pushed.result().note) == (made, "published")


def test_of_two_pushes_of_one_log_the_later_export_stays(hub: HubServer, package: Path, later: Path) -> None:
    def try_to(package: Path) -> str:
        try:
            return push(package, repo_on(hub), patience=QUICK).note
        except HubError as error:
            return str(error)

    at_once(try_to, [package, later])
    assert_published_once(hub, later, commits=len(hub.commits(REPO)))
    assert len(hub.commits(REPO)) in (2, 3)


def test_a_colleague_who_edits_the_card_meanwhile_is_not_overwritten(
    hub: HubServer, package: Path, later: Path
) -> None:
    push(package, repo_on(hub))
    gate = Gate()
    hub.faults.next("commit", Hold(gate))
    pusher = threading.Thread(target=push, args=(later, repo_on(hub)), kwargs={"patience": QUICK})
    pusher.start()
    assert gate.arrived.wait(20)
    card = hub.files(REPO)["README.md"].decode() + "\nWe thank Ada.\n"
    hub.state.commit(REPO, "main", Change("thanks", put={"README.md": hub.state.regular(card.encode())}))
    gate.open()
    pusher.join()
    assert "We thank Ada." in hub.files(REPO)["README.md"].decode()
    assert rows_in(hub.files(REPO)) == rows_of(LATER)
    assert [commit.title for commit in hub.commits(REPO)][1:3] == ["thanks", "Publish votes: 3 rows, log position 10"]


def test_a_repo_that_is_squashed_meanwhile_is_read_anew(hub: HubServer, package: Path, later: Path) -> None:
    push(package, repo_on(hub))
    gate = Gate()
    hub.faults.next("commit", Hold(gate))
    pusher = threading.Thread(target=push, args=(later, repo_on(hub)), kwargs={"patience": QUICK})
    pusher.start()
    assert gate.arrived.wait(20)
    hub.state.squash(REPO, "main", "squashed", "tester")
    gate.open()
    pusher.join()
    assert_published_once(hub, later)


def at_once(work: Callable[[Any], Any], over: list[Any]) -> list[Any]:
    """Do the same to each, all starting together."""
    with ThreadPoolExecutor(len(over)) as pool:
        return list(pool.map(work, over))
