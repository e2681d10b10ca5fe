"""Any id of a row, a message or a gesture leads to the events, the rule and the decision behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler.errors import PackageError
from labeler.export.explaining import Explanation, explain
from labeler.export.pseudonyms import Pseudonyms
from labeler.store import Store
from tests.export import KEY, every_row, exported, judged, open_store, rows_of, simulated, study_of, tell
from tests.stories import told

STUDY = study_of()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return tell(open_store(tmp_path), *(judged(number) for number in range(7)))


@pytest.fixture
def package(store: Store, tmp_path: Path) -> Path:
    return exported(store, STUDY, tmp_path / "out").package


def asked(store: Store, one: str, package: Path | None = None) -> Explanation:
    return explain(store, STUDY, one, key=KEY, package=package)


def test_every_record_of_a_package_is_explained_by_what_stands_in_its_row(store: Store, package: Path) -> None:
    names = Pseudonyms.of(KEY, STUDY.name)
    for config, split, row in every_row(package):
        if "record_id" not in row:
            continue
        found = asked(store, row["record_id"], package)
        (decision,) = found.decisions
        assert (decision.config, decision.split, decision.rule) == (config, split, row["source"])
        assert (list(decision.sources), decision.strength) == (row["sources"], row["strength"])
        assert decision.confidence == pytest.approx(row["confidence"])
        assert names.conversations[found.conversation_id] == row["conversation_id"]
        assert names.annotators[found.annotator_id] in row["annotator_ids"]
        shown = [names.events[event.event_id] for event in found.events]
        assert set(row["event_ids"]) <= set(shown)


def test_events_come_in_the_order_of_the_log_and_make_the_answers(store: Store, package: Path) -> None:
    row = rows_of(package, "dpo")[0]
    found = asked(store, row["record_id"], package)
    positions = [event.position for event in found.events]
    assert positions == sorted(positions)
    assert {"reply_finished"} <= {event.payload.kind for event in found.events}


@pytest.mark.parametrize("with_package", [True, False], ids=["with a package", "without"])
def test_an_id_is_found_with_a_package_and_without(store: Store, package: Path, with_package: bool) -> None:
    row = rows_of(package, "kto")[-1]
    found = asked(store, row["record_id"], package if with_package else None)
    assert [one.record_id for one in found.decisions] == [row["record_id"]]


def test_a_message_shows_all_that_became_of_it(store: Store, package: Path) -> None:
    """The second answer of a conversation was chosen in a pair (in two configs) and liked."""
    found = asked(store, "c3.a2", package)
    assert {(one.config, one.rule) for one in found.decisions if one.config} == {
        ("dpo", "R22"),
        ("reward", "R22"),
        ("kto", "R2"),
    }


def test_the_published_name_of_a_message_is_as_good_as_its_own(store: Store, package: Path) -> None:
    published = Pseudonyms.of(KEY, STUDY.name).messages["c3.a2"]
    assert asked(store, published, package).decisions == asked(store, "c3.a2", package).decisions


def test_what_was_left_out_is_told_with_its_reason_and_the_gestures(tmp_path: Path) -> None:
    story = told().asks("Why?").answers("One.").likes().dislikes().likes().dislikes()
    store = tell(open_store(tmp_path), story)
    (decision,) = asked(store, "c1.a1").decisions
    assert (decision.reason, decision.rule) == ("too_many_flips", "R14")
    assert decision.meaning == "a vote that was flipped three times or more"
    kinds = [event.payload.kind for event in asked(store, "c1.a1").events]
    assert kinds.count("vote_cast") == 4


def test_a_conversation_shows_everything_that_became_of_it(store: Store, package: Path) -> None:
    found = asked(store, "c3", package)
    assert len({one.config for one in found.decisions if one.config}) == 4
    published = Pseudonyms.of(KEY, STUDY.name).conversations["c3"]
    assert asked(store, published).decisions == found.decisions


def test_a_vote_shows_the_rows_that_rest_on_it(store: Store, package: Path) -> None:
    vote = rows_of(package, "votes")[0]
    found = asked(store, vote["event_id"], package)
    assert found.decisions
    names = Pseudonyms.of(KEY, STUDY.name)
    assert all(vote["event_id"] in [names.events[one] for one in each.event_ids] for each in found.decisions)


def test_an_id_that_nothing_has_is_one_line(store: Store, package: Path) -> None:
    with pytest.raises(PackageError, match=r"^nobody: neither the log nor the data set has this id; name a record"):
        asked(store, "nobody", package)


def test_how_far_the_search_is_is_told(tmp_path: Path) -> None:
    store = simulated(open_store(tmp_path), 30, STUDY)
    told_of: list[tuple[int, int]] = []
    with pytest.raises(PackageError):
        explain(store, STUDY, "x", key=KEY, report=lambda done, total: told_of.append((done, total)))
    assert told_of == [(30, 30)]


def test_an_explanation_is_a_plain_object_too(store: Store, package: Path) -> None:
    row = rows_of(package, "sft")[0]
    tree = asked(store, row["record_id"], package).as_json()
    assert tree["asked"] == row["record_id"]
    assert tree["decisions"][0]["config"] == "sft"
    assert {"position", "kind", "body"} <= tree["events"][0].keys()
