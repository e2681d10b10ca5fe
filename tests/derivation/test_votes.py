"""R2, R3, R13, R14, R16: what a thumb says of an answer. R4, R4x: what two thumbs say of two."""

from __future__ import annotations

import pytest

from tests.derivation import outcome
from tests.stories import Story, told


def asked() -> Story:
    return told("ann").asks("Why is the sky blue?").answers("Scattering.")


def tried(*answers: str) -> Story:
    """One question, answered again and again."""
    story = told("ann").asks("Why is the sky blue?").answers(answers[0])
    for answer in answers[1:]:
        story.retries(answer)
    return story


# ── R2, R3: one thumb ──


def test_a_like_makes_a_desirable_completion() -> None:
    found = outcome(asked().likes())
    grounds = found.judged["a1"]
    assert found.labels == {"a1": True}
    assert (grounds.source, grounds.sources, grounds.confidence, grounds.strength) == ("R2", ("R2",), 0.8, None)


def test_a_dislike_makes_an_undesirable_completion() -> None:
    found = outcome(asked().dislikes())
    assert found.labels == {"a1": False}
    assert (found.judged["a1"].source, found.judged["a1"].confidence) == ("R3", 0.8)


def test_a_thumb_alone_makes_neither_a_pair_nor_a_demonstration() -> None:
    found = outcome(asked().likes())
    assert not found.pairs
    assert not found.demonstrations


def test_a_label_names_the_vote_that_made_it_and_its_day() -> None:
    story = asked().likes()
    grounds = outcome(story).judged["a1"]
    assert grounds.event_ids == (story.events[-1].event_id,)
    assert grounds.created_at == "2026-11-22"
    assert (grounds.annotator_ids, grounds.n_annotators, grounds.agreement) == (("ann",), 1, 1.0)


def test_a_liked_answer_is_a_demonstration_only_if_the_study_says_so() -> None:
    story = asked().likes()
    assert outcome(story).demonstrations == {}
    grounds = outcome(story, sft_from_likes=True).demonstrations["a1"]
    assert (grounds.source, grounds.confidence) == ("R2s", 0.6)


def test_a_disliked_answer_is_never_a_demonstration() -> None:
    assert outcome(asked().dislikes(), sft_from_likes=True).demonstrations == {}


# ── R13: withdrawn ──


def test_a_withdrawn_vote_is_no_label_and_its_row_says_zero() -> None:
    found = outcome(asked().likes().withdraws())
    assert found.labels == {}
    assert [row.vote for row in found.derived.votes] == [0]
    assert found.excluded == {"no_feedback": 1}


def test_a_vote_after_a_withdrawal_starts_anew() -> None:
    grounds = outcome(asked().likes().withdraws().dislikes()).judged["a1"]
    assert (grounds.sources, grounds.n_flips, grounds.confidence) == (("R3",), 0, 0.8)


# ── R14: flips ──


def test_the_last_of_two_votes_counts_with_less_confidence() -> None:
    story = asked().likes().dislikes()
    found = outcome(story)
    grounds = found.judged["a1"]
    assert found.labels == {"a1": False}
    assert (grounds.sources, grounds.n_flips, grounds.confidence) == (("R3", "R14"), 1, 0.6)
    assert len(grounds.event_ids) == 2


def test_two_flips_cost_twice() -> None:
    grounds = outcome(asked().likes().dislikes().likes()).judged["a1"]
    assert (grounds.n_flips, grounds.confidence) == (2, 0.4)


def test_three_flips_say_nothing() -> None:
    found = outcome(asked().likes().dislikes().likes().dislikes())
    assert found.labels == {}
    assert found.excluded == {"too_many_flips": 1}


# ── R16: undone ──


def test_a_like_outlives_the_undo_of_its_turn_at_half_the_confidence() -> None:
    story = asked().likes().undoes()
    grounds = outcome(story).judged["a1"]
    assert (grounds.sources, grounds.confidence, grounds.undone) == (("R2", "R16"), 0.4, True)
    assert grounds.event_ids == tuple(event.event_id for event in story.events[-2:])


