"""Rows of other people's data sets: what is taken as what, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.folding import replay
from labeler.core.imports import Imported, Misfit, events_of, imported
from labeler.core.reviewing import items_of

AT = "2026-11-28T10:00:00.000000Z"
ASK = {"role": "user", "content": "Why?"}


def say(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def better(read: Imported) -> str:
    """The answer that the row calls better."""
    return read.answers["ab".index(str(read.winner))]


# ── shapes ──


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "Good.", "rejected": "Bad."},
        {"prompt": [ASK], "chosen": [say("Good.")], "rejected": [say("Bad.")]},
        {"chosen": [ASK, say("Good.")], "rejected": [ASK, say("Bad.")]},
        {"chosen": "\n\nHuman: Why?\n\nAssistant: Good.", "rejected": "\n\nHuman: Why?\n\nAssistant: Bad."},
        {"prompt": [{"from": "human", "value": "Why?"}], "chosen": "Good.", "rejected": "Bad.", "id": 7},
    ],
)
def test_a_preference_row_is_a_pair_and_its_label(row: dict[str, Any]) -> None:
    read = imported(row)
    assert read.prompt == (("user", "Why?"),)
    assert set(read.answers) == {"Good.", "Bad."}
    assert better(read) == "Good."


def test_a_dialogue_in_plain_text_is_cut_into_turns() -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nSo?\n\nAssistant:"
    read = imported({"chosen": f"{start} Good.", "rejected": f"{start} Bad."})
    assert read.prompt == (("user", "Hi"), ("assistant", "Hello."), ("user", "Why?\n\nSo?"))


def test_an_unpaired_row_is_one_answer_and_its_label() -> None:
    read = imported({"prompt": "Why?", "completion": "So.", "label": False})
    assert (read.answers, read.label, read.winner) == (("So.",), False, None)


@pytest.mark.parametrize(
    ("winner", "meant"),
    [("model_a", "a"), ("model_b", "b"), ("tie", "tie"), ("tie (bothbad)", "both_bad"), (None, None)],
)
def test_an_arena_battle_is_a_pair_with_its_models(winner: str | None, meant: str | None) -> None:
    row = {
        "conversation_a": [ASK, say("One.")],
        "conversation_b": [ASK, say("Two.")],
        "winner": winner,
        "model_a": "red",
        "model_b": "blue",
    }
    read = imported(row)
    assert (read.answers, read.models, read.winner) == (("One.", "Two."), ("red", "blue"), meant)


def test_the_better_answer_is_not_always_the_first() -> None:
    winners = {imported({"prompt": "Q", "chosen": f"good {n}", "rejected": f"bad {n}"}).winner for n in range(20)}
    assert winners == {"a", "b"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Hello"}, "no columns that are known"),
        ({"prompt": "Why?", "chosen": "x", "rejected": None}, "no columns that are known"),
        ({"prompt": "Why?", "chosen": "Same. ", "rejected": "Same."}, "its two answers are the same"),
        ({"prompt": "", "chosen": "x", "rejected": "y"}, "a message or an answer is empty"),
        ({"prompt": "Why?", "chosen": " ", "rejected": "y"}, "a message or an answer is empty"),
        ({"chosen": "x", "rejected": "y"}, "its prompt does not end with the user's words"),
        ({"prompt": [say("Hi")], "chosen": "x", "rejected": "y"}, "its prompt does not end with the user's words"),
        ({"prompt": [ASK, ASK], "chosen": "x", "rejected": "y"}, "do not alternate"),
        ({"prompt": 5, "chosen": "x", "rejected": "y"}, "'prompt' is neither a text nor a list of messages"),
        ({"prompt": ["Why?"], "chosen": "x", "rejected": "y"}, "'prompt' holds something else than messages"),
        ({"prompt": [{"role": "user"}], "chosen": "x", "rejected": "y"}, "without a role and a text"),
        ({"prompt": [{"role": "tool", "content": "x"}], "chosen": "x", "rejected": "y"}, "a message of 'tool'"),
        ({"prompt": "Why?", "chosen": [ASK, say("x")], "rejected": "y"}, "'chosen' is not one answer"),
        ({"prompt": "Why?", "completion": "x", "label": 1}, "'label' is true or false"),
        ({"prompt": "Why?", "chosen": "x", "rejected": "y", "gold": "yes"}, "'gold' is true or false"),
        ({"prompt": "Why?", "chosen": "\ud800", "rejected": "y"}, "half a character"),
        ({"conversation_a": [ASK, say("1")], "conversation_b": [say("2")]}, "no common prompt"),
        ({"conversation_a": [ASK, say("1")], "conversation_b": [ASK, say("2")], "winner": "me"}, "'winner' is 'me'"),
        (
            {"conversation_a": [ASK, say("1")], "conversation_b": [ASK, say("2")], "gold": True},
            "a gold row has to say which answer is right",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Misfit, match=reason.replace("(", r"\(")):
        imported(row)


MESSAGE = st.dictionaries(st.sampled_from(["role", "content"]), st.text(max_size=5))
VALUE = st.one_of(st.none(), st.booleans(), st.text(max_size=9), st.integers(), st.lists(MESSAGE))
COLUMN = st.sampled_from(["prompt", "chosen", "rejected", "completion", "label", "gold", "winner"])


@given(st.dictionaries(COLUMN, VALUE))
def test_any_row_is_taken_or_refused_and_nothing_else(row: dict[str, Any]) -> None:
    try:
        read = imported(row)
    except Misfit:
        return
    events = events_of(read, source="s", study="t", at=AT)
    conversation = replay(events[0].conversation_id, events)
    assert len(items_of(conversation)) == 1


# ── events ──


def test_a_row_becomes_a_conversation_with_a_first_vote() -> None:
    prompt = [{"role": "system", "content": "Be brief."}, ASK, say("Because."), {"role": "user", "content": "So?"}]
    read = imported({"prompt": prompt, "chosen": "Yes.", "rejected": "No."})
    events = events_of(read, source="hh", study="test", at=AT)
    conversation = replay(events[0].conversation_id, events)
    (item,) = items_of(conversation)
    assert conversation.started is not None
    assert (conversation.started.mode, conversation.started.system_prompt) == ("import", "Be brief.")
    assert [message.content for message in conversation.path(item.message_a)[:-1]] == ["Why?", "Because.", "So?"]
    assert item.said == {"imported:hh": read.winner}
    assert (item.owner, item.reviews, item.state(1)) == ("imported:hh", 0, "open")


def test_the_same_row_has_the_same_ids_and_another_source_has_others() -> None:
    read = imported({"prompt": "Why?", "chosen": "x", "rejected": "y"})
    once, again = (events_of(read, source="s", study="t", at=at) for at in (AT, AT.replace("10", "11", 1)))
    other = events_of(read, source="s2", study="t", at=AT)
    assert [event.event_id for event in once] == [event.event_id for event in again]
    assert not {event.event_id for event in once} & {event.event_id for event in other}
    assert once[0].conversation_id != other[0].conversation_id


def test_a_gold_row_is_a_gold_item() -> None:
    read = imported({"prompt": "Why?", "chosen": "x", "rejected": "y", "gold": True})
    events = events_of(read, source="s", study="t", at=AT)
    (item,) = items_of(replay(events[0].conversation_id, events))
    assert (item.gold, item.state(1)) == (True, "gold")
