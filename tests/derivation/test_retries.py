"""R5-R7: what a retry implies, if the study wants to know."""

from __future__ import annotations

from tests.derivation import outcome
from tests.stories import Story, told


def retried(*answers: str) -> Story:
    story = told("ann").asks("Why?").answers("One.")
    for answer in answers or ("Two.",):
        story.retries(answer)
    return story


def test_a_retry_implies_nothing_unless_the_study_says_so() -> None:
    story = retried().asks("And?").answers("Well.")
    found = outcome(story)
    assert found.pairs == {}
    assert found.excluded_for("implicit_off") == [("a2", "a1")]


def test_a_retry_that_was_continued_from_beats_the_first_answer() -> None:
    story = retried().asks("And?").answers("Well.")
    grounds = outcome(story, implicit=True).pairs["a2", "a1"]
    assert (grounds.source, grounds.strength, grounds.confidence) == ("R5", 1, 0.4)
    kinds = {event.event_id: event.payload.kind for event in story.events}
    assert [kinds[event_id] for event_id in grounds.event_ids] == ["reply_started", "message_sent"]


def test_a_retry_that_was_picked_again_beats_the_first_answer() -> None:
    story = retried().selects("a1").selects("a2")
    grounds = outcome(story, implicit=True).pairs["a2", "a1"]
    assert grounds.source == "R5"
    assert grounds.event_ids[-1] == story.events[-1].event_id


def test_a_first_answer_that_was_gone_back_to_and_continued_from_beats_the_retry() -> None:
    found = outcome(retried().selects("a1").asks("And?").answers("Well."), implicit=True)
    assert found.pairs.keys() == {("a1", "a2")}
    assert found.pairs["a1", "a2"].source == "R5b"


def test_a_first_answer_that_was_only_looked_at_beats_nothing() -> None:
    assert outcome(retried().selects("a1"), implicit=True).pairs == {}


def test_a_retry_and_then_nothing_implies_nothing() -> None:
    assert outcome(retried(), implicit=True).excluded == {"no_feedback": 2}


def test_a_retry_and_only_another_retry_implies_nothing() -> None:
    assert outcome(retried("Two.", "Three."), implicit=True).pairs == {}


def test_the_last_of_several_retries_beats_the_others_and_nothing_orders_those() -> None:
    found = outcome(retried("Two.", "Three.").asks("And?").answers("Well."), implicit=True)
    assert found.pairs.keys() == {("a3", "a1"), ("a3", "a2")}
    assert {grounds.source for grounds in found.pairs.values()} == {"R6"}


def test_a_turn_that_went_on_from_two_answers_implies_nothing() -> None:
    story = retried().asks("And?").answers("Well.").undoes().selects("a1").asks("But?").answers("Hm.")
    assert outcome(story, implicit=True).pairs == {}


def test_what_was_said_before_the_retry_is_no_continuation() -> None:
    story = told("ann").asks("Why?").answers("One.").asks("And?").answers("Well.").undoes().retries("Two.")
    assert outcome(story, implicit=True).pairs == {}


def test_a_vote_on_either_answer_beats_what_the_retry_implies() -> None:
    for voted in ("a1", "a2"):
        found = outcome(retried().dislikes(voted).asks("And?").answers("Well."), implicit=True)
        assert found.pairs == {}
        assert found.excluded_for("explicit_beats_implicit") == [("a2", "a1")]


def test_a_withdrawn_vote_beats_nothing() -> None:
    story = retried().likes().withdraws().asks("And?").answers("Well.")
    assert outcome(story, implicit=True).pairs.keys() == {("a2", "a1")}


def test_a_tie_beats_what_the_retry_implies() -> None:
    found = outcome(retried().about_the_same().asks("And?").answers("Well."), implicit=True)
    assert found.pairs == {}


def test_a_comparison_is_not_weakened_by_what_the_retry_implies() -> None:
    grounds = outcome(retried().worse().asks("And?").answers("Well."), implicit=True).pairs["a1", "a2"]
    assert grounds.sources == ("R22",)


def test_a_rewrite_beats_what_the_retry_implies() -> None:
    story = retried().edits("Three.").selects("a2").asks("And?").answers("Well.")
    assert outcome(story, implicit=True).pairs.keys() == {("a3", "a2")}


def test_a_retry_that_said_the_same_again_implies_nothing() -> None:
    assert outcome(retried("One.").asks("And?").answers("Well."), implicit=True).pairs == {}


def test_a_retry_of_a_rewrite_implies_nothing_of_it() -> None:
    story = told("ann").asks("Why?").answers("One.").edits("Two.").retries("Three.").asks("And?").answers("Well.")
    assert outcome(story, implicit=True).pairs.keys() == {("a2", "a1")}
