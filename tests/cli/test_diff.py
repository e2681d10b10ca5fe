"""labeler diff, as a data lead runs it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run, write_study
from tests.hub_server import HubServer


@pytest.fixture
def two(place: Path, run: Run) -> None:
    """A package, and what it became: in ``before`` and in the study's folder."""
    run("simulate", "--conversations", "10")
    run("export")
    shutil.copytree("exports/tried", "before")
    run("simulate", "--conversations", "10", "--seed", "7")
    run("export")


def test_it_says_what_changed_by_config_and_rule(run: Run, two: None) -> None:
    said = run("diff", "before", "exports/tried")
    assert (said.code, said.err) == (0, "")
    first, *lines = said.out.splitlines()
    assert first.startswith("before, log position ")
    assert "→ exports/tried, log position " in first
    heads = [line for line in lines if not line.startswith("    ")]
    assert [line.split()[0] for line in heads] == ["dpo", "reward", "kto", "sft", "votes", "comparisons", "messages"]
    assert all("the same" in line for line in heads)
    assert any(re.match(r"    R\d+ +added [1-9]", line) for line in lines)


def test_rows_are_named_on_request(run: Run, two: None) -> None:
    plain, named = run("diff", "before", "exports/tried"), run("diff", "before", "exports/tried", "--rows", "5")
    rows = named.out.splitlines()[len(plain.out.splitlines()) :]
    assert len(rows) == 5
    assert all(row[0] in "+-~" for row in rows)


def test_json_says_the_same(run: Run, two: None) -> None:
    document = json.loads(run("diff", "before", "exports/tried", "--rows", "2", "--json").out)
    assert document["a"]["name"] == "before"
    assert document["b"]["position"] > document["a"]["position"]
    assert sum(document["configs"]["messages"]["added"].values()) > 0
    assert len(document["rows"]) == 2
    assert set(document["rows"][0]) == {"change", "config", "split", "id", "source", "columns"}


def test_revisions_of_a_repo_are_compared(run: Run, two: None, hub: HubServer) -> None:
    run("push", "--out", "before", "--repo", "tester/votes")
    first = hub.commits("tester/votes")[0].oid
    run("simulate", "--conversations", "2", "--seed", "9")
    run("push", "--repo", "tester/votes")
    here = run("diff", f"tester/votes@{first}", "exports/tried")
    there = run("diff", f"tester/votes@{first}", "tester/votes@main")
    assert here.code == there.code == 0
    assert here.out.splitlines()[1:] == there.out.splitlines()[1:]
    assert "added" in there.out
    assert "added" not in run("diff", "tester/votes", "exports/tried").out


def test_other_options_are_told_before_the_rows(run: Run, two: None, place: Path) -> None:
    write_study(place, dataset={"license": "mit"})
    run("export")
    said = run("diff", "before", "exports/tried")
    assert "their options differ" in said.out
    assert "license" in said.out


@pytest.mark.parametrize(
    ("target", "line"),
    [("nothing", "'nothing' is neither a folder nor a repo"), ("configs", "configs: holds files but no")],
)
def test_what_cannot_be_compared_is_one_line(run: Run, two: None, target: str, line: str) -> None:
    assert line in run("diff", "before", target).line


def test_it_needs_neither_a_study_nor_a_log(run: Run, two: None, hub: HubServer, place: Path) -> None:
    run("push", "--repo", "tester/votes")
    shutil.rmtree(place / "configs")
    shutil.rmtree(place / ".labeler")
    assert run("diff", "before", "tester/votes").code == 0


def test_alone_it_says_what_the_next_push_would_change(run: Run, two: None, hub: HubServer, place: Path) -> None:
    write_study(place, dataset={"repo": "tester/votes"})
    run("push", "--out", "before")
    alone, named = run("diff"), run("diff", "tester/votes", "exports/tried")
    assert (alone.code, alone.err) == (0, "")
    assert alone.out == named.out
    assert run("diff", "before").out.splitlines()[1:] == alone.out.splitlines()[1:]


def test_a_log_that_went_on_is_told(run: Run, two: None) -> None:
    run("simulate", "--conversations", "1", "--seed", "9")
    assert "the log goes on to" in run("diff", "before").out
    document = json.loads(run("diff", "before", "--json").out)
    assert document["log_position"] > document["b"]["position"]
    assert json.loads(run("diff", "before", "exports/tried", "--json").out)["log_position"] is None


def test_another_log_says_nothing_of_the_package(run: Run, two: None) -> None:
    run("simulate", "--conversations", "100", "--database", "sqlite:///other.db")
    assert "the log goes on" not in run("diff", "before", "--database", "sqlite:///other.db").out


def test_what_is_not_named_and_not_there_is_one_line(run: Run, two: None, place: Path) -> None:
    assert run("diff").line.endswith("the study names no repo to begin with: say labeler diff A, or set dataset.repo")
    assert "nowhere.yaml: cannot read the study file" in run("diff", "a", "b", "--config", "nowhere.yaml").line
    shutil.rmtree(place / "exports")
    assert "exports/tried: there is no package here; labeler export makes it" in run("diff", "before").line
