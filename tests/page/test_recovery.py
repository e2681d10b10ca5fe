"""A killed, stopped or starved server: nothing acknowledged is lost, nothing is stored twice, and the page says so."""

from __future__ import annotations

import signal
import sqlite3
import time

from playwright.sync_api import expect

from tests.model_server import ModelServer
from tests.page.chat import Chat
from tests.page.conftest import NewChat, kinds, stored, votes
from tests.served import Served

WITHIN_MS = 5_000
RECOVERS_MS = 20_000


def test_a_killed_server_shows_and_votes_made_meanwhile_arrive_once_and_in_order(
    own: Served, new_chat: NewChat
) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    chat.send("say: Two")
    chat.vote("Like", place=0)
    own.kill()
    chat.press("Like", place=0)
    expect(chat.status).to_have_text("Not saved", timeout=WITHIN_MS)
    expect(chat.button("Save again")).to_be_visible()
    chat.press("Dislike", place=0)
    chat.press("Dislike", place=1)
    chat.why.last.get_by_label("Unsafe").check()
    chat.why.last.get_by_role("button", name="Save reason").click()
    expect(chat.status).to_have_text("Not saved")
    chat.expect_thumbs("Dislike", "Dislike")
    own.start()
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    chat.ready().expect_thumbs("Dislike", "Dislike")
    assert votes(own, chat) == [1, 0, -1, -1]
    assert kinds(own, chat)[-1] == "reason_given"