def test_a_liked_and_undone_answer_is_never_a_demonstration() -> None:
    found = outcome(asked().likes().undoes(), sft_from_likes=True)
    assert found.demonstrations == {}
    assert found.excluded == {"undone": 1}


def test_a_dislike_loses_nothing_by_the_undo_of_its_turn() -> None:
    grounds = outcome(asked().dislikes().undoes()).judged["a1"]
    assert (grounds.sources, grounds.confidence, grounds.undone) == (("R3",), 0.8, True)


def test_an_undo_before_the_like_costs_nothing() -> None:
    grounds = outcome(asked().undoes().likes("a1")).judged["a1"]
    assert (grounds.confidence, grounds.undone) == (0.8, False)


def test_an_undo_that_was_taken_back_costs_nothing() -> None:
    grounds = outcome(asked().likes().undoes().selects("q1")).judged["a1"]
    assert (grounds.confidence, grounds.undone) == (0.8, False)


def test_the_undo_of_another_answer_costs_nothing() -> None:
    story = asked().likes().asks("And the sea?").answers("Reflection.").undoes()
    assert outcome(story).judged["a1"].undone is False


def test_somebody_elses_like_loses_nothing_by_the_owners_undo() -> None:
    story = asked().by("bob").likes().by("ann").undoes()
    assert outcome(story).judged["a1"].confidence == 0.8


@pytest.mark.parametrize(("seconds", "labels"), [(3, {}), (10, {}), (11, {"a1": True})])
def test_a_like_undone_within_ten_seconds_was_a_slip(seconds: float, labels: dict[str, bool]) -> None:
    found = outcome(asked().likes().after(seconds).undoes())
    assert found.labels == labels
    assert found.excluded["misclick"] == (not labels)


def test_the_study_decides_how_quick_a_slip_is() -> None:
    story = asked().likes().after(3).undoes()
    assert outcome(story, misclick_seconds=2).labels == {"a1": True}
    assert outcome(story, misclick_seconds=0).labels == {"a1": True}


def test_a_like_that_was_explained_was_no_slip() -> None:
    story = asked().likes().after(2).explains("helpful").after(2).undoes()
    assert outcome(story).labels == {"a1": True}


def test_a_like_with_something_between_was_no_slip() -> None:
    story = tried("One.", "Two.").likes("a2").after(2).dislikes("a1").after(2).undoes()
    assert outcome(story).labels["a2"] is True


def test_what_was_taken_back_between_does_not_count_as_between() -> None:
    story = tried("One.", "Two.").likes("a2").after(2).dislikes("a1").after(2).withdraws("a1").after(2).undoes()
    assert outcome(story).labels == {}


def test_what_somebody_else_did_between_does_not_count_as_between() -> None:
    story = asked().likes().by("bob").after(2).dislikes().by("ann").after(2).undoes()
    assert outcome(story).labels == {"a1": False}


def test_a_dislike_is_never_a_slip() -> None:
    assert outcome(asked().dislikes().after(1).undoes()).labels == {"a1": False}


# ── R4: two thumbs of one annotator ──


def test_a_liked_and_a_disliked_sibling_are_a_pair() -> None:
    story = tried("One.", "Two.").likes("a1").dislikes("a2")
    found = outcome(story)
    grounds = found.pairs["a1", "a2"]
    assert found.pairs.keys() == {("a1", "a2")}
    assert (grounds.source, grounds.strength, grounds.confidence, grounds.weight) == ("R4", 2, 0.9, 1.0)
    assert grounds.event_ids == tuple(event.event_id for event in story.events[-2:])
    assert found.labels == {"a1": True, "a2": False}


def test_two_likes_are_no_pair() -> None:
    assert outcome(tried("One.", "Two.").likes("a1").likes("a2")).pairs == {}


def test_a_like_and_a_dislike_under_different_messages_are_no_pair() -> None:
    story = asked().likes().asks("And the sea?").answers("Reflection.").dislikes()
    assert outcome(story).pairs == {}


