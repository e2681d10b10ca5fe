"""labeler redaction, as a reviewer runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labeler.store import Store
from tests.cli.conftest import Run, write_study
from tests.stories import told


@pytest.fixture
def log(place: Path) -> Path:
    write_study(place, redaction="replace")
    with Store.open(f"sqlite:///{place / '.labeler' / 'tried.db'}") as store:
        story = told("ann", "c1").asks("Version 1.2.3.4 or\nmail jane@x.org?").answers("Version 1.2.3.4.").likes()
        store.append(story.events)
    return place / ".labeler" / "tried.db"


def test_a_false_hit_is_restored_with_one_command(run: Run, log: Path) -> None:
    said = run("redaction", "list")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[-1] == "3 hits, 0 of them restored"
    hit = next(line.split()[0] for line in lines if "<IP_ADDRESS_1>" in line)
    restored = run("redaction", "restore", hit)
    assert restored.out == f"{hit}: published as it is from the next export on\n"
    assert run("redaction", "list").out.splitlines()[-1] == "3 hits, 2 of them restored"
    assert run("export").code == 0
    assert "redacted as <IP_ADDRESS_1>" in run("redaction", "restore", "--undo", hit).out


def test_the_list_shows_what_stands_around_on_one_line(run: Run, log: Path) -> None:
    assert any("…Version 1.2.3.4 or mail [jane@x.org]?…" in line for line in run("redaction", "list").out.splitlines())


def test_kinds_can_be_chosen_and_json_says_all(run: Run, log: Path) -> None:
    (hit,) = json.loads(run("redaction", "list", "--kind", "EMAIL", "--json").out)["hits"]
    assert (hit["value"], hit["placeholder"], hit["restored"], hit["conversation"]) == (
        "jane@x.org",
        "<EMAIL_1>",
        False,
        "c1",
    )


@pytest.mark.parametrize("hit", ["nonsense", "c1:0000000000000000:1-2"])
def test_an_unknown_hit_is_one_line(run: Run, log: Path, hit: str) -> None:
    assert f"'{hit}' is no hit" in run("redaction", "restore", hit).line


def test_a_study_that_looks_for_nothing_is_one_line(run: Run, log: Path, place: Path) -> None:
    write_study(place)
    assert "set key 'redaction' in the study file" in run("redaction", "list").line
