"""R29, R30: whose work is exported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labeler.core.events import AnswerEdited, Erased
from labeler.core.folding import replay
from labeler.core.standing import Standing, standing_of
from tests.derivation import outcome
from tests.stories import AnnotatorStory, Story, told, told_of


def standing(*annotators: AnnotatorStory, consent_needed: bool = True) -> Standing:
    events = [event for annotator in annotators for event in annotator.events]
    return standing_of(events, consent_needed=consent_needed)


def asked() -> Story:
    return told("ann").asks("Why?").answers("One.").likes()


# ── where an annotator stands ──


def test_nobody_needs_consent_in_a_study_without_a_consent_text() -> None:
    assert standing(consent_needed=False).refusal("ann") is None


def test_nothing_is_exported_without_consent() -> None:
    assert standing().refusal("ann") == "consent_missing"


def test_any_accepted_version_will_do_and_the_last_one_is_named() -> None:
    now = standing(told_of("ann").consents("1").consents("2"))
    assert now.refusal("ann") is None
    assert now.consent_of(["ann"]) == "2"


def test_withdrawn_consent_takes_everything_back_even_where_nobody_asks_any_more() -> None:
    ann = told_of("ann").consents().withdraws_consent()
    assert standing(ann).refusal("ann") == "consent_withdrawn"
    assert standing(ann, consent_needed=False).refusal("ann") == "consent_withdrawn"
    assert standing(ann.consents()).refusal("ann") is None


def test_an_exclusion_is_about_the_streams_annotator_and_can_be_reversed() -> None:
    ann = told_of("ann").consents().is_excluded()
    assert standing(ann).refusal("ann") == "annotator_excluded"
    assert standing(ann).refusal("lead") == "consent_missing"
    assert standing(ann.is_included()).refusal("ann") is None


def test_events_of_conversations_say_nothing_about_standing() -> None:
    assert standing_of(asked().events, consent_needed=False) == Standing()


def test_consent_versions_are_named_once_each_and_sorted() -> None:
    now = standing(told_of("ann").consents("2"), told_of("bob").consents("1"), told_of("cid").consents("2"))
    assert now.consent_of(["ann", "bob", "cid"]) == "1,2"
    assert now.consent_of([]) is None


# ── what follows for records ──


@pytest.mark.parametrize("reason", ["consent_missing", "consent_withdrawn", "annotator_excluded"])
def test_nothing_of_a_conversation_goes_out_when_its_owner_may_not(reason: str) -> None:
    ann = {
        "consent_missing": told_of("ann"),
        "consent_withdrawn": told_of("ann").consents().withdraws_consent(),
        "annotator_excluded": told_of("ann").consents().is_excluded(),
    }[reason]
    found = outcome(asked().by("bob").likes(), standing(ann, told_of("bob").consents()))
    derived = found.derived
    assert found.barren
    assert (derived.messages, derived.votes, derived.comparisons) == ([], [], [])
    assert found.excluded == {reason: 1}


def test_somebody_who_may_not_be_heard_is_left_out_of_anothers_conversation() -> None:
    story = asked().retries("Two.").by("bob").dislikes("a1").compares("b")
    found = outcome(story, standing(told_of("ann").consents(), told_of("bob").consents().is_excluded()))
    assert found.labels == {"a1": True}
    assert found.judged["a1"].annotator_ids == ("ann",)
    assert [row.annotator_id for row in found.derived.votes] == ["ann"]
    assert found.derived.comparisons == []
    assert found.excluded_for("annotator_excluded") == [("a1",)]


def test_a_record_names_the_consent_of_everybody_in_it() -> None:
    story = told("ann").asks("Why?").answers("One.").by("bob").likes()
    now = standing(told_of("ann").consents("1"), told_of("bob").consents("2"))
    assert outcome(story, now).judged["a1"].consent == "1,2"


def test_a_study_without_a_consent_text_names_none() -> None:
    assert outcome(asked()).judged["a1"].consent is None


def rewritten_by_bob() -> Story:
    """Ann's conversation with an answer rewritten by Bob, as a mode with several authors would store it."""
    story = told("ann").asks("Why?").answers("One.").by("bob").edits("Two.").by("ann")
    return story.asks("And?").answers("Well.").likes()


def test_a_rewrite_by_somebody_who_may_not_be_heard_is_gone_with_all_that_was_said_after_it() -> None:
    found = outcome(rewritten_by_bob(), Standing(excluded=frozenset({"bob"})))
    assert found.barren
    assert [row.content for row in found.derived.messages] == ["Why?", "One."]
    assert found.derived.votes == []
    assert found.excluded == {"annotator_excluded": 2, "no_feedback": 1}


def test_a_rewrite_of_such_a_rewrite_is_gone_too() -> None:
    story = told("ann").asks("Why?").answers("One.").by("bob").edits("Two.").by("ann").edits("Two, or three.")
    found = outcome(story, Standing(excluded=frozenset({"bob"})))
    assert (found.pairs, found.demonstrations) == ({}, {})


def test_the_same_rewrite_counts_when_its_author_may_be_heard() -> None:
    found = outcome(rewritten_by_bob())
    assert found.pairs["a2", "a1"].annotator_ids == ("bob",)


# ── gold, erasure ──


def test_gold_conversations_are_never_exported() -> None:
    story = told("ann", mode="gold").asks("Why?").answers("One.").likes()
    assert outcome(story).excluded == {"gold": 1}
    assert outcome(story).derived.messages == []


def test_an_erased_conversation_yields_nothing() -> None:
    story = asked()
    erased = [replace(event, payload=Erased(erased_kind=event.payload.kind)) for event in story.events]
    story.conversation = replay(story.stream_id, erased)
    found = outcome(story)
    assert (found.derived.messages, found.derived.votes, found.derived.ledger) == ([], [], [])


def test_a_rewrite_in_a_log_is_an_event_of_its_author() -> None:
    story = rewritten_by_bob()
    [event] = [event for event in story.events if isinstance(event.payload, AnswerEdited)]
    assert event.annotator_id == story["a2"].annotator_id == "bob"