def test_a_killed_server_shows_without_any_click_and_the_next_send_works(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    chat.box.fill("A thought half said")
    own.kill()
    expect(chat.status).to_have_text("Not saved", timeout=WITHIN_MS)
    chat.button("Send").click()
    expect(chat.notice).to_contain_text("cannot be reached")
    expect(chat.box).to_have_value("A thought half said")
    own.start()
    expect(chat.status).not_to_have_text("Not saved", timeout=RECOVERS_MS)
    chat.ready().expect_answers("One")
    expect(chat.box).to_have_value("A thought half said")
    chat.send("say: Two")
    chat.expect_answers("One", "Two")


def test_a_server_that_hangs_is_noticed_too(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    assert own.process is not None
    chat.page.evaluate("window.stillTheSame = true")
    own.process.send_signal(signal.SIGSTOP)
    expect(chat.status).to_have_text("Not saved", timeout=WITHIN_MS + 1_000)
    own.process.send_signal(signal.SIGCONT)
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    chat.vote("Like")
    assert votes(own, chat) == [1]
    assert chat.page.evaluate("window.stillTheSame")  # nothing was lost, so nothing had to be loaded
    chat.send("say: Two")
    chat.expect_answers("One", "Two")


def test_what_was_sent_to_a_server_that_hung_is_answered_once_without_loading_the_page(
    own: Served, new_chat: NewChat
) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    assert own.process is not None
    chat.page.evaluate("window.stillTheSame = true")
    own.process.send_signal(signal.SIGSTOP)
    chat.box.fill("say: Two")
    chat.button("Send").click()
    chat.press("Like", place=0)
    expect(chat.status).to_have_text("Not saved", timeout=WITHIN_MS + 1_000)
    own.process.send_signal(signal.SIGCONT)
    chat.expect_answers("One", "Two")
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    expect(chat.box).to_have_value("")
    assert chat.page.evaluate("window.stillTheSame")
    assert kinds(own, chat).count("message_sent") == 2
    assert votes(own, chat) == [1]


def test_a_restart_in_mid_answer_keeps_the_conversation_usable(
    own: Served, new_chat: NewChat, model: ModelServer
) -> None:
    chat = new_chat(own)
    chat.send("say: One two three four\ngate: killed 2", wait=False)
    expect(chat.answers).to_contain_text("One two")
    own.kill()
    expect(chat.status).to_have_text("Not saved", timeout=WITHIN_MS)
    own.start()
    expect(chat.answers).to_contain_text("The server stopped while this answer was being written", timeout=RECOVERS_MS)
    model.release("killed")
    chat.ready()
    chat.press("Retry")
    chat.answered()
    chat.expect_answers("One two three four")


def test_a_terminated_server_stores_the_running_answer_as_stopped(
    own: Served, new_chat: NewChat, model: ModelServer
) -> None:
    chat = new_chat(own)
    chat.send("say: One two three four\ngate: ended 2", wait=False)
    expect(chat.answers).to_contain_text("One two")
    assert own.terminate() == 0
    assert "".join(own.errors) == ""
    assert stored(own, chat)[-1].status == "stopped"
    own.start()
    expect(chat.answers).to_contain_text("Stopped", timeout=RECOVERS_MS)
    model.release("ended")


def test_a_send_that_died_with_the_server_is_made_once(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    # The store cannot write while another program holds its file, so the gesture is under way when the server dies.
    with sqlite3.connect(own.directory / "log.db") as other:
        other.execute("BEGIN IMMEDIATE")
        chat.box.fill("say: Two")
        chat.button("Send").click()
        expect(chat.status).to_have_text("Saving")
        own.kill()
        other.rollback()
    other.close()
    own.start()
    chat.page.wait_for_load_state()
    expect(chat.answers).to_have_count(2, timeout=RECOVERS_MS)
    chat.answered()
    chat.expect_answers("One", "Two")
    expect(chat.box).to_have_value("")
    assert kinds(own, chat).count("message_sent") == 2


def test_an_edit_under_way_survives_a_restart(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    chat.press("Edit")
    edited = chat.editor
    edited.fill("One, much better said")
    own.kill()
    expect(chat.status).to_have_text("Not saved", timeout=WITHIN_MS)
    own.start()
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    chat.ready()
    expect(edited).to_have_value("One, much better said")
    chat.press("Submit")
    chat.expect_answers("One, much better said")


def test_a_store_that_cannot_write_says_not_saved_and_save_again_saves(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    with sqlite3.connect(own.directory / "log.db") as other:
        other.execute("BEGIN IMMEDIATE")
        chat.press("Like")
        expect(chat.status).to_have_text("Saving")
        expect(chat.status).to_have_text("Not saved", timeout=20_000)
        expect(chat.page.locator("#save-details")).to_contain_text("locked")
        other.rollback()
    other.close()
    chat.button("Save again").click()
    expect(chat.status).to_have_text("Saved", timeout=20_000)
    chat.expect_thumbs("Like")
    assert votes(own, chat) == [1]


def test_drafts_stay_with_their_conversations(chat: Chat) -> None:
    chat.send("say: One")
    chat.box.fill("for the first")
    chat.button("New conversation").click()
    expect(chat.box).to_have_value("")
    chat.box.fill("for the next")
    chat.conversations.first.click()
    expect(chat.box).to_have_value("for the first")
    chat.reload()
    expect(chat.box).to_have_value("for the first")
    chat.button("New conversation").click()
    expect(chat.box).to_have_value("for the next")


def test_a_second_tab_shows_where_the_first_one_is_and_goes_its_own_way(
    chat: Chat, shared: Served, new_chat: NewChat
) -> None:
    chat.send("say: One")
    other = new_chat(shared, beside=chat)
    other.expect_answers("One")
    other.button("New conversation").click()
    expect(other.messages).to_have_count(0)
    other.send("say: Elsewhere")
    chat.reload().expect_answers("One")
    other.reload().expect_answers("Elsewhere")


def test_a_vote_is_never_called_saved_before_it_is_on_disk(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    with sqlite3.connect(own.directory / "log.db") as other:
        other.execute("BEGIN IMMEDIATE")
        chat.press("Like")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert chat.status.inner_text() == "Saving"
        other.rollback()
    other.close()
    expect(chat.status).to_have_text("Saved", timeout=20_000)


def test_a_broken_line_without_a_restart_recovers_too(shared: Served, chat: Chat) -> None:
    chat.send("say: One")
    chat.box.fill("A draft")
    chat.page.context.set_offline(True)
    chat.press("Like")
    expect(chat.status).to_have_text("Not saved", timeout=WITHIN_MS)
    chat.press("Retry")
    expect(chat.notice).to_contain_text("cannot be reached")
    chat.page.context.set_offline(False)
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    chat.ready().expect_thumbs("Like")
    expect(chat.box).to_have_value("A draft")
    assert votes(shared, chat) == [1]
    chat.press("Retry")
    chat.answered()
    expect(chat.siblings).to_contain_text("2 / 2")


def test_a_message_that_the_store_refuses_stays_in_the_box_and_save_again_sends_it(
    own: Served, new_chat: NewChat
) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    with sqlite3.connect(own.directory / "log.db") as other:
        other.execute("BEGIN IMMEDIATE")
        chat.box.fill("say: Two")
        chat.button("Send").click()
        expect(chat.status).to_have_text("Not saved", timeout=20_000)
        assert chat.page.locator("#status").inner_text().count(chat.notice.inner_text()) == 1
        expect(chat.box).to_have_value("say: Two")
        expect(chat.answers).to_have_count(1)
        other.rollback()
    other.close()
    chat.button("Save again").click()
    expect(chat.answers).to_have_count(2)
    chat.answered()
    chat.expect_answers("One", "Two")
    expect(chat.box).to_have_value("")
    expect(chat.status).to_have_text("Saved")
