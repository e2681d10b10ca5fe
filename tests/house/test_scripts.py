"""The scripts say in one line what is wrong, and do nothing twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT, tracked

TOOLS = ("cat", "cksum", "dirname", "grep", "mkdir", "rm", "sed", "sh", "tail", "tr")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what scripts/setup reads, without an environment, in a folder whose name holds spaces."""
    folder = tmp_path / "a check out"
    for path in tracked("scripts", "requirements", "pyproject.toml", "labeler/__init__.py"):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return folder


def set_up(checkout: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [checkout / "scripts" / "setup", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd="/")


def tools(folder: Path) -> str:
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name) or name)
    return str(folder)


def test_a_machine_without_python_is_told_what_to_install(checkout: Path) -> None:
    done = set_up(checkout, PATH=tools(checkout / "bin"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("setup: no Python 3.11, 3.12 or 3.13")
    assert done.stderr.count("\n") == 1


def test_a_python_that_does_not_fit_is_named(checkout: Path) -> None:
    done = set_up(checkout, PATH=tools(checkout / "bin"), PYTHON="/bin/false")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "PYTHON=/bin/false" in done.stderr


def test_a_set_up_with_a_closed_stdin_finds_its_python(checkout: Path) -> None:
    python = checkout / "python"  # the real one, but for the environment that it refuses to make
    python.write_text(f'#!/bin/sh\ncase $* in *"-m venv"*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    command = ["sh", "-c", 'exec "$0" <&-', checkout / "scripts" / "setup"]
    environ = {"PATH": tools(checkout / "bin"), "PYTHON": str(python)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd="/")
    assert done.stderr.splitlines()[-1] == f"setup: {python} cannot make .venv; is the disk writable?"


def test_an_unknown_group_is_wrong_usage(checkout: Path) -> None:
    done = set_up(checkout, "everything", PATH=tools(checkout / "bin"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("path", tracked("scripts", ".ci"), ids=lambda path: path.name)
def test_a_script_can_be_run_and_says_what_it_is_for(path: Path) -> None:
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    if first.startswith("#!"):
        assert path.stat().st_mode & 0o111
        assert second.startswith(("# ", '"""'))
