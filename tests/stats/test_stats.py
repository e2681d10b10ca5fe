"""What `labeler stats` says of a log: true counts, honest rates, bounded memory."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.folding import replay
from labeler.core.rules import Options, derive
from labeler.core.standing import Standing
from labeler.simulate import simulate
from labeler.stats import Tally, flips, statistics, tables
from labeler.store import Store
from labeler.store.transfer import dump, load
from labeler.study import Study, parse_study
from tests.stories import Story, told, told_of

STUDY = parse_study(
    {"name": "counted", "models": [{"kind": "openai", "name": "m", "base_url": "http://x", "model": "m"}]}
)
CAREFUL = STUDY.model_copy(update={"consent": {"version": "1", "text": "May we?"}})

Counted = Callable[..., dict[str, Any]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/log.db") as opened:
        yield opened


@pytest.fixture
def counted(store: Store) -> Counted:
    """Store stories and count them."""

    def count(*stories: Any, study: Study = STUDY) -> dict[str, Any]:
        for story in stories:
            store.append(story.events)
        return statistics(store, study)

    return count


def row_of(rows: list[dict[str, Any]], **key: str) -> dict[str, Any]:
    return next(row for row in rows if key.items() <= row.items())


# ── true counts ──


def test_a_log_in_which_nothing_happened_says_so(counted: Counted) -> None:
    empty = counted()
    assert (empty["conversations"], empty["models"], empty["days"], empty["records"]) == (0, [], [], {})
    assert empty["events"] == {"log_started": 1}
    assert empty["votes"]["like_rate"] is None
    assert next(iter(tables(empty))) == "counted: 0 conversations, 1 events"


def test_every_event_is_counted_by_its_kind(store: Store, counted: Counted) -> None:
    document = counted(
        told().asks("Hi").answers("Hello").likes().withdraws().undoes(),
        told_of("ann").consents(),
        told("ben", "c2").asks("?"),
    )
    assert document["events"] == dict(sorted(Counter(event.payload.kind for event in store.scan()).items()))
    assert sum(document["events"].values()) == document["position"] == store.position()


def test_the_beginning_of_a_log_that_was_loaded_into_this_one_is_counted_too(
    store: Store, counted: Counted, tmp_path: Path
) -> None:
    dumped = tmp_path / "other.jsonl"
    with Store.open(f"sqlite:///{tmp_path}/other.db") as other, dumped.open("wb") as file:
        other.append(told("ben", "c2").asks("?").answers("!").events)
        dump(other, file)
    store.append(told().asks("Hi").events)
    load(store, dumped)
    document = counted()
    assert document["events"]["log_started"] == 2
    assert sum(document["events"].values()) == document["position"]


def test_votes_are_counted_as_they_stand_and_their_changes_beside(counted: Counted) -> None:
    story = told().asks("1").answers("a").likes().dislikes().likes()
    story.asks("2").answers("b").likes().withdraws()
    story.asks("3").answers("c").dislikes()
    votes = counted(story)["votes"]
    assert {name: votes[name] for name in ("likes", "dislikes", "withdrawn", "flips")} == {
        "likes": 1,
        "dislikes": 1,
        "withdrawn": 1,
        "flips": 2,
    }


def test_a_withdrawn_vote_has_no_reason_and_no_rate(counted: Counted) -> None:
    document = counted(told().asks("1").answers("a").likes().explains("Helpful").withdraws())
    assert document["reasons"] == []
    assert document["votes"]["like_rate"] is None


def test_reasons_are_counted_beside_the_vote_that_they_explain(counted: Counted) -> None:
    story = told().asks("1").answers("a").likes().explains("Helpful", "Clear").asks("2").answers("b").dislikes()
    story.explains("Clear", comment="or so it seemed")
    document = counted(story)
    assert document["reasons"] == [
        {"reason": "Clear", "likes": 1, "dislikes": 1},
        {"reason": "Helpful", "likes": 1, "dislikes": 0},
    ]
    assert document["comments"] == 1


def test_a_retrys_question_is_counted_by_its_last_answer(counted: Counted) -> None:
    changed = told().asks("1").answers("a").retries("b").better().worse()
    tie = told("ann", "c2").asks("1").answers("a").retries("b").about_the_same()
    taken_back = told("ann", "c3").asks("1").answers("a").retries("b").better().compares(None)
    assert counted(changed, tie, taken_back)["comparisons"] == {"better": 0, "same": 1, "worse": 1}


def test_answers_are_counted_by_how_they_ended(counted: Counted) -> None:
    story = told().asks("1").answers("a").asks("2").stopped("b").asks("3").fails("c")
    never_finished = told("ann", "c2").asks("4")
    assert counted(story, never_finished)["answers"] == {"answers": 4, "stopped": 1, "failed": 2}


def test_what_was_done_is_counted_as_often_as_it_was_done(counted: Counted) -> None:
    story = told().asks("1").answers("a").edits("a!").retries("b").selects("a1").rewrites("1?").answers("c")
    story.asks("2").answers("d").undoes().clears()
    assert counted(story)["gestures"] == {
        "messages_sent": 2,
        "messages_rewritten": 1,
        "retries": 1,
        "edits": 1,
        "undos": 1,
        "turned_to_another_answer": 1,
        "cleared": 1,
    }


def test_models_are_told_apart_and_from_people(counted: Counted) -> None:
    small = told("ann", "c1", model="small").asks("1").answers("a").dislikes().edits("better").likes()
    large = told("ben", "c2", model="large").asks("1").answers("a").likes()
    models = counted(small, large)["models"]
    assert [row["model"] for row in models] == ["(rewritten by hand)", "large", "small"]
    assert row_of(models, model="small") | {"likes": 0, "dislikes": 1, "edits": 1, "answers": 1} == row_of(
        models, model="small"
    )
    assert row_of(models, model="(rewritten by hand)")["likes"] == 1
    assert row_of(models, model="large")["like_rate"] == 1.0


def test_annotators_and_days_are_told_apart(counted: Counted) -> None:
    monday = told("ann", "c1").asks("1").answers("a").likes()
    tuesday = told("ben", "c2", day=1).asks("1").answers("a").dislikes()
    document = counted(monday, tuesday)
    assert [(row["annotator"], row["likes"], row["dislikes"]) for row in document["annotators"]] == [
        ("ann", 1, 0),
        ("ben", 0, 1),
    ]
    assert [(row["day"], row["likes"], row["dislikes"]) for row in document["days"]] == [
        ("2026-11-22", 1, 0),
        ("2026-11-23", 0, 1),
    ]


def test_records_are_those_that_derivation_makes_by_rule(counted: Counted) -> None:
    story = told().asks("1").answers("An answer.").likes().retries("Another answer.").dislikes().better()
    derived = derive(replay("c1", story.events), Standing(), Options())
    document = counted(story)
    assert document["records"]["kto"] == {"R2": 1, "R3": 1}
    assert document["excluded"] == dict(sorted(derived.excluded.items()))


def test_without_consent_there_are_votes_but_no_records(counted: Counted) -> None:
    story = told().asks("1").answers("a").likes()
    document = counted(story, study=CAREFUL)
    assert (document["votes"]["likes"], document["records"]) == (1, {})
    assert counted(told_of("ann").consents(), study=CAREFUL)["records"] == {"kto": {"R2": 1}}


# ── honest rates ──


@pytest.mark.parametrize(
    ("likes", "dislikes", "low", "high"),
    [(0, 0, None, None), (1, 0, 0.2065, 1.0), (0, 1, 0.0, 0.7935), (50, 50, 0.4038, 0.5962), (9, 1, 0.5958, 0.9821)],
)
def test_a_like_rate_comes_with_wilsons_interval(
    likes: int, dislikes: int, low: float | None, high: float | None
) -> None:
    tally = Tally()
    tally.totals.update(likes=likes, dislikes=dislikes)
    votes = tally.summary()["votes"]
    assert (votes["low"], votes["high"]) == (low, high)


@given(st.lists(st.sampled_from([1, -1, 0])))
def test_a_withdrawal_is_no_flip_and_hides_none(votes: list[int]) -> None:
    assert flips(votes) == flips(vote for vote in votes if vote)
    assert flips(votes) <= max(0, len(votes) - 1)


# ── the document ──


def test_the_parts_of_a_simulated_log_add_up(store: Store) -> None:
    store.extend(simulate(300, study=STUDY, seed=4))
    document = statistics(store, STUDY)
    for axis in ("models", "annotators", "days"):
        for measure in (
            "conversations",
            "answers",
            "stopped",
            "failed",
            "likes",
            "dislikes",
            "retries",
            "edits",
            "worse",
        ):
            whole = {
                "conversations": document["conversations"],
                **document["answers"],
                **document["votes"],
                **document["comparisons"],
                **document["gestures"],
            }
            assert sum(row[measure] for row in document[axis]) == whole[measure], (axis, measure)


def test_the_document_is_plain_json_and_the_same_every_time(store: Store) -> None:
    store.extend(simulate(50, study=STUDY))
    text = json.dumps(statistics(store, STUDY), allow_nan=False)
    assert json.loads(text) == statistics(store, STUDY)


def test_progress_is_told_of_every_conversation(store: Store) -> None:
    store.extend(simulate(70, study=STUDY))
    steps: list[int] = []
    statistics(store, STUDY, report=steps.append)
    assert sum(steps) == 70


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    def peak(conversations: int) -> int:
        with Store.open(f"sqlite:///{tmp_path}/{conversations}.db") as store:
            # As if all of it had happened in one hour: days are kept, conversations are not.
            store.extend(
                [replace(event, at="2026-11-22T10:00:00.000000Z") for event in gesture]
                for gesture in simulate(conversations, study=STUDY)
            )
            tracemalloc.start()
            try:
                statistics(store, STUDY)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    peak(20)  # what is imported and cached once
    assert peak(240) < 1.5 * peak(40)


def test_a_long_table_ends_with_its_last_rows_and_says_what_is_missing(counted: Counted) -> None:
    stories: list[Story] = [told(f"p{n:02d}", f"c{n}").asks("1").answers("a").likes() for n in range(50)]
    text = "\n".join(tables(counted(*stories)))
    assert "By annotator (the last 40 of 50; all with --json)" in text
    assert "p49" in text
    assert "p09" not in text


def test_the_page_about_stats_names_every_key_and_measure(counted: Counted) -> None:
    page = (Path(__file__).parents[2] / "docs" / "stats.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    document = counted(told().asks("1").answers("a").likes().explains("Helpful"))
    inside = [
        document["answers"],
        document["votes"],
        document["comparisons"],
        document["gestures"],
        document["models"][0],
    ]
    assert {*document, *(key for part in inside for key in part), *document["reasons"][0]} <= named
