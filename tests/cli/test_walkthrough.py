"""The pages run: every command and every Python block of the walkthrough and of the README, from top to bottom."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run, environment
from tests.hub_server import Account, HubServer

LABELER = ".venv/bin/labeler "
NEEDS_MORE = ("labeler serve", "from trl")  # a browser; the trainers' own environment, where tests/trainers run them


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of every code block, in order."""
    return re.findall(r"```(sh|python)\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


def runnable(page: Path) -> list[list[str]]:
    """What the page tells to run, as argument lists for this Python."""
    steps = []
    for language, text in blocks(page):
        if language == "python":
            steps.append(["-c", text])
        else:
            lines = [line.partition("  #")[0].strip() for line in text.splitlines() if line.startswith(LABELER)]
            steps += [["-m", "labeler", *shlex.split(line.removeprefix(LABELER))] for line in lines]
    return [step for step in steps if not any(word in " ".join(step) for word in NEEDS_MORE)]


@pytest.fixture
def clone(place: Path) -> Path:
    """A folder with the study files of a clone."""
    shutil.rmtree(place / "configs")
    shutil.copytree(ROOT / "configs", place / "configs")
    return place


@pytest.mark.parametrize(("name", "steps", "commits"), [("README.md", 3, 2), ("docs/walkthrough.md", 14, 1)])
def test_a_page_runs_from_top_to_bottom(clone: Path, run: Run, name: str, steps: int, commits: int) -> None:
    told = runnable(ROOT / name)
    assert len(told) == steps
    if name == "README.md":
        run("simulate", "--conversations", "50")  # somebody has voted
    with HubServer(accounts={"hf_test": Account("someone")}) as hub:
        for step in told:
            done = subprocess.run(
                [sys.executable, *step],
                env=environment(HF_ENDPOINT=hub.endpoint, HF_TOKEN="hf_test", HF_HUB_DISABLE_PROGRESS_BARS="1"),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (step, done.stderr)
        assert len(hub.commits("someone/feedback")) == commits  # the walkthrough ends with a purge of the history


def test_the_table_of_gestures_names_every_event_that_a_chat_makes() -> None:
    from labeler.core.events import KINDS  # noqa: PLC0415 - beside what it is compared with

    page = (ROOT / "README.md").read_text(encoding="utf-8")
    table = page.partition("## What each gesture becomes")[2].partition("\n## ")[0]
    by_people = {"log_started", "annotator_excluded", "annotator_included", "erased", "comparison_withdrawn"}
    by_people |= {"span_reviewed", "conversation_started"}  # by a reviewer, and with the first message
    elsewhere = {"conversation_adopted", "pair_drawn", "review_skipped", "answers_flagged", "adjudicated"}
    assert set(re.findall(r"`([a-z]+_[a-z]+|compared)`", table)) == KINDS.keys() - by_people - elsewhere
