"""Texts as models and trainers see them."""

from __future__ import annotations

import json
import unicodedata
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.conversation import Message
from labeler.core.text import chat_messages, normal, opener_form, prompt_key, split_of, split_of_form

texts = st.text(st.characters(codec="utf-8"))


def user(content: str) -> Message:
    return Message(id="", parent_id=None, role="user", origin="user", content=content, status="complete")


def answer(content: str) -> Message:
    return Message(id="", parent_id="", role="assistant", origin="model", content=content, status="complete")


def shown(*path: Message, system: str | None = None, policy: str = "keep") -> list[tuple[str, str]]:
    messages = chat_messages(path, system, policy)  # type: ignore[arg-type]
    return [(message["role"], message["content"]) for message in messages]


# ── chat messages ──


def test_messages_have_role_and_content_and_nothing_else() -> None:
    assert chat_messages([user("Hi"), answer("Ho")], None) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
    ]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("keep", [("system", "Be brief."), ("user", "Hi")]),
        ("merge", [("user", "Be brief.\n\nHi")]),
        ("drop", [("user", "Hi")]),
    ],
)
def test_the_system_prompt_goes_where_the_policy_says(policy: str, expected: list[tuple[str, str]]) -> None:
    assert shown(user("Hi"), system="Be brief.", policy=policy) == expected


@pytest.mark.parametrize("system", [None, "", " \n"])
@pytest.mark.parametrize("policy", ["keep", "merge", "drop"])
def test_no_system_prompt_leaves_no_trace(system: str | None, policy: str) -> None:
    assert shown(user("Hi"), system=system, policy=policy) == [("user", "Hi")]


def test_a_merged_system_prompt_stands_before_the_first_user_message_only() -> None:
    messages = shown(user("Hi"), answer("Ho"), user("And?"), system="Be brief.", policy="merge")
    assert [content for _, content in messages] == ["Be brief.\n\nHi", "Ho", "And?"]


def test_empty_answers_are_dropped_and_their_neighbours_merged() -> None:
    assert shown(user("Hi"), answer(" \n"), user("Hello?"), answer("Ho")) == [
        ("user", "Hi\n\nHello?"),
        ("assistant", "Ho"),
    ]


def test_text_is_not_touched() -> None:
    assert shown(user("  Hi \n"), answer("\tcode\n")) == [("user", "  Hi \n"), ("assistant", "\tcode\n")]


def test_the_path_is_not_changed_by_merging() -> None:
    path = [user("Hi"), user("Hello?")]
    shown(*path)
    assert [message.content for message in path] == ["Hi", "Hello?"]


# ── the same text ──


def test_white_space_and_composition_do_not_make_another_text() -> None:
    assert normal(" A\u030angström \n\t is \u00a0 here ") == "Ångström is here"


def test_case_makes_another_text() -> None:
    assert normal("Yes") != normal("yes")


@given(texts)
def test_a_normal_text_is_normal(text: str) -> None:
    assert normal(normal(text)) == normal(text)
    assert normal(text) == " ".join(unicodedata.normalize("NFC", text).split())


# ── prompt key ──


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), texts), max_size=4))
def test_a_prompt_key_is_the_digest_of_canonical_json(prompt: list[tuple[str, str]]) -> None:
    canonical = [[role, unicodedata.normalize("NFC", content)] for role, content in prompt]
    expected = sha256(json.dumps(canonical, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
    assert prompt_key([{"role": role, "content": content} for role, content in prompt]) == expected


def test_white_space_and_order_make_another_prompt() -> None:
    one, other = {"role": "user", "content": "a"}, {"role": "user", "content": "b"}
    keys = {prompt_key(prompt) for prompt in ([one, other], [other, one], [{"role": "user", "content": "a "}], [one])}
    assert len(keys) == 4


def test_composed_and_decomposed_letters_make_one_prompt() -> None:
    composed, decomposed = ([{"role": "user", "content": content}] for content in ("Å", "A\u030a"))
    assert prompt_key(composed) == prompt_key(decomposed)


# ── split ──


@given(texts, st.text(max_size=4), st.integers(0, 100))
def test_the_split_is_the_published_formula(text: str, salt: str, percent: int) -> None:
    form = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    number = int(sha256((salt + form).encode()).hexdigest(), 16) % 100
    assert split_of(text, salt, percent) == ("test" if number < percent else "train")
    assert split_of_form(opener_form(text), salt, percent) == split_of(text, salt, percent)


@pytest.mark.parametrize("other", ["why IS it?", " Why  is\n it? ", "WHY IS IT?"])
def test_case_and_white_space_stay_on_one_side(other: str) -> None:
    assert opener_form(other) == opener_form("Why is it?")


def test_a_tenth_of_many_openers_is_about_a_tenth() -> None:
    tested = sum(split_of(f"Question {number}?", "labeler", 10) == "test" for number in range(5000))
    assert 400 < tested < 600


def test_the_salt_moves_openers() -> None:
    sides = {tuple(split_of(f"{n}", salt, 50) for n in range(64)) for salt in ("one", "other")}
    assert len(sides) == 2
