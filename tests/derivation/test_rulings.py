"""R31, R32: what was adjudicated counts, and what was flagged does not."""

from __future__ import annotations

import pytest

from labeler.core.events import Adjudicated, AnswersFlagged, Compared, Ruling, Winner
from labeler.core.standing import Standing
from tests.derivation import outcome
from tests.stories import Story, told

A, B = "c1.a1", "c1.a2"


def says(winner: Winner) -> Compared:
    return Compared(message_a=A, message_b=B, winner=winner, strength=2 * (winner in "ab"), position="a_left")


def ruled(verdict: Ruling, *, alone: bool = False, strength: int = 2) -> Adjudicated:
    return Adjudicated(message_a=A, message_b=None if alone else B, verdict=verdict, strength=strength)


def disputed() -> Story:
    """Ann says that the second answer is better, Bob the first."""
    return told("ann").asks("Why?").answers("One.").retries("Two.").better().by("bob").adds(says("a")).by("eve")


# ── R31 ──


@pytest.mark.parametrize(("verdict", "pair"), [("a", ("a1", "a2")), ("b", ("a2", "a1"))])
def test_a_ruling_ends_a_dispute(verdict: Ruling, pair: tuple[str, str]) -> None:
    assert outcome(disputed()).excluded["contested_pair"]
    found = outcome(disputed().adds(ruled(verdict, strength=3)))
    assert found.pairs.keys() == {pair}
    grounds = found.pairs[pair]
    assert (grounds.source, grounds.strength, grounds.annotator_ids) == ("R31", 3, ("eve",))
    assert "contested_pair" not in found.excluded


def test_a_ruling_outranks_a_majority_and_what_is_said_after_it() -> None:
    story = disputed().adds(ruled("a"))
    for name in ("joe", "sue", "tom"):
        story = story.by(name).adds(says("b"))
    assert outcome(story).pairs.keys() == {("a1", "a2")}


def test_a_ruling_outranks_votes_and_rewrites_of_the_same_answers() -> None:
    story = told("ann").asks("Why?").answers("One.").dislikes().retries("Two.").likes().better()
    assert outcome(story.by("eve").adds(ruled("a"))).pairs.keys() == {("a1", "a2")}


def test_the_last_ruling_stands() -> None:
    assert outcome(disputed().adds(ruled("a")).by("sue").adds(ruled("b"))).pairs.keys() == {("a2", "a1")}


@pytest.mark.parametrize(("verdict", "reason"), [("tie", "tie"), ("void", "adjudicated_void")])
def test_a_ruling_may_be_that_there_is_no_pair(verdict: Ruling, reason: str) -> None:
    found = outcome(disputed().adds(ruled(verdict)))
    assert found.pairs == {}
    assert found.excluded_for(reason)


def test_a_ruling_that_both_are_bad_labels_both() -> None:
    assert outcome(disputed().adds(ruled("both_bad"))).labels == {"a1": False, "a2": False}


def test_what_was_said_of_other_answers_is_untouched() -> None:
    story = disputed().adds(ruled("a")).by("ann").asks("And?").answers("Three.").retries("Four.").better()
    assert outcome(story).pairs.keys() == {("a1", "a2"), ("a4", "a3")}


@pytest.mark.parametrize(("verdict", "labels"), [("good", {"a1": True}), ("bad", {"a1": False}), ("void", {})])
def test_a_ruling_on_one_answer_stands_in_the_place_of_all_votes(verdict: Ruling, labels: dict[str, bool]) -> None:
    story = told("ann").asks("Why?").answers("One.").likes().by("bob").dislikes()
    assert outcome(story).labels == {}
    found = outcome(story.by("eve").adds(ruled(verdict, alone=True)))
    assert found.labels == labels
    if labels:
        assert found.judged["a1"].sources == ("R2" if verdict == "good" else "R3", "R31")


def test_whoever_may_not_be_heard_rules_nothing() -> None:
    story = disputed().adds(ruled("a"))
    assert outcome(story, Standing(excluded=frozenset({"eve"}))).pairs == {}


def test_the_raw_rows_keep_what_everybody_said() -> None:
    rows = outcome(disputed().adds(ruled("a"))).derived.comparisons
    assert [(row.annotator_id, row.winner) for row in rows] == [("ann", "b"), ("bob", "a")]


# ── R32 ──


def flagged(story: Story, *, alone: bool = False) -> Story:
    flag = AnswersFlagged(message_a=A, message_b=None if alone else B, flag="personal_data")
    return story.by("bob").adds(flag)


def test_nothing_is_made_of_a_flagged_pair() -> None:
    found = outcome(flagged(told("ann").asks("Why?").answers("One.").likes().retries("Two.").better()))
    assert found.barren
    assert found.excluded["flagged"]


def test_nothing_is_made_of_a_flagged_answer_and_its_sibling_is_left_alone() -> None:
    story = told("ann").asks("Why?").answers("One.").likes().retries("Two.").likes()
    assert outcome(flagged(story, alone=True)).labels == {"a2": True}


def test_a_ruling_answers_the_flags_before_it_and_not_those_after_it() -> None:
    story = flagged(told("ann").asks("Why?").answers("One.").retries("Two.").better()).by("eve").adds(ruled("b"))
    assert outcome(story).pairs.keys() == {("a2", "a1")}
    assert outcome(flagged(story)).barren


def test_a_flag_of_whoever_may_not_be_heard_says_nothing() -> None:
    story = flagged(told("ann").asks("Why?").answers("One.").likes(), alone=True)
    assert outcome(story, Standing(excluded=frozenset({"bob"}))).labels == {"a1": True}


# ── what the study asks of a record ──


def agreed(*names: str) -> Story:
    story = told("ann").asks("Why?").answers("One.").retries("Two.").better()
    for name in names:
        story = story.by(name).adds(says("b"))
    return story


@pytest.mark.parametrize(("others", "stands"), [((), False), (("bob",), False), (("bob", "eve"), True)])
def test_a_record_that_too_few_judged_is_left_out(others: tuple[str, ...], stands: bool) -> None:
    found = outcome(agreed(*others), min_annotators=3)
    assert bool(found.pairs) == stands
    assert bool(found.excluded["too_few_annotators"]) != stands


@pytest.mark.parametrize(("share", "stands"), [(0.6, True), (0.75, True), (0.8, False)])
def test_a_record_that_too_few_of_its_judges_agree_with_is_left_out(share: float, stands: bool) -> None:
    story = agreed("bob", "eve").by("joe").adds(says("a"))
    found = outcome(story, min_agreement=share)
    assert bool(found.pairs) == stands
    assert bool(found.excluded["low_agreement"]) != stands


def test_labels_and_demonstrations_are_asked_the_same() -> None:
    story = told("ann").asks("Why?").answers("One.").likes().asks("And?").answers("Two.").edits("Three, at last.")
    assert not outcome(story).barren
    assert outcome(story, min_annotators=2).barren


def test_what_was_adjudicated_stands_whoever_judged_it() -> None:
    found = outcome(disputed().adds(ruled("a")), min_annotators=5, min_agreement=1.0)
    assert found.pairs.keys() == {("a1", "a2")}