def test_every_like_meets_every_dislike_and_together_they_weigh_one() -> None:
    found = outcome(tried("One.", "Two.", "Three.").likes("a1").dislikes("a2").dislikes("a3"))
    assert found.pairs.keys() == {("a1", "a2"), ("a1", "a3")}
    assert {grounds.weight for grounds in found.pairs.values()} == {0.5}


def test_more_than_four_pairs_are_cut_to_four_that_show_as_many_answers_as_they_can() -> None:
    story = tried("One.", "Two.", "Three.", "Four.", "Five.", "Six.")
    for liked in ("a1", "a2", "a3"):
        story.likes(liked)
    for disliked in ("a4", "a5", "a6"):
        story.dislikes(disliked)
    found = outcome(story)
    assert len(found.pairs) == 4
    assert {better for better, _ in found.pairs} == {"a1", "a2", "a3"}
    assert {worse for _, worse in found.pairs} == {"a4", "a5", "a6"}
    assert {grounds.weight for grounds in found.pairs.values()} == {0.25}
    assert found.excluded["over_pair_limit"] == 5


def test_the_study_decides_how_many_pairs_a_prompt_may_have() -> None:
    story = tried("One.", "Two.", "Three.").likes("a1").dislikes("a2").dislikes("a3")
    found = outcome(story, max_pairs_per_prompt=1)
    assert list(found.pairs) == [("a1", "a2")]
    assert found.pairs["a1", "a2"].weight == 1.0


def test_a_pair_confirmed_by_a_comparison_is_kept_beyond_the_limit_and_weighs_one() -> None:
    story = tried("One.", "Two.", "Three.").likes("a3").dislikes("a1").dislikes("a2").better()
    found = outcome(story, max_pairs_per_prompt=1)
    assert list(found.pairs) == [("a3", "a2")]
    assert found.pairs["a3", "a2"].weight == 1.0
    assert found.excluded_for("over_pair_limit") == [("a3", "a1")]


def test_flips_make_a_pair_less_sure() -> None:
    grounds = outcome(tried("One.", "Two.").dislikes("a1").likes("a1").dislikes("a2")).pairs["a1", "a2"]
    assert (grounds.sources, grounds.confidence, grounds.n_flips) == (("R4", "R14"), 0.7, 1)


def test_an_undone_like_halves_a_pair() -> None:
    grounds = outcome(tried("One.", "Two.").dislikes("a1").likes("a2").undoes()).pairs["a2", "a1"]
    assert (grounds.sources, grounds.confidence, grounds.undone) == (("R4", "R16"), 0.45, True)


# ── R4x: two thumbs of two annotators ──


def test_a_like_and_a_dislike_of_two_annotators_are_a_weaker_pair() -> None:
    grounds = outcome(tried("One.", "Two.").likes("a1").by("bob").dislikes("a2")).pairs["a1", "a2"]
    assert (grounds.source, grounds.strength, grounds.confidence) == ("R4x", 1, 0.6)
    assert grounds.annotator_ids == ("ann", "bob")


def test_a_contested_vote_makes_no_pair_across_annotators() -> None:
    story = tried("One.", "Two.").likes("a1").by("bob").dislikes("a1").dislikes("a2")
    found = outcome(story)
    assert found.pairs == {}
    assert found.labels == {"a2": False}


def test_votes_of_two_annotators_add_nothing_to_the_pair_of_one() -> None:
    story = tried("One.", "Two.").likes("a1").dislikes("a2").by("bob").dislikes("a2")
    grounds = outcome(story).pairs["a1", "a2"]
    assert (grounds.sources, grounds.confidence, grounds.annotator_ids) == (("R4",), 0.9, ("ann",))


def test_too_many_flips_across_annotators_leave_no_pair() -> None:
    story = tried("One.", "Two.").likes("a1").dislikes("a1").likes("a1").by("bob").likes("a2").dislikes("a2")
    found = outcome(story)
    assert found.pairs == {}
    assert found.excluded_for("too_many_flips") == [("a1", "a2")]
