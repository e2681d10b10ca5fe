"""One annotator's day: everything once, in one browser, over a reload and a restart."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.page.conftest import NewChat, stored
from tests.served import Served

STORY = [
    "conversation_started",
    "message_sent",
    "reply_started",
    "reply_finished",
    "vote_cast",
    "vote_withdrawn",
    "vote_cast",
    "reason_given",
    "answer_edited",
    "reply_started",
    "reply_finished",
    "compared",
    "answer_selected",
    "message_sent",
    "reply_started",
    "reply_finished",
    "turn_undone",
    "answer_selected",
]


def test_ask_like_unlike_dislike_reason_edit_retry_compare_undo_clear_reload_restart(
    own: Served, new_chat: NewChat, tmp_path: Path
) -> None:
    chat = new_chat(own)
    expect(chat.status).to_have_text("")
    chat.send("How long does an egg boil?\nsay: Seven minutes, attempt {attempt}.")
    chat.vote("Like")
    chat.vote("Like")
    chat.expect_thumbs(None)
    chat.vote("Dislike")
    chat.why.get_by_label("Wrong").check()
    chat.why.get_by_label("Comment (optional)").fill("It depends.")
    chat.why.get_by_role("button", name="Save reason").click()
    expect(chat.status).to_have_text("Saved")
    chat.rewrite("Four to nine minutes.")
    chat.press("Retry")
    chat.answered()
    expect(chat.siblings).to_contain_text("3 / 3")
    chat.better.get_by_role("button", name="Worse").click()
    expect(chat.better.locator("[aria-pressed=true]")).to_have_text("Worse")
    chat.press("Previous answer")
    chat.expect_answers("Four to nine minutes.")
    chat.send("And a goose egg?\nsay: Thirteen.")
    chat.press("Undo")
    expect(chat.box).to_have_value("And a goose egg?\nsay: Thirteen.")
    chat.reload()
    chat.expect_answers("Four to nine minutes.")
    expect(chat.box).to_have_value("And a goose egg?\nsay: Thirteen.")
    assert own.terminate() == 0
    expect(chat.status).to_have_text("Not saved", timeout=6_000)
    own.start()
    expect(chat.status).to_have_text("Saved", timeout=20_000)
    chat.ready().expect_answers("Four to nine minutes.")
    chat.press("Previous answer")
    chat.expect_thumbs("Dislike")
    told = [payload.kind for payload in stored(own, chat)]
    chat.page.screenshot(path=tmp_path / "story.png")
    chat.press("Clear")
    expect(chat.messages).to_have_count(0)
    chat.reload()
    expect(chat.messages).to_have_count(0)
    assert told == STORY
