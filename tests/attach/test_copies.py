"""The client's copy: what of a chatbot's value is words that were said, and where each of its messages stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.core.copies import Copy, Said, copy_of, text_of


def message(role: str, *parts: object, title: str | None = None) -> dict[str, Any]:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": role, "content": content, "metadata": {"title": title}}


FILE: dict[str, Any] = {"type": "file", "file": {"path": "cat.png"}}


def test_sides_speak_in_turn() -> None:
    copy = copy_of([message("user", "Why?"), message("assistant", "Because.")])
    assert copy == Copy((Said("user", "Why?"), Said("assistant", "Because.")), (0, 1))


def test_messages_of_one_answer_are_one_answer_and_all_stand_where_it_stands() -> None:
    copy = copy_of([message("user", "Why?"), message("assistant", "One."), message("assistant", "Two.", "Three.")])
    assert copy.said[1] == Said("assistant", "One.\n\nTwo.\n\nThree.")
    assert copy.places == (0, 1, 1)


def test_messages_of_a_user_stay_apart() -> None:
    assert len(copy_of([message("user", "Why?"), message("user", "Well?")]).said) == 2


def test_a_thought_is_no_part_of_an_answer_but_stands_where_it_stands() -> None:
    copy = copy_of(
        [message("user", "Why?"), message("assistant", "Hm.", title="Thinking"), message("assistant", "So.")]
    )
    assert copy.said[1] == Said("assistant", "So.")
    assert copy.places == (0, 1, 1)


def test_a_greeting_answers_nothing() -> None:
    copy = copy_of([message("assistant", "Hello!"), message("user", "Why?")])
    assert (copy.said, copy.places) == ((Said("user", "Why?"),), (None, 0))


def test_the_first_system_message_stands_apart_and_counts() -> None:
    copy = copy_of([message("system", "Be kind."), message("user", "Why?"), message("assistant", "So.")])
    assert (copy.system, copy.places) == ("Be kind.", (None, 0, 1))


@pytest.mark.parametrize("place", range(4))
def test_nothing_counts_from_the_first_message_on_that_holds_more_than_text(place: int) -> None:
    messages = [message("user", "a"), message("assistant", "b"), message("user", "c"), message("assistant", "d")]
    messages[place]["content"].append(FILE)
    copy = copy_of(messages)
    assert (len(copy.said), copy.cut) == (place, place)


def test_empty_messages_are_nowhere() -> None:
    copy = copy_of([message("user", ""), message("user", "Why?"), message("assistant", "")])
    assert (copy.said, copy.places[:2]) == ((Said("user", "Why?"),), (None, 0))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(("user", "assistant", "system")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("role", "content", "metadata", "type", "text", "title")), inner, max_size=4)
    ),
    max_leaves=12,
)
plausible = st.fixed_dictionaries(
    {"role": st.sampled_from(("user", "assistant", "system", "root")), "content": anything},
    optional={"metadata": anything},
)


@settings(max_examples=50)
@given(anything | st.lists(plausible, max_size=6))
def test_whatever_a_browser_sends_is_read_as_a_chat_in_which_answers_follow_messages(sent: object) -> None:
    copy = copy_of(sent)
    assert all(one.text for one in copy.said)
    for before, after in zip((None, *copy.said), copy.said, strict=False):
        assert after.role == "user" or (before is not None and before.role == "user")
    assert all(place is None or 0 <= place < len(copy.said) for place in copy.places)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("Why?", "Why?"),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\n\nb"),
        ({"type": "text", "text": "a"}, "a"),
        ({"type": "file", "file": {}}, None),
        (["file"], None),
        (7, None),
    ],
)
def test_the_text_of_a_content_is_all_of_it_or_nothing(content: object, text: str | None) -> None:
    assert text_of(content) == text
