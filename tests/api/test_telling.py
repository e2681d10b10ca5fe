"""Gestures that are told: they become the page's events, follow the page's laws, and can be read back."""

from __future__ import annotations

import pytest

from labeler.core.events import Compared, ReplyFinished, ReplyStarted
from tests.api.conftest import FrontEnd, Served


def test_a_conversation_is_told_whole_and_read_back(served: Served, theirs: FrontEnd) -> None:
    conversation, question, answer = theirs.exchange()
    theirs.tell("votes", {"message_id": answer, "value": 1}, conversation)
    theirs.tell("reasons", {"message_id": answer, "reasons": ["Correct"], "comment": " yes "}, conversation)
    assert served.kinds(conversation) == [
        "conversation_started",
        "message_sent",
        "reply_started",
        "reply_finished",
        "vote_cast",
        "reason_given",
    ]
    read = theirs.read(f"/conversations/{conversation}")
    assert [message["content"] for message in read["messages"]] == ["Why is the sky blue?", "Because of scattering."]
    told = read["messages"][1]
    assert (told["message_id"], told["parent_id"], told["status"], told["model"]) == (
        (answer, question, "complete", "theirs")
    )
    assert (told["vote"], told["reasons"], told["comment"]) == (1, ["Correct"], "yes")
    assert (read["seq"], read["turn_seq"], read["cleared"]) == (6, 3, False)


def test_what_is_told_keeps_its_text_and_its_model_as_they_were(served: Served, theirs: FrontEnd) -> None:
    conversation = theirs.begin(system_prompt="Be brief.", language="en")
    theirs.asked(conversation, "  two\n\nlines \U0001f600 ")
    end = {
        "content": "  indented\n",
        "status": "stopped",
        "finish_reason": "length",
        "prompt_tokens": 7,
        "completion_tokens": 9,
        "latency_ms": 1200,
        "first_token_ms": 80,
    }
    reply = {
        "model": "m",
        "model_id": "org/m",
        "model_revision": "r1",
        "sampling": {"top_p": 0.9, "seed": 7},
        "end": end,
    }
    theirs.tell("replies", reply, conversation)
    _, said, started, finished = (event.payload for event in served.store.load(conversation))
    assert getattr(said, "content", "") == "  two\n\nlines \U0001f600 "
    assert isinstance(started, ReplyStarted)
    assert (started.model, started.model_id, started.model_revision) == ("m", "org/m", "r1")
    assert started.sampling == {"top_p": 0.9, "seed": 7}
    assert isinstance(finished, ReplyFinished)
    assert {name: getattr(finished, name) for name in end} == end


def test_an_answer_may_be_told_in_two_parts(served: Served, theirs: FrontEnd) -> None:
    conversation = theirs.begin()
    theirs.asked(conversation)
    answer = theirs.tell("replies", {"model": "m"}, conversation)["message_id"]
    assert theirs.refused("votes", {"message_id": answer, "value": 1}, conversation)[0] == 422
    assert theirs.read(f"/conversations/{conversation}")["messages"][-1]["status"] == "started"
    ended = theirs.tell("ends", {"message_id": answer, "end": {"content": "Because."}}, conversation)
    assert ended["message_id"] == answer
    theirs.tell("votes", {"message_id": answer, "value": 1}, conversation)
    again = {"message_id": answer, "end": {"content": "Otherwise."}}
    assert theirs.refused("ends", again, conversation) == (
        422,
        "That answer has ended already, and otherwise. Retry it, or edit it.",
    )


def test_retry_edit_and_comparison_keep_their_siblings(served: Served, theirs: FrontEnd) -> None:
    conversation, question, first = theirs.exchange()
    second = theirs.answered(conversation, "Rayleigh.", retries=first)
    rewritten = theirs.tell("edits", {"message_id": second, "content": "Rayleigh scattering."}, conversation)
    for pair in ((first, second), (second, rewritten["message_id"])):
        said = {"message_a": pair[0], "message_b": pair[1], "winner": "b", "strength": 3, "position": "a_left"}
        theirs.tell("comparisons", said, conversation)
    read = theirs.read(f"/conversations/{conversation}")
    assert [(one["origin"], one["parent_id"]) for one in read["messages"][1:]] == [
        ("model", question),
        ("model", question),
        ("human_edit", question),
    ]
    assert [(one["winner"], one["strength"]) for one in read["comparisons"]] == [("b", 3), ("b", 3)]
    theirs.tell("comparisons", {"message_a": first, "message_b": second, "winner": None}, conversation)
    assert len(theirs.read(f"/conversations/{conversation}")["comparisons"]) == 1
    compared = [event.payload for event in served.store.load(conversation) if isinstance(event.payload, Compared)]
    assert {one.position for one in compared} == {"a_left"}


def test_ones_own_message_rewritten_is_a_new_branch_without_an_answer(theirs: FrontEnd) -> None:
    conversation, question, answer = theirs.exchange()
    edited = theirs.tell("edits", {"message_id": question, "content": "Why is it blue?"}, conversation)["message_id"]
    theirs.answered(conversation, "Scattering.")
    seen = {one["message_id"]: one for one in theirs.read(f"/conversations/{conversation}")["messages"]}
    assert seen[edited]["edits"] == question
    assert [one["visible"] for one in seen.values()] == [False, False, True, True]
    theirs.tell("selections", {"message_id": question}, conversation)
    seen = {one["message_id"]: one for one in theirs.read(f"/conversations/{conversation}")["messages"]}
    assert [key for key, one in seen.items() if one["visible"]] == [question, answer]


