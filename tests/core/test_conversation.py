"""The fold: a tree in which nothing is ever removed, and a path that moves over it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from labeler.core import gestures
from labeler.core.conversation import Conversation
from labeler.core.events import (
    AnswerEdited,
    AnswerSelected,
    Compared,
    ConsentGiven,
    ConversationAdopted,
    Erased,
    Event,
    MessageSent,
    Payload,
    ReasonGiven,
    ReplyFinished,
    ReplyStarted,
    TurnUndone,
    VoteCast,
    VoteWithdrawn,
)
from labeler.core.folding import apply, replay
from labeler.errors import LogError
from tests.histories import histories
from tests.stories import Story, told

JUDGEMENTS = {"vote_cast", "vote_withdrawn", "reason_given", "compared", "comparison_withdrawn"}


def asked() -> Story:
    return told("ann").asks("Why?").answers("One.")


def shown(story: Story) -> list[str]:
    """The names on the visible path."""
    return [message.id.partition(".")[2] for message in story.conversation.visible()]


def sampling() -> dict[str, Any]:
    return {"model": "m", "model_id": "m", "model_revision": None, "sampling": {}, "system_prompt_sha256": None}


# ── the visible path ──


def test_a_conversation_is_shown_from_its_first_message_to_its_last() -> None:
    assert shown(asked().asks("And?").answers("Well.")) == ["q1", "a1", "q2", "a2"]


def test_a_retry_shows_the_new_answer_beside_the_old_one() -> None:
    story = asked().retries("Two.")
    assert shown(story) == ["q1", "a2"]
    assert [sibling.content for sibling in story.conversation.siblings(story.id("a2"))] == ["One.", "Two."]


def test_turning_back_to_an_answer_shows_what_followed_it() -> None:
    story = asked().asks("And?").answers("Well.").edits("Two.", "a1")
    assert shown(story) == ["q1", "a3"]
    assert shown(story.selects("a1")) == ["q1", "a1", "q2", "a2"]


def test_a_rewritten_question_is_a_branch_of_its_own() -> None:
    story = asked().asks("And?").answers("Well.").rewrites("Who?", "q1").answers("Me.")
    assert shown(story) == ["q3", "a3"]
    assert [sibling.content for sibling in story.conversation.siblings(story.id("q3"))] == ["Why?", "Who?"]
    assert story["q3"].edits == story.id("q1")


def test_undo_takes_the_last_turn_off_the_path_and_leaves_it_in_the_tree() -> None:
    story = asked().asks("And?").answers("Well.").undoes()
    assert shown(story) == ["q1", "a1"]
    assert len(story.conversation.messages) == 4


def test_undoing_everything_leaves_an_empty_path() -> None:
    assert shown(asked().undoes()) == []


def test_what_is_said_after_an_undo_is_a_new_branch() -> None:
    story = asked().asks("And?").answers("Well.").undoes().asks("But?").answers("Hm.")
    assert shown(story) == ["q1", "a1", "q3", "a3"]
    assert story["q3"].parent_id == story["q2"].parent_id == story.id("a1")


def test_clearing_closes_the_conversation() -> None:
    assert asked().clears().conversation.cleared


@given(histories())
def test_the_path_goes_from_parent_to_child_and_holds_nothing_twice(story: Story) -> None:
    path = story.conversation.visible()
    assert len({message.id for message in path}) == len(path)
    assert [message.parent_id for message in path] == [None, *(message.id for message in path)][: len(path)]
    if path:
        assert story.conversation.path(path[-1].id) == path


@given(histories())
def test_nothing_is_ever_removed(story: Story) -> None:
    said = {
        one.payload.message_id
        for one in story.events
        if isinstance(one.payload, MessageSent | AnswerEdited | ReplyStarted)
    }
    assert story.conversation.messages.keys() == said


@given(histories())
def test_the_tree_hangs_together(story: Story) -> None:
    conversation = story.conversation
    for message in conversation.messages.values():
        siblings = (
            conversation.roots if message.parent_id is None else conversation.messages[message.parent_id].children
        )
        assert siblings.count(message.id) == 1
        assert message.seq > (0 if message.parent_id is None else conversation.messages[message.parent_id].seq)


# ── messages ──


def test_an_answer_has_no_status_while_it_is_written() -> None:
    story = told("ann").asks("Why?")
    assert (story["a1"].status, story["a1"].content, story["a1"].complete) == (None, "", False)
    assert (story.answers("One.")["a1"].status, story["a1"].content, story["a1"].complete) == ("complete", "One.", True)


def test_a_message_knows_who_made_the_gesture_when_and_by_which_events() -> None:
    story = asked()
    answer = story["a1"]
    assert (answer.annotator_id, answer.seq, answer.at) == ("ann", 3, story.events[2].at)
    assert answer.event_ids == (story.events[2].event_id, story.events[3].event_id)


def test_an_edited_answer_is_a_persons_and_a_retried_one_names_what_it_replaces() -> None:
    story = asked().edits("Two.").retries("Three.")
    assert (story["a2"].origin, story["a2"].edits) == ("human_edit", story.id("a1"))
    assert (story["a3"].origin, story["a3"].retries) == ("model", story.id("a2"))


# ── what stands ──


def test_the_last_vote_stands_for_each_annotator() -> None:
    story = asked().likes().by("bob").dislikes().by("ann").dislikes().withdraws()
    conversation, answer = story.conversation, story.id("a1")
    assert [conversation.vote_of(who, answer) for who in ("ann", "bob", "cid")] == [0, -1, 0]
    assert [fact.vote for fact in conversation.votes] == [1, -1, -1, 0]


def test_a_reason_stands_as_long_as_its_vote() -> None:
    story = asked().likes().explains("clear").explains("clear", comment="Very.")
    reason = story.conversation.reason_of("ann", story.id("a1"))
    assert reason is not None
    assert (reason.reasons, reason.comment) == (("clear",), "Very.")
    assert story.dislikes().conversation.reason_of("ann", story.id("a1")) is None
    assert story.withdraws().conversation.reason_of("ann", story.id("a1")) is None


def test_the_last_comparison_of_two_answers_stands_whichever_is_named_first() -> None:
    story = asked().retries("Two.").better()
    pair = frozenset((story.id("a2"), story.id("a1")))
    standing = story.conversation.comparison_of("ann", pair)
    assert standing is not None
    assert standing.winner == "b"
    assert story.compares(None).conversation.comparison_of("ann", pair) is None
    assert story.conversation.comparison_of("bob", pair) is None


# ── seq and turn_seq ──


@given(histories())
def test_the_turn_moves_with_every_gesture_on_the_path_and_never_with_a_judgement(story: Story) -> None:
    conversation = Conversation(story.stream_id)
    for event in story.events:
        turn, path = conversation.turn_seq, conversation.visible()
        apply(conversation, event)
        assert conversation.seq == event.seq
        if event.payload.kind in JUDGEMENTS:
            assert (conversation.turn_seq, conversation.visible()) == (turn, path)
        if [message.id for message in conversation.visible()] != [message.id for message in path]:
            assert conversation.turn_seq == event.seq


def test_a_reply_that_ends_does_not_move_the_turn() -> None:
    story = told("ann").asks("Why?")
    turn = story.conversation.turn_seq
    assert story.answers("One.").conversation.turn_seq == turn


@given(histories())
def test_folding_in_two_goes_is_folding_in_one(story: Story) -> None:
    half = len(story.events) // 2
    conversation = replay(story.stream_id, story.events[:half])
    for event in story.events[half:]:
        apply(conversation, event)
    assert conversation == replay(story.stream_id, story.events)


# ── logs that do not fit ──


def next_event(story: Story, payload: Payload, **changes: Any) -> Event:
    return replace(story.events[-1], seq=len(story.events) + 1, event_id="x", payload=payload, **changes)


@pytest.mark.parametrize("seq", [1, 4, 6, 0])
def test_an_event_out_of_order_is_refused(seq: int) -> None:
    story = asked()
    late = replace(next_event(story, VoteCast(message_id=story.id("a1"), vote=1)), seq=seq)
    with pytest.raises(LogError, match="expected 5"):
        apply(story.conversation, late)


def test_an_event_of_another_conversation_is_refused() -> None:
    story = asked()
    foreign = replace(next_event(story, VoteCast(message_id=story.id("a1"), vote=1)), conversation_id="c2")
    with pytest.raises(LogError, match="conversation c1"):
        apply(story.conversation, foreign)


def test_an_event_of_another_kind_of_stream_is_refused() -> None:
    story = asked()
    with pytest.raises(LogError, match="'consent_given' is not an event of a conversation"):
        apply(story.conversation, next_event(story, ConsentGiven(consent_version="1", text_sha256="")))


@pytest.mark.parametrize(
    "payload",
    [
        MessageSent(message_id="new", parent_id="gone", content="Hi"),
        ReplyStarted(message_id="new", parent_id="gone", **sampling()),
        ReplyFinished(message_id="gone", content="", status="complete"),
        AnswerEdited(message_id="new", parent_id="c1.q1", edits="gone", content="Hi"),
        AnswerSelected(message_id="gone"),
        VoteCast(message_id="gone", vote=1),
        VoteWithdrawn(message_id="gone"),
        ReasonGiven(message_id="gone"),
        Compared(message_a="c1.a1", message_b="gone", winner="a", strength=1, position="a_left"),
        TurnUndone(message_id="gone", answer_id=None),
    ],
    ids=lambda payload: payload.kind,
)
def test_an_event_that_names_an_absent_message_is_refused_and_changes_nothing(payload: Payload) -> None:
    story = asked()
    before = replay(story.stream_id, story.events)
    with pytest.raises(LogError, match="unknown message 'gone'"):
        apply(story.conversation, next_event(story, payload))
    assert story.conversation == before


def test_a_message_that_comes_twice_is_refused() -> None:
    story = asked()
    with pytest.raises(LogError, match=r"c1\.q1 is there already"):
        apply(story.conversation, next_event(story, MessageSent(message_id="c1.q1", parent_id=None, content="Hi")))


def test_an_answer_to_an_answer_is_refused() -> None:
    story = asked()
    with pytest.raises(LogError, match="answers no message"):
        apply(story.conversation, next_event(story, ReplyStarted(message_id="new", parent_id="c1.a1", **sampling())))


def test_a_rewrite_of_an_answer_to_another_message_is_refused() -> None:
    story = asked().asks("And?").answers("Well.")
    moved = AnswerEdited(message_id="new", parent_id="c1.q2", edits="c1.a1", content="Hi")
    with pytest.raises(LogError, match="rewrites one to another message"):
        apply(story.conversation, next_event(story, moved))


def test_a_rewrite_of_a_message_of_ones_own_is_no_answer() -> None:
    """It would be an answer to an answer, and a prompt would end with the assistant."""
    story = asked().asks("And?").answers("Well.")
    moved = AnswerEdited(message_id="new", parent_id="c1.a1", edits="c1.q2", content="Hi")
    with pytest.raises(LogError, match="rewrites no answer"):
        apply(story.conversation, next_event(story, moved))


@pytest.mark.parametrize("name", ["q1", "a2"])
def test_only_what_a_model_wrote_is_ended_by_a_reply(name: str) -> None:
    story = asked().edits("Two.")
    before = replay(story.stream_id, story.events)
    ended = ReplyFinished(message_id=story.id(name), content="", status="failed")
    with pytest.raises(LogError, match="ends no reply of a model"):
        apply(story.conversation, next_event(story, ended))
    assert story.conversation == before


def test_a_tombstone_keeps_its_place_and_says_nothing() -> None:
    story = asked().likes()
    erased = replace(story.events[-1], payload=Erased(erased_kind="vote_cast"))
    conversation = replay(story.stream_id, [*story.events[:-1], erased])
    assert conversation.seq == 5
    assert conversation.votes == []


# ── a conversation that changes hands ──


def test_what_was_given_before_signing_in_is_the_accounts_afterwards() -> None:
    story = told("browser").asks("Q").answers("A").likes().explains("Helpful").retries("B").better().undoes()
    conversation = story.adopted_by("account").conversation
    assert conversation.annotator_id == "account"
    facts = [*conversation.messages.values(), *conversation.votes, *conversation.reasons]
    assert {one.annotator_id for one in [*facts, *conversation.comparisons, *conversation.undos]} == {"account"}


def test_a_vote_changed_after_signing_in_is_a_flip_and_no_second_opinion() -> None:
    conversation = told("browser").asks("Q").answers("A").likes().adopted_by("account").dislikes().conversation
    assert conversation.vote_of("account", "c1.a1") == -1
    assert [fact.vote for fact in conversation.votes if fact.annotator_id == "account"] == [1, -1]


def test_what_somebody_else_gave_in_it_stays_theirs() -> None:
    story = told("browser").asks("Q").answers("A").by("guest").dislikes().adopted_by("account")
    assert [fact.annotator_id for fact in story.conversation.votes] == ["guest"]


def test_a_conversation_is_adopted_from_its_owner_only() -> None:
    with pytest.raises(LogError, match="adopts it from somebody else"):
        told("browser").asks("Q").answers("A").adds(ConversationAdopted(former="another"))


def test_an_owner_adopts_nothing() -> None:
    assert gestures.adopt(told("ann").conversation, "ann") == []
