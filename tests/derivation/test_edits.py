"""R1, R8-R12: an answer was rewritten."""

from __future__ import annotations

import pytest

from tests.derivation import outcome
from tests.stories import Story, told

TEN_WORDS = "one two three four five six seven eight nine ten"


def asked(answer: str = TEN_WORDS) -> Story:
    return told("ann").asks("Count.").answers(answer)


# ── R1 ──


def test_a_rewrite_is_better_than_what_it_replaces_and_worth_imitating() -> None:
    story = asked().edits("Something else altogether, and longer too.")
    found = outcome(story)
    grounds = found.pairs["a2", "a1"]
    assert (grounds.source, grounds.sources, grounds.confidence, grounds.strength) == ("R1", ("R1",), 0.9, 3)
    assert grounds.event_ids == (story.events[-1].event_id,)
    assert found.demonstrations.keys() == {"a2"}
    assert found.demonstrations["a2"].source == "R1"
    assert found.labels == {}


@pytest.mark.parametrize(
    ("rewrite", "strength"),
    [
        (TEN_WORDS.replace("ten", "10"), 1),
        (TEN_WORDS.replace("one two three", "1, 2, 3"), 2),
        ("I will not count for you.", 3),
    ],
)
def test_the_more_a_rewrite_changes_the_stronger_the_pair(rewrite: str, strength: int) -> None:
    assert outcome(asked().edits(rewrite)).pairs["a2", "a1"].strength == strength


def test_a_rewrite_says_how_much_of_the_first_answer_it_changed() -> None:
    [pair] = outcome(asked("abcd").edits("abcx")).derived.pairs
    assert (pair.chosen.edit_distance, pair.rejected.edit_distance) == (0.25, None)
    assert (pair.chosen.origin, pair.chosen.model, pair.rejected.model) == ("human_edit", None, "org/small")


def test_a_rewrite_of_white_space_is_nothing() -> None:
    found = outcome(asked("Yes, indeed.").edits("Yes,   indeed.\n"))
    assert (found.pairs, found.demonstrations) == ({}, {})
    assert found.excluded["edit_unchanged"] == 1


def test_a_tiny_rewrite_is_a_demonstration_and_no_pair() -> None:
    found = outcome(asked("x" * 99 + "y").edits("x" * 99 + "z"))
    assert found.pairs == {}
    assert found.demonstrations.keys() == {"a2"}
    assert found.excluded_for("edit_tiny") == [("a2", "a1")]


def test_two_rewrites_of_one_answer_are_two_pairs() -> None:
    story = asked().edits("First attempt.").selects("a1").edits("Second attempt, another one.")
    assert outcome(story).pairs.keys() == {("a2", "a1"), ("a3", "a1")}


# ── R8, R9: the same annotator's vote on what was rewritten ──


def test_a_liked_answer_and_its_rewrite_are_a_weak_pair() -> None:
    found = outcome(asked().likes().edits("Something else altogether."))
    grounds = found.pairs["a2", "a1"]
    assert (grounds.source, grounds.sources, grounds.strength, grounds.confidence) == ("R8", ("R1", "R8"), 1, 0.7)
    assert found.labels == {"a1": True}


def test_a_disliked_answer_and_its_rewrite_are_a_strong_pair() -> None:
    story = asked().dislikes().edits(TEN_WORDS.replace("ten", "10"))
    found = outcome(story)
    grounds = found.pairs["a2", "a1"]
    assert (grounds.source, grounds.sources, grounds.strength, grounds.confidence) == ("R9", ("R1", "R9"), 2, 0.95)
    assert grounds.event_ids == tuple(event.event_id for event in story.events[-2:])
    assert found.labels == {"a1": False}


def test_a_disliked_answer_rewritten_from_scratch_keeps_the_greater_strength() -> None:
    assert outcome(asked().dislikes().edits("No.")).pairs["a2", "a1"].strength == 3


def test_a_withdrawn_vote_leaves_a_plain_rewrite() -> None:
    assert outcome(asked().dislikes().withdraws().edits("No.")).pairs["a2", "a1"].source == "R1"


def test_somebody_elses_vote_does_not_change_the_pair() -> None:
    assert outcome(asked().by("bob").dislikes().by("ann").edits("No.")).pairs["a2", "a1"].source == "R1"


# ── R10, R10b: votes on the rewrite ──


