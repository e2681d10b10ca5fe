"""Rewriting a message: an editor belongs to its message, and what was written in it is never lost."""

from __future__ import annotations

from playwright.sync_api import expect

from labeler.core.events import AnswerEdited
from tests.page.chat import Chat
from tests.page.conftest import NewChat, kinds, stored
from tests.served import Served


def test_an_edit_that_changes_nothing_stores_nothing(shared: Served, chat: Chat) -> None:
    chat.send("say: As it was")
    before = kinds(shared, chat)
    chat.rewrite("As it was")
    expect(chat.siblings).to_have_count(0)
    assert kinds(shared, chat) == before


def test_a_cancelled_edit_leaves_the_text_alone(chat: Chat) -> None:
    chat.send("say: As it was")
    chat.press("Edit")
    chat.editor.fill("Something else")
    chat.page.keyboard.press("Escape")
    chat.expect_answers("As it was")
    expect(chat.button("Edit").last).to_be_focused()
    chat.press("Edit")
    chat.press("Cancel")
    chat.expect_answers("As it was")


def test_a_cancelled_edit_stays_cancelled_after_a_reload(chat: Chat) -> None:
    chat.send("say: As it was")
    for cancel in (lambda: chat.press("Cancel"), lambda: chat.page.keyboard.press("Escape")):
        chat.press("Edit")
        chat.editor.fill("Something else")
        cancel()
        chat.reload().expect_answers("As it was")
        expect(chat.editor).to_have_count(0)
    chat.press("Edit")
    expect(chat.editor).to_have_value("As it was")


def test_an_edit_that_was_submitted_is_over_after_a_reload(chat: Chat) -> None:
    chat.send("say: As it was")
    chat.rewrite("As it should be")
    chat.expect_answers("As it should be")
    chat.reload().expect_answers("As it should be")
    expect(chat.editor).to_have_count(0)


def test_an_editor_goes_with_its_answer_and_comes_back_with_it(shared: Served, chat: Chat) -> None:
    chat.send("an editor goes with its answer and comes back with it\nsay: Take {attempt}")
    chat.press("Retry")
    chat.answered()
    chat.press("Edit")
    chat.editor.fill("Take two, rewritten")
    chat.press("Previous answer")
    chat.expect_answers("Take 1")
    expect(chat.editor).to_have_count(0)
    chat.press("Next answer")
    expect(chat.editor).to_have_value("Take two, rewritten")
    chat.press("Submit")
    chat.expect_answers("Take two, rewritten")
    contents = {p.message_id: p.content for p in stored(shared, chat) if p.kind == "reply_finished"}
    edit = next(p for p in stored(shared, chat) if isinstance(p, AnswerEdited))
    assert contents[edit.edits] == "Take 2"


def test_an_editor_does_not_follow_into_another_conversation(chat: Chat) -> None:
    chat.send("an editor does not follow\nsay: One")
    first = chat.conversation_id()
    chat.press("New conversation")
    chat.send("say: Two")
    chat.press("Edit")
    chat.editor.fill("Two, rewritten")
    chat.conversations.get_by_text("an editor does not follow").click()
    chat.expect_answers("One")
    assert chat.conversation_id() == first
    expect(chat.editor).to_have_count(0)
    chat.conversations.get_by_text("say: Two").click()
    expect(chat.editor).to_have_value("Two, rewritten")
    chat.press("Submit")
    chat.expect_answers("Two, rewritten")


def test_an_editor_stays_open_while_another_answer_is_written(chat: Chat) -> None:
    chat.send("say: One")
    chat.press("Edit")
    chat.editor.fill("One, rewritten")
    chat.send("say: Two")
    expect(chat.editor).to_have_value("One, rewritten")
    chat.press("Submit")
    chat.expect_answers("One, rewritten")


def test_two_rewrites_at_once_are_both_kept(chat: Chat) -> None:
    chat.send("say: One")
    chat.send("say: Two")
    chat.press("Edit", place=1)
    chat.editor.fill("One, rewritten")
    chat.press("Edit")
    chat.editor.fill("Two, rewritten")
    chat.press("Edit", place=1)
    expect(chat.editor).to_have_value("One, rewritten")
    chat.press("Cancel")
    chat.press("Edit")
    expect(chat.editor).to_have_value("Two, rewritten")


def test_a_comment_is_not_taken_for_a_rewrite(chat: Chat) -> None:
    chat.send("say: One")
    chat.vote("Like")
    chat.why.get_by_label("Comment (optional)").fill("because")
    chat.reload().expect_answers("One")
    expect(chat.editor).to_have_count(0)


def test_an_edit_that_came_too_late_is_not_lost(shared: Served, chat: Chat, new_chat: NewChat) -> None:
    chat.send("say: One")
    other = new_chat(shared, beside=chat)
    other.press("Edit")
    other.editor.fill("One, rewritten")
    chat.send("say: Two")
    other.press("Submit")
    expect(other.notice).to_contain_text("moved on in another tab")
    expect(other.editor).to_have_value("One, rewritten")
    other.press("Submit")
    other.expect_answers("One, rewritten")
