"""labeler forget, as a data lead runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labeler.store import Store
from tests.cli.conftest import Run
from tests.hub_server import HubServer


@pytest.fixture
def annotator(place: Path, run: Run) -> str:
    """Somebody in a simulated log that was published."""
    run("simulate", "--conversations", "12")
    with Store.open(f"sqlite:///{place / '.labeler' / 'tried.db'}") as store:
        return next(event.annotator_id for event in store.scan(1))


def test_it_erases_publishes_purges_and_leaves_a_receipt(place: Path, run: Run, hub: HubServer, annotator: str) -> None:
    run("push", "--repo", "tester/votes")
    said = run("forget", "--annotator", annotator, "--push", "--purge-history", "--repo", "tester/votes")
    assert (said.code, said.err) == (0, "")
    assert "erased" in said.out
    (path,) = (place / "exports" / "tried" / "receipts").glob("*.json")
    assert f"receipt: {path.relative_to(place)}" in said.out
    assert json.loads(path.read_text())["hub"]["purge"]["commits_kept"] == []
    assert len(hub.commits("tester/votes")) == 1
    assert run("verify", "--package", "exports/tried", "--repo", "tester/votes").code == 0


def test_json_is_the_receipt(place: Path, run: Run, annotator: str) -> None:
    said = run("forget", "--annotator", annotator, "--json")
    document = json.loads(said.out)
    assert document["finished"] is True
    assert json.loads(Path(document["receipt"]).read_text())["pseudonym"] == document["pseudonym"]


@pytest.mark.parametrize(
    "arguments",
    [(), ("--annotator", "a", "--conversation", "b"), ("--annotator", "a", "--purge-history")],
    ids=["neither", "both", "purge without push"],
)
def test_what_cannot_be_meant_is_wrong_usage(place: Path, run: Run, arguments: tuple[str, ...]) -> None:
    assert run("forget", *arguments).code == 2


def test_an_unknown_id_is_one_line(place: Path, run: Run, annotator: str) -> None:
    assert "no conversation of this log" in run("forget", "--conversation", "nowhere").line


def test_a_purge_that_is_not_complete_fails_and_says_what_is_left(
    place: Path, run: Run, hub: HubServer, annotator: str
) -> None:
    run("push", "--repo", "tester/votes")
    hub.state.repo("tester/votes").refs["refs/pr/1"] = hub.commits("tester/votes")[0].oid
    said = run("forget", "--annotator", annotator, "--push", "--purge-history", "--repo", "tester/votes")
    assert "can still be read" in said.line
    assert "left: refs that no client can delete (refs/pr/1)" in said.out


def test_packages_of_other_views_are_cleaned_too(place: Path, run: Run, annotator: str) -> None:
    run("export")
    run("export", "--view", "text")
    said = run("forget", "--annotator", annotator)
    assert said.code == 0
    assert "left: published copies of exports/tried-text" in said.out
    before = (place / "exports" / "tried-text" / "_export" / "manifest.json").read_text()
    assert run("export", "--view", "text").out.startswith(str(place / "exports" / "tried-text"))
    assert (place / "exports" / "tried-text" / "_export" / "manifest.json").read_text() == before
