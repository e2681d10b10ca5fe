"""The raw rows: messages, votes and comparisons as the log has them."""

from __future__ import annotations

import json

from tests.derivation import name, outcome
from tests.stories import told


def test_every_message_is_a_row_in_the_order_of_the_log() -> None:
    story = told("ann").asks("Why?").answers("One.").retries("Two.").edits("Three.").undoes().asks("And?").fails("We")
    rows = outcome(story).derived.messages
    assert [(name(row.message_id), row.role, row.origin, row.status) for row in rows] == [
        ("q1", "user", "user", "complete"),
        ("a1", "assistant", "model", "complete"),
        ("a2", "assistant", "model", "complete"),
        ("a3", "assistant", "human_edit", "complete"),
        ("q2", "user", "user", "complete"),
        ("a4", "assistant", "model", "failed"),
    ]
    assert [row.answer is None for row in rows] == [True, False, False, False, True, False]


def test_an_answer_keeps_where_it_comes_from() -> None:
    story = (
        told("ann", system_prompt="Be brief.").asks("Why?").answers("One two.", latency_ms=7, finish_reason="length")
    )
    answer = outcome(story).derived.messages[1].answer
    assert answer is not None
    assert (answer.model, answer.model_revision, answer.finish_reason) == ("org/small", "main", "length")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.latency_ms) == (20, 2, 7)
    assert answer.system_prompt_sha256 is not None
    assert (answer.position, answer.logprob_sum, answer.edit_distance) == ("only", None, None)


def test_the_sampling_is_json_with_sorted_keys() -> None:
    answer = outcome(told("ann").asks("Why?").answers("One.")).derived.messages[1].answer
    assert answer is not None
    assert answer.sampling_json is not None
    sampling = json.loads(answer.sampling_json)
    assert list(sampling) == sorted(sampling)
    assert sampling["temperature"] == 0.8


def test_text_is_kept_as_it_was_written() -> None:
    story = told("ann").asks("  Why?\n").answers("\tif x:\n\t\tpass\n").likes()
    derived = outcome(story).derived
    assert derived.messages[0].content == "  Why?\n"
    assert derived.unpaired[0].completion.content == "\tif x:\n\t\tpass\n"
    assert derived.unpaired[0].prompt.messages[0]["content"] == "  Why?\n"


def test_each_annotators_last_word_on_an_answer_is_one_row() -> None:
    story = told("ann").asks("Why?").answers("One.").likes().by("bob").likes().by("ann").dislikes()
    rows = outcome(story).derived.votes
    assert [(row.annotator_id, row.vote) for row in rows] == [("bob", 1), ("ann", -1)]
    assert rows[-1].event_id == story.events[-1].event_id


def test_a_reason_goes_with_the_vote_that_it_was_given_for() -> None:
    story = told("ann").asks("Why?").answers("One.").likes().explains("helpful", comment="Nice.")
    [row] = outcome(story).derived.votes
    assert (row.reasons, row.comment) == (("helpful",), "Nice.")
    [row] = outcome(story.dislikes()).derived.votes
    assert (row.reasons, row.comment) == ((), "")


def test_a_misclick_and_a_flip_flop_stay_in_the_rows() -> None:
    story = told("ann").asks("Why?").answers("One.").likes().after(1).undoes()
    assert [row.vote for row in outcome(story).derived.votes] == [1]


def test_each_annotators_last_word_on_two_answers_is_one_row() -> None:
    story = told("ann").asks("Why?").answers("One.").retries("Two.").better().worse().by("bob").about_the_same()
    rows = outcome(story).derived.comparisons
    assert [(name(row.message_a), name(row.message_b), row.winner, row.strength) for row in rows] == [
        ("a1", "a2", "a", 2),
        ("a1", "a2", "tie", 0),
    ]
    assert {row.position for row in rows} == {"a_first"}
