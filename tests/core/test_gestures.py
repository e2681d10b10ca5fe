"""What a gesture means: its events, nothing, or a refusal with a line for the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labeler.core import gestures
from labeler.core.events import MessageSent, ReplyFinished, ReplyStarted
from labeler.errors import GestureRefused, NotFound
from tests.stories import Story, told


def asked() -> Story:
    return told("ann").asks("Why?").answers("One.")


def retried() -> Story:
    return asked().retries("Two.")


def stored(before: Story, gesture: Callable[[Story], Story]) -> list[str]:
    """The kinds of the events that a gesture adds to a story."""
    already = len(before.events)
    return [event.payload.kind for event in gesture(before).events[already:]]


# ── a gesture that changes nothing stores nothing ──


Scene = tuple[Callable[[], Story], Callable[[Story], Story]]

UNCHANGED: dict[str, Scene] = {
    "send nothing": (asked, lambda story: story.asks("")),
    "send white space": (asked, lambda story: story.asks(" \n\t")),
    "edit to the same answer": (asked, lambda story: story.edits("One.")),
    "rewrite to the same message": (asked, lambda story: story.rewrites("Why?")),
    "turn to the answer that shows": (asked, lambda story: story.selects("a1")),
    "withdraw no vote": (asked, lambda story: story.withdraws()),
    "like again": (lambda: asked().likes(), lambda story: story.likes()),
    "give no reason": (lambda: asked().likes(), lambda story: story.explains()),
    "give the same reason": (lambda: asked().likes().explains("clear"), lambda story: story.explains("clear")),
    "withdraw no comparison": (retried, lambda story: story.compares(None)),
    "compare as before": (lambda: retried().better(), lambda story: story.better()),
    "undo on an empty page": (lambda: asked().undoes(), lambda story: story.undoes()),
    "clear again": (lambda: asked().clears(), lambda story: story.clears()),
    "clear an empty conversation": (lambda: told("ann"), lambda story: story.clears()),
}


@pytest.mark.parametrize("scene", UNCHANGED)
def test_a_gesture_that_changes_nothing_stores_nothing(scene: str) -> None:
    before, gesture = UNCHANGED[scene]
    assert stored(before(), gesture) == []


# ── a gesture that may not be made ──


def running() -> Story:
    return asked().asks("And?")


REFUSED: dict[str, tuple[Scene, str]] = {
    "like a running answer": ((running, lambda story: story.likes("a2")), "has not ended"),
    "edit a running answer": ((running, lambda story: story.edits("Hm.", "a2")), "has not ended"),
    "vote 2": ((asked, lambda story: story.votes(2)), "1, -1 or 0"),
    "like a question": ((asked, lambda story: story.likes("q1")), "not an answer"),
    "edit a question as an answer": ((asked, lambda story: story.edits("Hm.", "q1")), "not an answer"),
    "edit an answer away": ((asked, lambda story: story.edits(" ")), "cannot be empty"),
    "rewrite an answer as a message": ((asked, lambda story: story.rewrites("Hm.", "a1")), "not a message of yours"),
    "rewrite a message away": ((asked, lambda story: story.rewrites("")), "cannot be empty"),
    "explain no vote": ((asked, lambda story: story.explains("clear")), "Vote first"),
    "compare one answer": ((asked, lambda story: story.better()), "nothing to compare"),
    "retry nothing": ((lambda: told("ann"), lambda story: story.retries()), "nothing to retry"),
}


@pytest.mark.parametrize("scene", REFUSED)
def test_a_gesture_that_may_not_be_made_is_refused_with_a_line_and_stores_nothing(scene: str) -> None:
    (before, gesture), line = REFUSED[scene]
    story = before()
    already = len(story.events)
    with pytest.raises(GestureRefused, match=line) as refusal:
        gesture(story)
    assert "\n" not in str(refusal.value)
    assert len(story.events) == already


ABSENT: dict[str, Callable[[Story], Story]] = {
    "like": lambda story: story.likes("a9"),
    "edit": lambda story: story.edits("Hm.", "a9"),
    "rewrite": lambda story: story.rewrites("Hm.", "q9"),
    "turn to": lambda story: story.selects("a9"),
    "explain": lambda story: story.explains("clear", name="a9"),
}


@pytest.mark.parametrize("gesture", ABSENT)
def test_a_message_that_is_not_there_is_not_found(gesture: str) -> None:
    with pytest.raises(NotFound, match="not in this conversation"):
        ABSENT[gesture](asked())


# ── turns ──


def test_sending_says_something_and_lets_the_model_answer() -> None:
    story = asked()
    assert stored(story, lambda one: one.asks("And?")) == ["message_sent", "reply_started"]
    assert story["q2"].parent_id == story.id("a1")
    assert story["a2"].parent_id == story.id("q2")


def test_text_is_kept_as_it_was_typed() -> None:
    assert told("ann").asks("  if x:\n\tpass\n")["q1"].content == "  if x:\n\tpass\n"


def test_a_retry_answers_the_same_message_and_names_the_answer_that_showed() -> None:
    story = retried()
    assert story["a2"].parent_id == story["a1"].parent_id
    assert story["a2"].retries == story.id("a1")


def test_a_retry_after_turning_back_names_the_answer_turned_to() -> None:
    assert retried().selects("a1").retries("Three.")["a3"].retries == "c1.a1"


def test_a_message_without_an_answer_can_be_retried() -> None:
    """As a log of another program may hold it."""
    story = asked()
    story.adds(MessageSent(message_id=story.id("q2"), parent_id=story.id("a1"), content="And?")).retries()
    assert (story["a2"].parent_id, story["a2"].retries) == (story.id("q2"), None)


def test_each_reply_draws_its_own_seed() -> None:
    story = retried()
    seeds = [one.payload.sampling["seed"] for one in story.events if isinstance(one.payload, ReplyStarted)]
    assert len(set(seeds)) == 2


def test_an_edit_leaves_later_turns_in_the_tree() -> None:
    story = asked().asks("And?").answers("Well.")
    assert stored(story, lambda one: one.edits("Two.", "a1")) == ["answer_edited"]
    assert len(story.conversation.messages) == 5


def test_a_failed_and_a_stopped_answer_can_be_edited_and_retried() -> None:
    for story in (told("ann").asks("Why?").fails("On"), told("ann").asks("Why?").stopped("On")):
        assert stored(story, lambda one: one.edits("One.")) == ["answer_edited"]
        assert stored(story, lambda one: one.retries()) == ["reply_started"]


def test_a_rewritten_message_is_answered_again() -> None:
    assert stored(asked(), lambda one: one.rewrites("Who?")) == ["message_sent", "reply_started"]


def test_undo_takes_the_question_and_the_answer_that_showed() -> None:
    story = retried().undoes()
    undone = story.conversation.undos[-1]
    assert (undone.message_id, undone.answer_id) == (story.id("q1"), story.id("a2"))


def test_undo_goes_back_turn_by_turn() -> None:
    story = asked().asks("And?").answers("Well.").undoes().undoes()
    assert [undo.message_id for undo in story.conversation.undos] == [story.id("q2"), story.id("q1")]


def test_a_reply_ends_once() -> None:
    story = asked()
    late = ReplyFinished(message_id=story.id("a1"), content="Late.", status="stopped")
    assert gestures.finish(story.conversation, late) == []


# ── judgements ──


def test_votes_are_cast_flipped_and_withdrawn() -> None:
    kinds = stored(asked(), lambda story: story.likes().dislikes().withdraws())
    assert kinds == ["vote_cast", "vote_cast", "vote_withdrawn"]


def test_annotators_vote_for_themselves() -> None:
    assert stored(asked(), lambda story: story.likes().by("bob").likes()) == ["vote_cast", "vote_cast"]


def test_a_reason_given_for_a_like_can_be_given_again_for_the_dislike() -> None:
    story = asked().likes().explains("length").dislikes()
    assert stored(story, lambda one: one.explains("length")) == ["reason_given"]


def test_the_retry_question_is_about_the_old_answer_and_the_new_one() -> None:
    story = retried()
    question = gestures.retry_question(story.conversation, story.id("a2"))
    assert question is not None
    assert [answer.id for answer in question] == [story.id("a1"), story.id("a2")]


@pytest.mark.parametrize(
    "story",
    [
        asked(),
        asked().retries(),
        asked().retries().stopped("Tw"),
        asked().retries().fails(),
        asked().retries(" One.\n"),
        told("ann").asks("Why?").stopped("On").retries("Two."),
    ],
    ids=["no retry", "running", "stopped", "failed", "the same text", "old one stopped"],
)
def test_the_retry_question_wants_two_complete_answers_that_differ(story: Story) -> None:
    newest = list(story.conversation.messages)[-1]
    assert gestures.retry_question(story.conversation, newest) is None


def test_better_and_worse_are_strong_and_a_tie_has_no_strength() -> None:
    facts = retried().better().worse().about_the_same().compares(None).conversation.comparisons
    said = [(fact.compared.winner, fact.compared.strength) if fact.compared else None for fact in facts]
    assert said == [("b", 2), ("a", 2), ("tie", 0), None]
    assert {fact.compared.position for fact in facts if fact.compared} == {"a_first"}