def test_undo_takes_the_last_turn_back_and_no_other(theirs: FrontEnd) -> None:
    conversation, question, _ = theirs.exchange()
    later = theirs.asked(conversation, "And at dusk?")
    assert theirs.refused("undos", {"message_id": question}, conversation)[0] == 409
    assert theirs.tell("undos", {"message_id": later}, conversation)["message_id"] == later
    assert theirs.tell("undos", {"message_id": question}, conversation)["message_id"] == question


def test_a_cleared_conversation_takes_votes_and_no_messages(theirs: FrontEnd) -> None:
    conversation, _, answer = theirs.exchange()
    theirs.tell("clears", {}, conversation)
    assert theirs.read(f"/conversations/{conversation}")["cleared"]
    assert theirs.refused("messages", {"content": "More?"}, conversation)[0] == 422
    theirs.tell("votes", {"message_id": answer, "value": -1}, conversation)


def test_a_gesture_that_changes_nothing_stores_nothing(served: Served, theirs: FrontEnd) -> None:
    conversation, _, answer = theirs.exchange()
    theirs.tell("votes", {"message_id": answer, "value": 1}, conversation)
    again = theirs.tell("votes", {"message_id": answer, "value": 1}, conversation)
    assert again == {"conversation_id": conversation, "message_id": answer, "event_ids": [], "seq": None}
    assert served.kinds(conversation).count("vote_cast") == 1
    theirs.tell("votes", {"message_id": answer, "value": 0}, conversation)
    assert served.kinds(conversation)[-1] == "vote_withdrawn"


def test_of_two_that_saw_the_same_tip_one_wins(theirs: FrontEnd) -> None:
    conversation, _, _ = theirs.exchange()
    seen = theirs.read(f"/conversations/{conversation}")["turn_seq"]
    theirs.tell("messages", {"content": "First?", "turn_seq": seen}, conversation)
    status, line = theirs.refused("messages", {"content": "Second?", "turn_seq": seen}, conversation)
    assert (status, line) == (409, "The conversation moved on since it was read. Read it, and decide again.")


@pytest.mark.parametrize(
    ("noun", "body"),
    [
        ("messages", {"content": "   "}),
        ("messages", {"content": "x" * 20_001}),
        ("messages", {"content": "And?", "parent_id": "absent"}),
        ("replies", {"model": "m", "end": {"content": "Because."}}),
        ("replies", {"model": "m", "parent_id": "@question", "end": {"content": " "}}),
        ("replies", {"model": "m", "parent_id": "@question", "end": {"content": "x" * 200_001}}),
        ("replies", {"model": "m", "retries": "@question"}),
        ("ends", {"message_id": "@question", "end": {"content": "Because."}}),
        ("edits", {"message_id": "@answer", "content": ""}),
        ("edits", {"message_id": "@question", "content": " "}),
        ("selections", {"message_id": "absent"}),
        ("undos", {"message_id": "absent"}),
        ("votes", {"message_id": "@question", "value": 1}),
        ("votes", {"message_id": "absent", "value": 1}),
        ("reasons", {"message_id": "@answer", "comment": "why"}),
        ("reasons", {"message_id": "@answer", "reasons": ["Unheard of"]}),
        ("reasons", {"message_id": "@answer", "comment": "x" * 2_001}),
        ("comparisons", {"message_a": "@answer", "message_b": "@answer", "winner": "a"}),
        ("comparisons", {"message_a": "@answer", "message_b": "@question", "winner": "a"}),
    ],
)
def test_what_may_not_be_told_is_refused_with_one_line_and_stores_nothing(
    served: Served, theirs: FrontEnd, noun: str, body: dict[str, object]
) -> None:
    conversation, question, answer = theirs.exchange()
    before = served.store.position()
    named = {"@question": question, "@answer": answer}
    said = {name: named.get(value, value) if isinstance(value, str) else value for name, value in body.items()}
    status, line = theirs.refused(noun, said, conversation)
    assert status in (404, 422)
    assert line
    assert "\n" not in line
    assert served.store.position() == before


def test_a_preference_has_a_strength_and_a_tie_has_none(theirs: FrontEnd) -> None:
    conversation, _, first = theirs.exchange()
    second = theirs.answered(conversation, "Rayleigh.", retries=first)
    pair = {"message_a": first, "message_b": second}
    assert theirs.refused("comparisons", {**pair, "winner": "tie", "strength": 1}, conversation)[0] == 422
    assert theirs.refused("comparisons", {**pair, "winner": "a", "strength": 0}, conversation)[0] == 422
    theirs.tell("comparisons", {**pair, "winner": "both_bad"}, conversation)
    theirs.tell("comparisons", {**pair, "winner": "a"}, conversation)
    (read,) = theirs.read(f"/conversations/{conversation}")["comparisons"]
    assert (read["winner"], read["strength"]) == ("a", 2)


def test_answers_that_say_the_same_are_not_compared(theirs: FrontEnd) -> None:
    conversation, _, first = theirs.exchange()
    second = theirs.answered(conversation, "Because  of scattering.", retries=first)
    said = {"message_a": first, "message_b": second, "winner": "a"}
    assert theirs.refused("comparisons", said, conversation)[0] == 422
