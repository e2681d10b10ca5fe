"""What an annotator sees of limits: a line before anything is sent, and nothing lost when it was too fast."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.chat import Chat
from tests.page.conftest import NewChat, stored, study_of
from tests.served import Served

LIMITS = {"message_chars": 40, "edit_chars": 50, "gestures_per_minute": 6, "turns_per_minute": 12}


@pytest.fixture(scope="module")
def narrow(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A study with little room."""
    study = study_of(model, limits=LIMITS | {"conversation_messages": 4})
    with QuickServed(tmp_path_factory.mktemp("narrow"), study) as served:
        yield served


def test_the_box_says_by_how_much_a_text_is_too_long_while_it_is_written(narrow: Served, new_chat: NewChat) -> None:
    chat = new_chat(narrow)
    chat.box.fill("say: " + "x" * 37)
    expect(chat.notice).to_have_text("Too long by 2 characters: at most 40 fit.")
    chat.button("Send").click()
    expect(chat.notice).to_have_text("Too long by 2 characters: at most 40 fit.")
    expect(chat.messages).to_have_count(0)
    chat.box.press("Backspace")
    expect(chat.notice).to_have_text("Too long by 1 character: at most 40 fit.")
    chat.box.press("Backspace")
    expect(chat.notice).to_have_text("")
    chat.button("Send").click()
    chat.answered()
    chat.expect_answers("x" * 35)
    chat.press("Edit")
    chat.editor.fill("y" * 51)
    expect(chat.notice).to_have_text("Too long by 1 character: at most 50 fit.")
    chat.press("Submit")
    chat.expect_questions("x" * 35)
    assert [payload.kind for payload in stored(narrow, chat)][-1] == "reply_finished"
    chat.editor.fill("y" * 50)
    chat.press("Submit")
    chat.expect_answers("y" * 50)


def test_a_full_conversation_says_what_to_do(narrow: Served, new_chat: NewChat) -> None:
    chat = new_chat(narrow)
    chat.send("say: One")
    chat.send("say: Two")
    chat.box.fill("say: Three")
    chat.button("Send").click()
    expect(chat.notice).to_contain_text("This conversation is full: it may hold 4 messages")
    expect(chat.status).to_have_text("Not saved")
    expect(chat.box).to_have_value("say: Three")
    chat.expect_answers("One", "Two")


def flips(narrow: Served, chat: Chat) -> list[int]:
    given = [payload for payload in stored(narrow, chat) if payload.kind.startswith("vote_")]
    return [getattr(payload, "vote", 0) for payload in given]


def test_votes_that_come_too_fast_are_kept_and_all_delivered_in_order_by_themselves(
    narrow: Served, new_chat: NewChat
) -> None:
    chat = new_chat(narrow)
    chat.send("say: One")
    refused: list[int] = []
    chat.page.on("response", lambda response: refused.append(response.status) if response.status == 429 else None)
    names = ["Like", "Dislike"] * 4
    for name in names:
        chat.press(name)
    expect(chat.status).to_have_text("Not saved")
    expect(chat.page.locator("#save-details")).to_have_text(re.compile(r"That was too fast. Wait \d+ s"))
    expect(chat.status).to_have_text("Saved", timeout=60_000)
    chat.expect_thumbs("Dislike")
    assert flips(narrow, chat) == [1, -1] * 4
    assert refused


def test_a_turn_that_comes_too_fast_is_made_as_soon_as_it_may_be(narrow: Served, new_chat: NewChat) -> None:
    chat = new_chat(narrow)
    chat.send("say: One")
    for _ in range(14):  # as an impatient finger does
        chat.page.evaluate("window.dispatchEvent(new PopStateEvent('popstate'))")
    expect(chat.notice).to_have_text(re.compile(r"That was too fast. Wait \d+ s"))
    chat.box.fill("say: Two")
    chat.button("Send").click()
    expect(chat.answers).to_have_count(2, timeout=90_000)
    chat.answered()
    chat.expect_answers("One", "Two")
    expect(chat.status).to_have_text("Saved", timeout=60_000)
    assert [payload.kind for payload in stored(narrow, chat)].count("message_sent") == 2
