"""R22-R24: two answers were compared, and what happens when a comparison meets other judgements of its annotator."""

from __future__ import annotations

import pytest

from labeler.core.events import Compared, Winner
from tests.derivation import outcome
from tests.stories import Story, told


def retried() -> Story:
    return told("ann").asks("Why?").answers("One.").retries("Two.")


def compared(story: Story, winner: Winner, *, a: str = "a1", b: str = "a2", strength: int = 1, **more: str) -> Story:
    """A side-by-side choice, as another mode of the page would store it."""
    shown = {"position": "a_left", **more}
    payload = Compared(message_a=story.id(a), message_b=story.id(b), winner=winner, strength=strength, **shown)  # type: ignore[arg-type]
    return story.adds(payload)


# ── R22 ──


def test_better_makes_the_retry_the_chosen_answer() -> None:
    story = retried().better()
    grounds = outcome(story).pairs["a2", "a1"]
    assert (grounds.source, grounds.strength, grounds.confidence) == ("R22", 2, 0.9)
    assert grounds.event_ids == (story.events[-1].event_id,)


def test_worse_makes_the_first_answer_the_chosen_one() -> None:
    assert outcome(retried().worse()).pairs.keys() == {("a1", "a2")}


def test_a_comparison_makes_no_label() -> None:
    assert outcome(retried().better()).labels == {}


def test_the_last_word_on_a_pair_stands() -> None:
    assert outcome(retried().better().worse()).pairs.keys() == {("a1", "a2")}


def test_a_withdrawn_comparison_is_as_if_never_made() -> None:
    found = outcome(retried().better().compares(None))
    assert found.pairs == {}
    assert found.derived.comparisons == []
    assert found.excluded == {"no_feedback": 2}


def test_a_retry_shows_its_answers_one_after_the_other() -> None:
    [pair] = outcome(retried().better()).derived.pairs
    assert (pair.chosen.position, pair.rejected.position) == ("second", "first")


@pytest.mark.parametrize(("position", "shown"), [("a_left", ("left", "right")), ("b_left", ("right", "left"))])
def test_a_side_by_side_choice_keeps_the_sides_and_the_strength(position: str, shown: tuple[str, str]) -> None:
    [pair] = outcome(compared(retried(), "a", strength=3, position=position)).derived.pairs
    assert (pair.chosen.position, pair.rejected.position) == shown
    assert pair.grounds.strength == 3


def test_answers_that_were_not_compared_stood_alone() -> None:
    [pair] = outcome(retried().likes("a1").dislikes("a2")).derived.pairs
    assert (pair.chosen.position, pair.rejected.position) == ("only", "only")


def test_answers_to_different_messages_are_never_compared() -> None:
    story = retried().asks("And?").answers("Well.")
    found = outcome(compared(story, "a", b="a3"))
    assert found.pairs == {}
    assert found.excluded_for("different_prompts") == [("a1", "a3")]


def test_not_even_when_each_message_has_one_answer() -> None:
    story = told("ann").asks("Why?").answers("One.").asks("And?").answers("Well.")
    found = outcome(compared(story, "a"))
    assert found.pairs == {}
    assert found.excluded_for("different_prompts") == [("a1", "a2")]


def test_a_comparison_with_a_stopped_answer_is_no_pair() -> None:
    story = compared(told("ann").asks("Why?").answers("One.").retries().stopped("Tw"), "a")
    assert outcome(story).pairs == {}


def test_a_comparison_of_equal_texts_is_no_pair() -> None:
    story = compared(told("ann").asks("Why?").answers("One.").retries(" One.\n"), "a")
    found = outcome(story)
    assert found.pairs == {}
    assert found.excluded_for("same_text") == [("a1", "a2")]


# ── R23, R24 ──


def test_a_tie_is_a_row_and_nothing_else() -> None:
    found = outcome(retried().about_the_same())
    assert found.barren
    assert [row.winner for row in found.derived.comparisons] == ["tie"]
    assert found.excluded == {"tie": 1}


@pytest.mark.parametrize(("winner", "label", "confidence"), [("both_good", True, 0.6), ("both_bad", False, 0.7)])
def test_both_good_or_both_bad_labels_both(winner: Winner, label: bool, confidence: float) -> None:
    found = outcome(compared(retried(), winner, strength=0))
    assert found.labels == {"a1": label, "a2": label}
    assert {(one.source, one.confidence) for one in found.judged.values()} == {("R24", confidence)}
    assert found.pairs == {}


def test_an_annotators_thumb_counts_more_than_their_word_on_both() -> None:
    found = outcome(compared(retried().dislikes("a1"), "both_good", strength=0))
    assert found.labels == {"a1": False, "a2": True}
    assert found.judged["a1"].sources == ("R3",)
    assert ("a1",) in found.excluded_for("self_contradiction")


def test_a_word_on_both_is_no_thumb_and_makes_no_pair() -> None:
    story = compared(retried().retries("Three.").dislikes("a3"), "both_good", strength=0)
    assert outcome(story).pairs == {}


# ── an annotator against themselves ──


@pytest.mark.parametrize("winner", ["a", "tie"])
def test_a_comparison_against_ones_own_thumbs_leaves_the_pair_out_and_keeps_the_labels(winner: Winner) -> None:
    found = outcome(retried().likes("a2").dislikes("a1").compares(winner))
    assert found.pairs == {}
    assert found.labels == {"a1": False, "a2": True}
    assert len(found.derived.comparisons) == 1
    assert found.excluded["self_contradiction"] == 1


def test_who_contradicts_themselves_has_no_say_against_others() -> None:
    story = retried().likes("a2").dislikes("a1").worse().by("bob").better()
    grounds = outcome(story).pairs["a2", "a1"]
    assert (grounds.sources, grounds.annotator_ids) == (("R22",), ("bob",))


def test_a_comparison_against_ones_own_rewrite_leaves_the_rewrites_pair_out() -> None:
    story = told("ann").asks("Why?").answers("One.").edits("Two.")
    found = outcome(compared(story, "tie", strength=0))
    assert found.pairs == {}
    assert found.demonstrations.keys() == {"a2"}
    assert found.excluded["self_contradiction"] == 1


def test_a_comparison_that_agrees_with_the_thumbs_makes_one_surer_record() -> None:
    grounds = outcome(retried().likes("a2").dislikes("a1").better()).pairs["a2", "a1"]
    assert (grounds.source, grounds.sources, grounds.confidence) == ("R22", ("R4", "R22"), 0.99)


def test_a_tie_of_somebody_else_is_no_self_contradiction() -> None:
    story = retried().likes("a2").dislikes("a1").by("bob").about_the_same()
    grounds = outcome(story).pairs["a2", "a1"]
    assert (grounds.agreement, grounds.confidence, grounds.annotator_ids) == (0.5, 0.5, ("ann", "bob"))
