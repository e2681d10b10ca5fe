"""What was recorded of a foreign page becomes the same data sets, told apart by its origin."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import labeler
from labeler.store import Store
from tests.attach.conftest import App, Browser
from tests.export import exported, open_store, rows_of, study_of, tell
from tests.stories import told


def test_origins_say_that_a_text_is_the_clients_copy(tmp_path: Path) -> None:
    story = told("ann", "c1", mode="attached").asks("Why?").answers("So.").edits("Because of that.")
    with open_store(tmp_path) as store:
        package = exported(tell(store, story), study_of(), tmp_path / "out").package
    origins = {row["content"]: row["origin"] for row in rows_of(package, "messages")}
    assert origins == {
        "Why?": "client_copy:user",
        "So.": "client_copy:model",
        "Because of that.": "client_copy:human_edit",
    }
    (pair,) = rows_of(package, "dpo")
    assert (pair["chosen_origin"], pair["rejected_origin"]) == ("client_copy:human_edit", "client_copy:model")


def test_a_liked_rewrite_is_as_off_policy_as_any_other(tmp_path: Path) -> None:
    rows = {}
    for mode in ("chat", "attached"):
        story = told("ann", "c1", mode=mode).asks("Why?").answers("So.").edits("Because of that.").likes()
        with open_store(tmp_path, mode) as store:
            package = exported(tell(store, story), study_of(), tmp_path / f"{mode}-out").package
        rows[mode] = [(row["completion"], row["label"]) for row in rows_of(package, "kto")]
    assert rows["attached"] == rows["chat"]


def test_a_retry_with_two_thumbs_in_an_attached_app_is_a_pair(interface: App, tab: Browser, tmp_path: Path) -> None:
    tab.shows("Which way?", "Left.").like(liked=False)
    tab.tell("retry", index=0, value="Which way?")
    tab.shows("Which way?", "Right.").tell("success")
    tab.like()
    with closing(Store.open(interface.database)) as store:
        package = exported(store, study_of(), tmp_path / "out").package
    (pair,) = (row for row in rows_of(package, "dpo") if row["prompt"][-1]["content"] == "Which way?")
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == ("Right.", "Left.")


def test_the_package_offers_attach_and_nothing_that_is_not_there() -> None:
    assert callable(labeler.attach)
    with pytest.raises(AttributeError, match="no attribute 'atach'"):
        _ = labeler.atach
