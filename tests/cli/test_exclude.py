"""``labeler exclude`` and ``labeler include``: reversible, and exports follow."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from labeler.store import Store
from labeler.store.verify import verify_log
from tests.cli.conftest import Run
from tests.export import tell
from tests.stories import told

URL = "sqlite:///{}/.labeler/tried.db"


@pytest.fixture
def log(place: Path) -> Path:
    with closing(Store.open(URL.format(place))) as store:
        tell(
            store,
            told("ann").asks("Why?").answers("One.").likes(),
            told("bob", "c2").asks("How?").answers("So.").likes(),
        )
    return place


def exported(run: Run) -> tuple[int, int]:
    """How many rows of kto there are, and what was left out because its annotator is excluded."""
    document = json.loads(run("export", "--json").out)
    return sum(document["rows"]["kto"].values()), document["excluded"].get("annotator_excluded", 0)


def test_exports_follow_an_exclusion_and_its_reversal(run: Run, log: Path) -> None:
    assert exported(run) == (2, 0)
    said = run("exclude", "bob", "--reason", "answers at random").out
    assert said == "excluded bob; labeler include bob brings their work back\n"
    rows, left_out = exported(run)
    assert rows == 1
    assert left_out >= 1
    assert [one["annotator"] for one in json.loads(run("stats", "--json").out)["trust"]["raters"]] == ["ann"]
    assert run("include", "bob").out == "included bob\n"
    assert exported(run) == (2, 0)
    with closing(Store.open(URL.format(log))) as store:
        events = store.load("bob")
        assert [event.payload.kind for event in events] == ["annotator_excluded", "annotator_included"]
        assert {event.annotator_id for event in events} == {"labeler"}
        assert verify_log(store).problems == ()


def test_the_same_again_changes_nothing(run: Run, log: Path) -> None:
    run("exclude", "bob")
    with closing(Store.open(URL.format(log))) as store:
        before = store.position()
    run("exclude", "bob")
    run("include", "ann")
    with closing(Store.open(URL.format(log))) as store:
        assert store.position() == before
    assert run("include", "ann").out == "ann was not excluded; nothing has changed\n"


def test_an_account_is_known_by_its_name(run: Run, log: Path) -> None:
    run("users", "add", "Eve", "--no-password")
    (account,) = json.loads(run("users", "list", "--json").out)["accounts"]
    with closing(Store.open(URL.format(log))) as store:
        tell(store, told(account["annotator_id"], "c3").asks("Who?").answers("I.").likes())
    run("exclude", "eve")
    with closing(Store.open(URL.format(log))) as store:
        assert [event.payload.kind for event in store.load(account["annotator_id"])] == ["annotator_excluded"]


def test_who_is_not_there_is_told_in_one_line(run: Run, log: Path) -> None:
    assert run("exclude", "nobody").line == "No annotator has this id. labeler stats lists them."
