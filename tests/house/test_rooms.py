"""The rules that keep each neighbour in its room fire, and say where to go."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

TOOLS = Path(sys.executable).parent
NEIGHBOURS = {
    "import argon2": "labeler/accounts/",
    "import sqlalchemy": "labeler/store/",
    "import gradio": "labeler/page/",
    "from huggingface_hub import HfApi": "labeler/hub/",
    "import datasets": "labeler/export/",
    "import pyarrow.parquet": "labeler/export/",
    "import pandas": "labeler/stats.py",
    "import datetime\n\ndatetime.datetime.now(datetime.UTC)": "labeler/store/",
    "import uuid\n\nuuid.uuid4()": "labeler/ids.py",
    "import os\n\nos.environ": "labeler/cli/",
}


def lint(code: str, path: str) -> str:
    """What ruff says of ``code`` if it stood at ``path``."""
    command = [TOOLS / "ruff", "check", "--no-cache", "--select", "TID251", "--stdin-filename", path, "-"]
    return subprocess.run(command, cwd=ROOT, input=code, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(("code", "room"), NEIGHBOURS.items())
def test_an_import_in_the_wrong_room_is_shown_the_right_one(code: str, room: str) -> None:
    said = lint(code, "labeler/core/new.py")
    assert "TID251" in said
    assert room in said


@pytest.mark.parametrize(("code", "room"), NEIGHBOURS.items())
def test_every_neighbour_is_welcome_in_its_own_room(code: str, room: str) -> None:
    assert "All checks passed" in lint(code, room + "new.py" if room.endswith("/") else room)


def test_an_import_against_the_arrows_breaks_a_contract(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "labeler", tmp_path / "labeler", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module, line in {
        "core/events.py": "import labeler.page",
        "page/render.py": "import labeler.store, sqlalchemy",
        "export/manifest.py": "import gradio",
        "store/rows.py": "import pyarrow",
    }.items():
        with (tmp_path / "labeler" / module).open("a", encoding="utf-8") as source:
            source.write(f"\n{line}\n")
    command = [TOOLS / "lint-imports", "--no-cache"]
    verdict = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    broken = set(re.findall(r"^(.+) BROKEN", verdict.stdout, re.MULTILINE))
    assert broken == {
        "Imports point one way: entries, page, use-cases, neighbours, core",
        "The page speaks to the use-cases, not to what they use",
        "The core is pure: the standard library, orjson and rapidfuzz",
        "SQL is known in the store only",
        "Gradio is known in the page, and where foreign pages are listened to",
        "Arrow and datasets are known in export and importing only",
    }, verdict.stdout
