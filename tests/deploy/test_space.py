"""The Space: its folder is whole, and what it runs keeps what people gave, through restarts that leave no disk."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from huggingface_hub import HfApi

from labeler.core.events import MessageSent
from labeler.store import Store
from labeler.study import load_study
from tests.deploy import DEPLOY, dockerfile
from tests.house import ROOT, tracked
from tests.hub_server import Account, HubServer
from tests.stories import told

SPACE = DEPLOY / "space"
REPO = "tester/kept"
SECONDS = 90.0
# https://huggingface.co/docs/hub/spaces-config-reference: what is used of it, and what each may be.
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SECRETS = {"LABELER_KEY": "k" * 32, "LABELER_SECRET": "s" * 40}


def front_matter() -> dict[str, Any]:
    _, front, _ = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    read: dict[str, Any] = yaml.safe_load(front)
    return read


# ── the folder ──


def test_the_front_matter_says_what_a_space_of_its_kind_must_say() -> None:
    front = front_matter()
    assert front["sdk"] == "docker"
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert len(front["short_description"]) <= 60
    assert str(front["app_port"]) == next(one.text for one in dockerfile(SPACE / "Dockerfile") if one.name == "EXPOSE")
    assert f"PORT:-{front['app_port']}" in (SPACE / "start").read_text(encoding="utf-8")
    assert front["hf_oauth"] is (load_study(SPACE / "study.yaml").auth.kind == "huggingface")


def test_everything_that_must_be_set_is_in_the_table() -> None:
    used = set(re.findall(r"\$\{(LABELER_\w+):-", (SPACE / "start").read_text(encoding="utf-8")))
    secrets = (SPACE / "README.md").read_text(encoding="utf-8").partition("| secret | what |")[2]
    assert used - {"LABELER_STUDY"} == set(re.findall(r"^\| `(LABELER_\w+)`", secrets, re.M))


def test_the_folder_that_is_pushed_holds_all_that_its_image_copies_and_nothing_untracked(tmp_path: Path) -> None:
    made_there = subprocess.run(
        [ROOT / "scripts" / "make-space", "space"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made_there.returncode == 0, made_there.stderr
    folder = tmp_path / "space"
    copied = {
        name
        for one in dockerfile(folder / "Dockerfile")
        if one.name == "COPY" and "--from" not in one.text
        for name in one.operands[:-1]
    }
    assert [name for name in copied if not (folder / name).exists()] == []
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = [*tracked("labeler", "requirements", "pyproject.toml", "LICENSE"), *tracked("deploy/space")]
    assert files == {path.relative_to(SPACE if SPACE in path.parents else ROOT).as_posix() for path in wanted}
    again = subprocess.run([ROOT / "scripts" / "make-space", folder], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (1, f"make-space: {folder} is there already; name a new folder\n")


# ── what it runs ──


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(accounts={"hf_test": Account("tester")}) as server:
        HfApi(endpoint=server.endpoint, token="hf_test").create_repo(REPO, repo_type="dataset", private=True)
        yield server


class Space:
    """One life of a Space: a disk of its own, which the next one does not get."""

    def __init__(self, folder: Path, hub: HubServer | None = None, **environ: str) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        for name, module in (("labeler", "-m labeler "), ("python", "")):
            program = folder / "bin" / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module}"$@"\n')
            program.chmod(0o755)
        model = {"kind": "openai", "name": "m", "base_url": "http://127.0.0.1:1", "model": "m"}
        study = {"name": "space", "models": [model], "auth": "password"}
        (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environ = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "LABELER_STUDY": str(folder / "study.yaml"),
            "PORT": str(self.port),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **({} if hub is None else {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_test", "LABELER_BACKUP": REPO}),
            **environ,
        }

    @property
    def log(self) -> str:
        return f"sqlite:///{self.folder}/.labeler/space.db"

    def run(self) -> subprocess.CompletedProcess[str]:
        """To its end."""
        return subprocess.run(
            [SPACE / "start"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    @contextmanager
    def living(self) -> Iterator[subprocess.Popen[str]]:
        """Until it is told to end; then it must have ended well."""
        with subprocess.Popen(
            [SPACE / "start"], cwd=self.folder, env=self.environ, text=True, stdout=-1, stderr=-1
        ) as process:
            try:
                until(self.answers, process)
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, (out, err)
        assert "Traceback" not in err

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def said(store: Store) -> list[str]:
    return [event.payload.content for event in store.scan() if isinstance(event.payload, MessageSent)]


def test_what_was_given_in_one_life_is_there_in_the_next(tmp_path: Path, hub: HubServer) -> None:
    first = Space(tmp_path / "first", hub, **SECRETS)
    with first.living() as process:
        until(lambda: "labeler-backup.zip" in hub.files(REPO), process)
        with Store.open(first.log) as store:
            source_id = store.source_id
            store.append(told().asks("Given at the very end?").events)
    second = Space(tmp_path / "second", hub, **SECRETS)
    with second.living():
        with Store.open(second.log) as store:
            assert (said(store), store.source_id) == (["Given at the very end?"], source_id)
        assert (second.folder / ".labeler" / "secret").read_text() == SECRETS["LABELER_SECRET"]
        assert (second.folder / ".labeler" / "secret").stat().st_mode & 0o777 == 0o600


MISSING = {
    "no key": ({"LABELER_SECRET": "s" * 32}, "space: LABELER_KEY is not set, or shorter than 32 characters"),
    "a short secret": (
        {"LABELER_KEY": "k" * 32, "LABELER_SECRET": "s"},
        "space: LABELER_SECRET is not set, or shorter",
    ),
    "no place": (SECRETS, "space: set LABELER_DATABASE, or LABELER_BACKUP"),
}


@pytest.mark.parametrize("missing", MISSING)
def test_a_space_that_would_lose_something_does_not_start(tmp_path: Path, missing: str) -> None:
    environ, line = MISSING[missing]
    ended = Space(tmp_path / "space", **environ).run()
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(line)


def test_a_backup_that_cannot_be_seen_is_no_reason_to_begin_anew(tmp_path: Path, hub: HubServer) -> None:
    space = Space(tmp_path / "space", hub, **SECRETS, **{"LABELER_BACKUP": "tester/else"})
    ended = space.run()
    assert ended.returncode == 1
    assert ended.stderr.startswith("labeler: tester/else: there is no such repo, or this token does not see it")
    assert not (space.folder / ".labeler" / "space.db").exists()


def test_with_a_database_elsewhere_nothing_is_kept_here(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/elsewhere.db"
    space = Space(tmp_path / "space", **SECRETS, LABELER_DATABASE=place)
    with space.living():
        pass
    assert not (space.folder / ".labeler" / "space.db").exists()
    assert (tmp_path / "elsewhere.db").exists()
