"""Backups in a private repo on the Hub, as an operator makes, keeps and restores them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from huggingface_hub import HfApi

from labeler.store import Store
from tests.cli.conftest import Run, command, environment
from tests.export import judged
from tests.hub_server import HubServer

REPO = "tester/kept"
THERE = f"hf://datasets/{REPO}"
LOG = ".labeler/tried.db"
SECONDS = 60.0


def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_test")


@pytest.fixture
def repo(place: Path, hub: HubServer) -> HubServer:
    """A private repo with nothing in it, and a log with one conversation."""
    api(hub).create_repo(REPO, repo_type="dataset", private=True)
    add(1)
    return hub


def add(number: int, log: str = LOG) -> None:
    with Store.open(f"sqlite:///{log}") as store:
        store.append(judged(number).events)


def kept(hub: HubServer) -> dict[str, object]:
    """The manifest inside the backup that the repo holds, which is the one beside it."""
    files = hub.files(REPO)
    with ZipFile(BytesIO(files["labeler-backup.zip"])) as archive:
        manifest: dict[str, object] = json.loads(archive.read("manifest.json"))
    assert manifest == json.loads(files["labeler-backup.json"])
    return manifest


def test_what_is_kept_there_comes_back_equal(run: Run, repo: HubServer) -> None:
    assert run("backup", "--to", THERE).out.startswith(f"{THERE}: source ")
    assert run("restore", THERE, "--database", "sqlite:///new.db").out.startswith(f"{THERE}: restored and equal")
    assert run("verify", "--database", "sqlite:///new.db").out.split()[-1] == run("verify").out.split()[-1]


def test_a_state_that_is_there_already_is_not_committed_again(run: Run, repo: HubServer) -> None:
    run("backup", "--to", THERE)
    before = len(repo.commits(REPO))
    assert run("backup", "--to", THERE).code == 0
    assert len(repo.commits(REPO)) == before
    add(2)
    run("backup", "--to", THERE)
    assert len(repo.commits(REPO)) == before + 1


def test_no_older_backup_is_left_if_so_wished(run: Run, repo: HubServer) -> None:
    run("backup", "--to", THERE)
    add(2)
    assert run("backup", "--to", THERE, "--purge-history").code == 0
    assert len(repo.commits(REPO)) == 1
    large = [file.file_oid for file in api(repo).list_lfs_files(REPO, repo_type="dataset")]
    assert len(large) == 1
    assert run("restore", THERE, "--database", "sqlite:///new.db").code == 0


def test_another_study_and_an_older_state_are_never_put_over_a_backup(run: Run, repo: HubServer, place: Path) -> None:
    run("backup", "--to", "before.zip")
    add(2)
    run("backup", "--to", THERE)
    there = kept(repo)
    run("restore", "before.zip", "--database", "sqlite:///older.db")
    run("simulate", "--conversations", "1", "--database", "sqlite:///other.db")
    add(3, "older.db")  # as long as what is there, and grown otherwise
    for database in ("sqlite:///older.db", "sqlite:///other.db"):
        line = run("backup", "--to", THERE, "--database", database).line
        assert (
            line
            == f"{REPO}: the backup there is of another study or newer than this one; restore it, or name another repo"
        )
    assert kept(repo) == there


@pytest.mark.parametrize("private", [True, False])
def test_a_repo_that_is_public_or_holds_something_else_is_refused(run: Run, hub: HubServer, private: bool) -> None:
    add(1)
    api(hub).create_repo(REPO, repo_type="dataset", private=private)
    if private:
        api(hub).upload_file(path_or_fileobj=b"x", path_in_repo="notes.txt", repo_id=REPO, repo_type="dataset")
    said = f"{REPO} holds something else (notes.txt)" if private else f"{REPO} is public"
    assert run("backup", "--to", THERE).line.startswith(said)
    assert "labeler-backup.zip" not in hub.files(REPO)


def test_an_empty_repo_is_an_error_unless_it_may_be_and_a_missing_one_always(run: Run, repo: HubServer) -> None:
    assert run("restore", THERE).line == f"{THERE}: there is no backup yet; --if-any takes that for good"
    assert run("restore", THERE, "--if-any").out == f"{THERE}: no backup yet\n"
    assert run("restore", f"{THERE}-else", "--if-any").line.startswith(f"{REPO}-else: there is no such repo, or this")


@pytest.mark.parametrize("to", ["hf://models/a/b", "hf://datasets/a", "hf://datasets/a/b/c", "hf:"])
def test_what_is_no_place_for_backups_is_refused(run: Run, repo: HubServer, to: str) -> None:
    line = f"'{to}' names no repo for backups; write it as hf://datasets/OWNER/NAME"
    assert run("backup", "--to", to).line == run("restore", to).line == line


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_changes_is_kept_every_so_often_and_once_more_at_the_end(place: Path, repo: HubServer) -> None:
    arguments = ("backup", "--to", THERE, "--every", "1s", "--json", "--no-proof")
    with subprocess.Popen(
        command(*arguments), cwd=place, env=environment(), text=True, stdout=-1, stderr=-1
    ) as process:
        until(lambda: "labeler-backup.zip" in repo.files(REPO))
        first = kept(repo)["position"]
        add(2)
        until(lambda: kept(repo)["position"] != first)
        add(3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    with Store.open(f"sqlite:///{LOG}") as store:
        assert kept(repo)["position"] == store.position()
    positions = [json.loads(line)["position"] for line in out.splitlines()]
    assert positions == sorted(set(positions))


def test_a_hub_that_is_away_for_a_while_is_told_of_and_tried_again(place: Path, repo: HubServer) -> None:
    """A first failure ends it: whoever starts it sees that it cannot work."""
    refused = subprocess.run(
        command("backup", "--to", f"{THERE}-else", "--every", "1s"),
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