def test_a_like_of_the_rewrite_changes_nothing_and_is_off_policy() -> None:
    found = outcome(asked().edits("No.").likes())
    assert found.pairs["a2", "a1"].sources == ("R1",)
    assert found.labels == {}
    assert found.excluded_for("off_policy") == [("a2",)]


def test_a_like_of_the_rewrite_is_a_label_if_the_study_says_so() -> None:
    grounds = outcome(asked().edits("No.").likes(), kto_liked_edits=True).judged["a2"]
    assert (grounds.source, grounds.sources, grounds.confidence) == ("R2", ("R2", "R10"), 0.8)


def test_a_rewrite_disliked_by_its_author_failed() -> None:
    found = outcome(asked().edits("No.").dislikes(), kto_liked_edits=True)
    assert (found.pairs, found.demonstrations, found.labels) == ({}, {}, {})
    assert found.excluded_for("edit_disliked") == [("a2",)]


def test_a_rewrite_disliked_by_somebody_else_stays() -> None:
    found = outcome(asked().edits("No.").by("bob").dislikes())
    assert found.pairs.keys() == {("a2", "a1")}
    assert found.labels == {}


def test_a_liked_rewrite_and_a_disliked_first_answer_are_one_record_of_two_rules() -> None:
    found = outcome(asked().dislikes().edits("No.").likes())
    grounds = found.pairs["a2", "a1"]
    assert (grounds.source, grounds.sources, grounds.confidence) == ("R9", ("R1", "R4", "R9"), 0.99)


# ── R11: chains ──


def test_only_the_last_rewrite_of_a_chain_counts_and_against_the_first_answer() -> None:
    story = asked().edits(TEN_WORDS.replace("one", "1")).edits("No.")
    found = outcome(story)
    grounds = found.pairs["a3", "a1"]
    assert found.pairs.keys() == {("a3", "a1")}
    assert found.demonstrations.keys() == {"a3"}
    assert (grounds.source, grounds.sources, grounds.strength) == ("R11", ("R1", "R11"), 3)
    assert len(grounds.event_ids) == 2
    assert found.excluded_for("edit_superseded") == [("a2",)]


def test_a_chain_over_a_disliked_answer_names_all_three_rules() -> None:
    grounds = outcome(asked().dislikes().edits("Never.").edits("No.")).pairs["a3", "a1"]
    assert (grounds.source, grounds.sources) == ("R9", ("R1", "R9", "R11"))


# ── R12: taken back ──


def test_a_rewrite_changed_back_is_withdrawn_with_all_that_led_to_it() -> None:
    found = outcome(asked().edits("No.").edits(TEN_WORDS))
    assert (found.pairs, found.demonstrations) == ({}, {})
    assert found.excluded["edit_reverted"] == 2


def test_a_rewrite_whose_turn_was_undone_is_withdrawn() -> None:
    found = outcome(asked().edits("No.").undoes())
    assert (found.pairs, found.demonstrations) == ({}, {})
    assert found.excluded_for("edit_undone") == [("a2",)]


def test_a_chain_whose_turn_was_undone_is_withdrawn_as_a_whole() -> None:
    found = outcome(asked().edits("No.").edits("Never.").undoes())
    assert found.pairs == {}
    assert found.excluded["edit_undone"] == 2


def test_a_withdrawn_rewrite_takes_its_votes_along() -> None:
    found = outcome(asked().dislikes().edits("No.").likes().undoes())
    assert found.pairs == {}
    assert found.labels == {"a1": False}


def test_a_rewrite_that_was_brought_back_stands() -> None:
    assert outcome(asked().edits("No.").undoes().selects("q1")).pairs.keys() == {("a2", "a1")}


def test_the_undo_of_a_later_turn_leaves_the_rewrite() -> None:
    story = asked().edits("No.").asks("Why not?").answers("Because.").undoes()
    assert outcome(story).pairs.keys() == {("a2", "a1")}


def test_turning_back_to_the_first_answer_is_no_withdrawal() -> None:
    assert outcome(asked().edits("No.").selects("a1")).pairs.keys() == {("a2", "a1")}


def test_of_two_rewrites_one_may_be_withdrawn_alone() -> None:
    story = asked().edits("No.").edits("Never.").selects("a2").edits(TEN_WORDS)
    found = outcome(story)
    assert found.pairs.keys() == {("a3", "a1")}
    assert found.excluded_for("edit_reverted") == [("a4",)]
