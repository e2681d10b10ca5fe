"""Run the command as a person does: in a folder of its own, in this process or in one of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from labeler import cli
from tests.hub_server import Account, HubServer

ROOT = Path(__file__).parents[2]
STUDY: dict[str, Any] = {
    "name": "tried",
    "models": [{"kind": "openai", "name": "m", "base_url": "http://127.0.0.1:1", "model": "m"}],
    "vote_reasons": ["Helpful", "Wrong", "Too long"],
}


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line of a failure; anything else on stderr is a fault."""
        assert self.code == 1, (self.code, self.err)
        assert self.err.startswith("labeler: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("labeler: ").strip()


class Run(Protocol):
    def __call__(self, *arguments: str) -> Said: ...


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a study file at the default place; no Hub, no token, no key from outside."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "LABELER_KEY", "LABELER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path)
    return tmp_path


def write_study(place: Path, **keys: Any) -> Path:
    path = place / "configs" / "local.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(STUDY | keys), encoding="utf-8")
    return path


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("export", "--json")``: the console script, in this process."""

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["labeler", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return Said(int(left.value.code or 0), said.out, said.err)

    return call


def command(*arguments: str) -> list[str]:
    """The same in a process of its own."""
    return [sys.executable, "-m", "labeler", *arguments]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


@pytest.fixture
def on_a_small_disk(place: Path) -> Callable[..., Said]:
    """Run a shell line in a name space of its own, where ``disk`` is a file system of so many kilobytes."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare(1) here")

    def call(line: str, kilobytes: int) -> Said:
        (place / "disk").mkdir(exist_ok=True)
        mount = f"mount -t tmpfs -o size={kilobytes}k none disk"
        ran = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", f"{mount} || exit 77; {line}"],
            cwd=place,
            env=environment(PYTHON=sys.executable),
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode == 77 or "unshare" in ran.stderr:
            pytest.skip(f"no file systems of one's own here: {ran.stderr.strip()}")
        return Said(ran.returncode, ran.stdout, ran.stderr)

    return call


@pytest.fixture
def hub(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    accounts = {"hf_test": Account("tester"), "hf_read": Account("reader", "read")}
    with HubServer(accounts=accounts) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield server
