"""R15, R17-R21: what infers nothing, and what can never be a candidate."""

from __future__ import annotations

import pytest

from tests.derivation import outcome
from tests.stories import Story, told


def asked() -> Story:
    return told("ann").asks("Why is the sky blue?").answers("Scattering.")


def test_an_undo_without_a_vote_says_nothing() -> None:
    found = outcome(asked().undoes(), implicit=True)
    assert found.barren
    assert found.excluded == {"no_feedback": 1}


def test_a_rewritten_question_is_another_prompt_and_no_pair_spans_the_two() -> None:
    story = asked().dislikes().rewrites("Why is the sea blue?").answers("Reflection.").likes()
    found = outcome(story)
    assert found.pairs == {}
    assert found.labels == {"a1": False, "a2": True}
    first, second = found.derived.unpaired
    assert first.prompt.key != second.prompt.key


def test_a_rewritten_question_says_nothing_of_the_old_answer() -> None:
    found = outcome(asked().rewrites("Why is the sea blue?").answers("Reflection."), implicit=True)
    assert found.barren


def test_clearing_the_chat_keeps_what_was_said_and_adds_nothing() -> None:
    story = asked().likes()
    before = outcome(story)
    after = outcome(story.clears())
    assert (after.labels, after.pairs) == (before.labels, before.pairs)


def test_an_abandoned_conversation_without_votes_yields_no_record() -> None:
    found = outcome(asked().asks("And?").answers("Well."), implicit=True, sft_from_likes=True)
    assert found.barren
    assert found.excluded == {"no_feedback": 2}


# ── R20: stopped ──


def stopped() -> Story:
    return told("ann").asks("Why?").stopped("Because of the")


def test_a_stopped_answer_says_nothing_by_itself() -> None:
    assert outcome(stopped()).excluded == {"answer_stopped": 1}


def test_a_liked_stopped_answer_is_nothing() -> None:
    found = outcome(stopped().likes(), sft_from_likes=True, kto_truncated=True)
    assert found.barren
    assert found.excluded == {"answer_stopped": 1}


def test_a_disliked_stopped_answer_is_a_truncated_label_only_if_the_study_says_so() -> None:
    assert outcome(stopped().dislikes()).labels == {}
    assert outcome(stopped().dislikes()).excluded == {"truncated": 1}
    found = outcome(stopped().dislikes(), kto_truncated=True)
    assert found.labels == {"a1": False}
    assert (found.judged["a1"].truncated, found.judged["a1"].sources) == (True, ("R3", "R20"))


def test_a_rewritten_stopped_answer_is_a_demonstration_and_no_pair() -> None:
    found = outcome(stopped().edits("Because of scattering."))
    assert found.pairs == {}
    assert found.demonstrations.keys() == {"a2"}
    assert found.excluded_for("rejected_truncated") == [("a2", "a1")]


def test_a_disliked_stopped_answer_is_no_rejected_side() -> None:
    found = outcome(stopped().dislikes().retries("Because of scattering.").likes(), kto_truncated=True)
    assert found.pairs == {}
    assert found.excluded_for("rejected_truncated") == [("a2", "a1")]


def test_a_retry_of_a_stopped_answer_implies_nothing() -> None:
    assert outcome(stopped().retries("Scattering.").asks("And?").answers("Well."), implicit=True).pairs == {}


# ── R21: failed ──


@pytest.mark.parametrize("words", ["", "Because of"])
def test_a_failed_answer_is_never_a_candidate_even_if_voted_on(words: str) -> None:
    found = outcome(told("ann").asks("Why?").fails(words).dislikes(), kto_truncated=True)
    assert found.labels == {}
    assert found.excluded == {"answer_failed": 1}


def test_an_answer_that_never_ended_failed() -> None:
    found = outcome(told("ann").asks("Why?"))
    assert found.excluded == {"answer_failed": 1}
    assert [row.status for row in found.derived.messages] == ["complete", "failed"]


def test_a_providers_refusal_is_never_a_candidate() -> None:
    story = told("ann").asks("Why?").answers("I cannot.", finish_reason="content_filter").dislikes()
    assert outcome(story).excluded == {"answer_refused": 1}


def test_an_empty_answer_is_never_a_candidate() -> None:
    found = outcome(told("ann").asks("Why?").answers(" \n").likes())
    assert found.labels == {}
    assert found.excluded == {"answer_empty": 1}


def test_the_rewrite_of_a_failed_answer_is_a_demonstration_and_no_pair() -> None:
    found = outcome(told("ann").asks("Why?").fails("Bec").edits("Because."))
    assert found.pairs == {}
    assert found.demonstrations.keys() == {"a2"}
    assert found.excluded_for("answer_failed") == [("a2", "a1")]
