"""labeler push --every, and serve with push_every, as an operator runs, watches and ends them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from labeler.store import Store
from tests.cli.conftest import STUDY, Run, command, environment, write_study
from tests.export import judged
from tests.hub_server import Gate, Hold, HubServer
from tests.served import Served

REPO = "tester/feedback"
SECONDS = 60.0


@pytest.fixture
def log(place: Path, hub: HubServer) -> Path:
    """A log with one conversation in it, whose study names a repo."""
    write_study(place, dataset={"repo": REPO})
    path = place / ".labeler" / "tried.db"
    add(path, 1)
    return path


def add(log: Path, number: int) -> None:
    with Store.open(f"sqlite:///{log}") as store:
        store.append(judged(number).events)


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def commits(hub: HubServer) -> int:
    return len(hub.commits(REPO)) - 1


@contextmanager
def pushing(place: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command("push", "--every", "1h", *arguments), cwd=place, env=environment(), text=True, stdout=-1, stderr=-1
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_pushes_at_once_and_a_last_time_when_it_is_told_to_end(
    place: Path, log: Path, hub: HubServer, number: signal.Signals
) -> None:
    with pushing(place) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert f"{REPO}: published" in first
        assert "; next at 20" in first
        add(log, 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert out.count("\n") == 1
    assert "published" in out
    assert "next at" not in out
    assert commits(hub) == 2


def test_told_twice_it_ends_at_once(place: Path, log: Path, hub: HubServer) -> None:
    gate = Gate()
    hub.faults.next("commit", Hold(gate))
    with pushing(place) as process:
        assert gate.arrived.wait(SECONDS)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    gate.open(apply=False)
    assert (process.returncode, out, err) == (130, "", "")


def test_json_is_one_object_a_line(place: Path, log: Path, hub: HubServer) -> None:
    with pushing(place, "--json") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=SECONDS)
    assert out == "", "nothing was new"
    assert set(said) == {"at", "next_at", "position", "repo", "commit", "bytes_sent"}
    assert said["commit"] == hub.commits(REPO)[0].oid


def test_stats_say_what_was_pushed_and_what_was_not(run: Run, log: Path, hub: HubServer) -> None:
    assert run("push").code == 0
    (push,) = json.loads(run("stats", "--json").out)["pushes"]
    assert (push["state"], push["behind"], push["failures"]) == ("waiting", 0, 0)
    assert push["commit"] == hub.commits(REPO)[0].oid
    assert f"Pushed to {hub.endpoint}/datasets/{REPO}" in run("stats").out
    add(log, 2)
    (push,) = json.loads(run("stats", "--json").out)["pushes"]
    assert push["behind"] == len(judged(2).events)
    assert f"({push['behind']} events behind)" in run("stats").out


def test_stats_say_why_a_push_failed(run: Run, log: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    line = run("push").line
    assert f"failed 1 times in a row: {line}" in run("stats").out


def test_the_page_about_sync_names_every_key(run: Run, log: Path, hub: HubServer) -> None:
    run("push")
    (push,) = json.loads(run("stats", "--json").out)["pushes"]
    page = (Path(__file__).parents[2] / "docs" / "sync.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in page for key in push)


@pytest.mark.parametrize("every", ["10", "0m", "soon"])
def test_a_length_of_time_that_is_none_is_wrong_usage(run: Run, log: Path, every: str) -> None:
    said = run("push", "--every", every)
    assert said.code == 2
    assert "write it like 90s, 10m, 1h or 1d" in " ".join(said.err.split())


def test_a_dry_run_is_not_repeated(run: Run, log: Path) -> None:
    assert "exclude each other" in run("push", "--every", "10m", "--dry-run").line


def test_a_first_push_that_cannot_work_ends_it_with_one_line(
    run: Run, log: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert REPO in run("push", "--every", "10m").line


# ── beside the page ──


def served(place: Path, every: str = "1h") -> Served:
    return Served(place, STUDY | {"dataset": {"repo": REPO, "push_every": every}})


def health_of(page: Served) -> dict[str, Any]:
    sync = page.health()["sync"]
    assert isinstance(sync, dict)
    return sync


def test_serve_pushes_beside_the_page_and_a_last_time_on_sigterm(place: Path, hub: HubServer) -> None:
    add(place / "log.db", 1)
    with served(place) as page:
        until(lambda: health_of(page)["commit"])
        health = health_of(page)
        assert (health["state"], health["behind"], health["error"]) == ("waiting", 0, None)
        assert health["next_at"] > health["committed_at"]
        add(place / "log.db", 2)
        assert health_of(page)["behind"] == len(judged(2).events)
        assert page.terminate() == 0
    assert commits(hub) == 2
    assert [line for line in page.errors if "published" not in line] == []


def test_two_servers_of_one_log_push_as_one(place: Path, hub: HubServer) -> None:
    add(place / "log.db", 1)
    with served(place) as page, served(place) as other:
        until(lambda: health_of(page)["commit"])
        assert health_of(other)["commit"] == health_of(page)["commit"]
        add(place / "log.db", 2)
        assert page.terminate() == 0
        until(lambda: health_of(other)["behind"] == 0)
        assert other.terminate() == 0
    assert commits(hub) == 2


def test_a_hub_that_hangs_does_not_keep_serve_from_ending_in_ten_seconds(place: Path, hub: HubServer) -> None:
    add(place / "log.db", 1)
    gate = Gate()
    hub.faults.next("commit", Hold(gate))
    with served(place) as page:
        assert gate.arrived.wait(SECONDS)
        assert health_of(page)["state"] == "pushing"
        assert page.terminate(10.0) == 0
        assert "the last push was broken off" in "".join(page.errors)
    gate.open(apply=False)


def test_serve_goes_on_when_a_push_is_refused(place: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    add(place / "log.db", 1)
    with served(place) as page:
        health = until(lambda: (found := health_of(page))["error"] and found)
        assert (health["state"], health["failures"]) == ("failing", 1)
        assert page.health()["status"] == "ok"
        assert page.terminate() == 0
    assert len(page.errors) in {1, 2}


def test_a_pusher_ends_with_the_page_that_was_killed(place: Path, hub: HubServer) -> None:
    add(place / "log.db", 1)
    with served(place, "1s") as page:
        until(lambda: health_of(page)["commit"])
        page.kill()
    time.sleep(1.0)
    add(place / "log.db", 2)
    time.sleep(2.5)
    assert commits(hub) == 1


def test_a_study_that_pushes_nowhere_is_one_line(run: Run, place: Path) -> None:
    write_study(place, dataset={"push_every": "10m"})
    assert "set dataset.repo" in run("stats").line


@pytest.mark.parametrize("every", ["10", "often", 0, -5])
def test_a_study_with_no_length_of_time_is_one_line(run: Run, place: Path, every: object) -> None:
    path = write_study(place, dataset={"repo": REPO, "push_every": every})
    assert "push_every" in run("stats").line
    assert yaml.safe_load(path.read_text())["dataset"]["push_every"] == every
