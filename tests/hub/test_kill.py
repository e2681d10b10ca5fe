"""A push that is killed at any point leaves the repo as it was or published, and the next push finishes the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labeler.hub import push, verify_remote
from tests.hub.conftest import QUICK, REPO, repo_on
from tests.hub.packages import dpo, manifest_of, rows_in, rows_of, votes, write_package
from tests.hub_server import Gate, Hold, HubServer

ROOT = Path(__file__).parents[2]
SHARDS = {("dpo", "train", 0): dpo("a", "b"), ("votes", "train", 0): votes("v1")}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package", SHARDS)


@contextmanager
def pushing(hub: HubServer, package: Path, way: str = "xet") -> Iterator[subprocess.Popen[str]]:
    """A push in a process of its own, killed at the end if it still runs."""
    environ = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_test"}
    environ["HF_HUB_DISABLE_XET"] = "1" if way == "lfs" else "0"
    command = [sys.executable, "-m", "tests.hub.pusher", str(package)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, text=True, stdout=-1, stderr=-1) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


# Where the killed push stands: (kind of request, whether it was applied before the kill, or after it, or never).
POINTS = [
    ("xet", "repo_info", "never"),
    ("xet", "create", "before"),
    ("xet", "preupload", "never"),
    ("xet", "xorb", "before"),
    ("xet", "xet_shard", "never"),
    ("xet", "validate_yaml", "never"),
    ("xet", "commit", "never"),
    ("xet", "commit", "before"),
    ("xet", "commit", "after"),
    ("xet", "paths_info", "never"),
    ("lfs", "lfs_put", "never"),
    ("lfs", "lfs_verify", "before"),
    ("lfs", "commit", "before"),
]


@pytest.mark.parametrize(("way", "kind", "applied"), POINTS)
def test_a_killed_push_is_finished_by_the_next_one(
    hub: HubServer, package: Path, way: str, kind: str, applied: str
) -> None:
    gate = Gate()
    hub.faults.next(kind, Hold(gate, after=applied == "before"))
    with pushing(hub, package, way) as process:
        assert gate.arrived.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    gate.open(apply=applied == "after")
    result = push(package, repo_on(hub), patience=QUICK)
    hub.settle()
    assert rows_in(hub.files(REPO)) == rows_of(SHARDS)
    assert len(hub.commits(REPO)) == 2
    assert verify_remote(repo_on(hub), manifest_of(package)) == ()
    if (kind, applied) in {("commit", "before"), ("paths_info", "never")}:
        assert result.note == "up to date"


def test_a_commit_that_lands_while_the_next_push_is_on_its_way_is_fenced_off(hub: HubServer, package: Path) -> None:
    killed, waiting = Gate(), Gate()
    hub.faults.next("commit", Hold(killed))
    with pushing(hub, package) as process:
        assert killed.arrived.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    hub.faults.next("commit", Hold(waiting))
    second = threading.Thread(target=push, args=(package, repo_on(hub)), kwargs={"patience": QUICK})
    second.start()
    assert waiting.arrived.wait(30)
    killed.open()
    assert any(len(hub.commits(REPO)) == 2 or time.sleep(0.01) for _ in range(1000))
    waiting.open()
    second.join()
    assert rows_in(hub.files(REPO)) == rows_of(SHARDS)
    assert len(hub.commits(REPO)) == 2


def test_two_processes_that_push_at_once_make_one_commit(hub: HubServer, package: Path) -> None:
    with pushing(hub, package) as one, pushing(hub, package) as other:
        said = {process.communicate(timeout=90) for process in (one, other)}
    assert (one.returncode, other.returncode) == (0, 0), said
    assert rows_in(hub.files(REPO)) == rows_of(SHARDS)
    assert len(hub.commits(REPO)) == 2


def test_the_environment_says_which_hub_and_whose_token(hub: HubServer, package: Path) -> None:
    with pushing(hub, package) as process:
        out, err = process.communicate(timeout=60)
    assert out.startswith("published 2 files")
    assert err == ""
    assert hub.commits(REPO)[0].author == "tester"
