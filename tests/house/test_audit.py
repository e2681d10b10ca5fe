"""The audit finds what it looks for, and never calls fine what it did not look at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

HASH = f"    --hash=sha256:{'0' * 64}\n"
HEADER = "# Written by scripts/lock from pyproject.toml.\n"


def audit(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = os.environ if path is None else {**os.environ, "PATH": path}
    command = [sys.executable, "scripts/audit_pins.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def pins(folder: Path, text: str) -> Path:
    (folder / "core.txt").write_text(HEADER + text)
    return folder


def states(said: str, part: str) -> set[str]:
    return set(re.findall(rf"^audit: {part}: ([A-Za-z ]+):", said, re.M))


def test_every_pin_of_this_checkout_has_its_hashes() -> None:
    assert states(audit().stdout, "hashes") == {"ok"}


@pytest.mark.parametrize(
    "line",
    ["requests==2.0\n", "requests>=2 \\\n" + HASH, "requests==2.0 \\\n    --hash=md5:0\n", "-e .\n", "--no-index\n"],
)
def test_a_line_that_pins_nothing_is_found(tmp_path: Path, line: str) -> None:
    done = audit("--requirements", str(pins(tmp_path, f"gradio==6.31.0 \\\n{HASH}{line}")))
    assert done.returncode == 1
    assert states(done.stdout, "hashes") == {"FOUND"}


def test_no_pins_at_all_are_not_fine(tmp_path: Path) -> None:
    assert states(audit("--requirements", str(tmp_path)).stdout, "hashes") == {"FOUND"}


def test_what_is_installed_in_another_version_or_without_a_pin_is_found(tmp_path: Path) -> None:
    said = audit("--requirements", str(pins(tmp_path, f"gradio==0.0.1 \\\n{HASH}"))).stdout
    assert "gradio 6.31.0 is installed (pinned 0.0.1)" in said
    assert re.search(r"pytest \S+ is installed and not pinned", said)


def test_a_pin_that_is_not_installed_is_found_unless_another_system_needs_it(tmp_path: Path) -> None:
    text = f"no-such-thing==1.0 \\\n{HASH}nor-this==1.0 ; sys_platform == 'amiga' \\\n{HASH}"
    said = audit("--requirements", str(pins(tmp_path, text))).stdout
    assert "no-such-thing is not installed" in said
    assert "nor-this" not in said


def test_what_was_not_asked_for_is_not_called_fine() -> None:
    done = audit()
    assert states(done.stdout, "vulnerabilities") == {"NOT CHECKED"}
    assert audit("--strict").returncode == 1


def test_without_the_tool_nothing_was_checked(tmp_path: Path) -> None:
    assert states(audit("--online", path=str(tmp_path)).stdout, "vulnerabilities") == {"NOT CHECKED"}


def tool_that_says(folder: Path, out: str, err: str = "", code: int = 0) -> str:
    """A pip-audit that gives one answer, which the real one was seen to give."""
    (folder / "out").write_text(out)
    (folder / "err").write_text(err)
    script = folder / "pip-audit"
    script.write_text(f'#!/bin/sh\n/bin/cat "{folder}/out"\n/bin/cat "{folder}/err" >&2\nexit {code}\n')
    script.chmod(0o755)
    return str(folder)


KNOWN = {
    "dependencies": [
        {"name": "gradio", "version": "6.31.0", "vulns": []},
        {"name": "old", "version": "1.0", "vulns": [{"id": "X-1", "fix_versions": ["1.1"], "aliases": []}]},
    ],
    "fixes": [],
}


def test_a_known_vulnerability_is_found_and_named(tmp_path: Path) -> None:
    done = audit("--online", path=tool_that_says(tmp_path, json.dumps(KNOWN), "Found 1 known vulnerability", 1))
    assert done.returncode == 1
    assert "audit: vulnerabilities: FOUND: old 1.0: X-1, mended in 1.1" in done.stdout


@pytest.mark.parametrize(
    ("out", "err"),
    [
        ("", "ERROR:pip_audit._cli:Connection refused"),
        ("not json", ""),
        ('{"dependencies": []}', ""),
        ('{"dependencies": [{"name": "x", "skip_reason": "not found"}]}', ""),
        ('{"other": 1}', ""),
    ],
)
def test_a_service_that_does_not_answer_has_checked_nothing(tmp_path: Path, out: str, err: str) -> None:
    done = audit("--online", path=tool_that_says(tmp_path, out, err, 1))
    assert states(done.stdout, "vulnerabilities") == {"NOT CHECKED"}


def test_pins_of_which_nothing_is_known_are_fine(tmp_path: Path) -> None:
    clean = json.dumps({"dependencies": KNOWN["dependencies"][:1]})
    assert states(audit("--online", path=tool_that_says(tmp_path, clean)).stdout, "vulnerabilities") == {"ok"}
