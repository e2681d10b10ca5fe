"""A full disk, a database that is away for a while, a model that hangs, a clock that jumps: the page says what is saved
and what is not, goes on by itself, and nothing acknowledged is lost."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from labeler.store import Store
from labeler.store.verify import verify_log
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.chat import Chat
from tests.page.conftest import NewChat, kinds, stored, study_of, votes
from tests.served import Served

RECOVERS_MS = 60_000
LOCKED_SECONDS = 13  # longer than the store waits


@contextmanager
def no_room_for(served: Served) -> Iterator[None]:
    """Not one byte more fits into any file of the server's."""
    assert served.process is not None
    unlimited = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))
    try:
        yield
    finally:
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, unlimited)


def details(chat: Chat) -> str:
    return chat.page.locator("#save-details").inner_text()


def test_with_no_room_left_the_page_says_so_and_with_room_again_everything_arrives_by_itself(
    own: Served, new_chat: NewChat, model: ModelServer
) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    chat.vote("Like")
    chat.send("say: Two three\ngate: full 1", wait=False)
    expect(chat.answers).to_have_count(2)
    with no_room_for(own):
        model.release("full")
        expect(chat.answers.last.locator(".outcome")).to_contain_text("disk", timeout=RECOVERS_MS)
        chat.press("Dislike", place=0)
        expect(chat.status).to_have_text("Not saved")
        assert "disk" in details(chat)
        assert votes(own, chat) == [1]
        assert own.health()["status"] == "ok"
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    chat.answered()
    chat.expect_answers("One", "Two three")
    assert votes(own, chat) == [1, -1]
    assert kinds(own, chat).count("reply_finished") == 2
    with closing(Store.open(own.database)) as store:
        assert verify_log(store).ok


def test_a_message_that_met_a_locked_database_is_sent_by_itself_when_it_is_free(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    with closing(sqlite3.connect(own.directory / "log.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        chat.press("Like")
        chat.box.fill("say: Two")
        chat.button("Send").click()
        time.sleep(LOCKED_SECONDS)
        expect(chat.status).to_have_text("Not saved")
        expect(chat.page.locator("#status")).to_contain_text("locked")
        expect(chat.box).to_have_value("say: Two")
        other.rollback()
    expect(chat.answers).to_have_count(2, timeout=RECOVERS_MS)
    chat.answered()
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    chat.expect_answers("One", "Two")
    expect(chat.box).to_have_value("")
    assert votes(own, chat) == [1]
    assert kinds(own, chat).count("message_sent") == 2


@pytest.fixture(scope="module")
def impatient(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A study that waits two seconds for a model."""
    study = study_of(model)
    study["models"] = [study["models"][0] | {"timeout": 2}]  # type: ignore[index]
    with QuickServed(tmp_path_factory.mktemp("impatient"), study) as served:
        yield served


@pytest.mark.parametrize("fault", ["hang", "hang-after 2", "ping-after 2"])
def test_a_model_that_hangs_costs_an_answer_and_not_the_page(impatient: Served, new_chat: NewChat, fault: str) -> None:
    chat = new_chat(impatient)
    chat.send(f"say: One two three four\nfault: {fault}\ntimes: 1", wait=False)
    chat.answered()
    expect(chat.answers.last.locator(".outcome")).to_contain_text("scripted")
    assert stored(impatient, chat)[-1].status == "failed"
    chat.press("Retry")
    chat.answered()
    chat.expect_answers("One two three four")


def test_a_model_that_hangs_can_be_stopped(shared: Served, new_chat: NewChat) -> None:
    chat = new_chat(shared)
    chat.send("say: One two three\nfault: hang-after 2", wait=False)
    expect(chat.answers).to_contain_text("One two")
    chat.button("Stop").click()
    chat.answered()
    assert (stored(shared, chat)[-1].status, stored(shared, chat)[-1].content) == ("stopped", "One two")


def test_votes_keep_their_order_though_the_browsers_clock_jumps_back(own: Served, new_chat: NewChat) -> None:
    chat = new_chat(own)
    chat.send("say: One")
    with closing(sqlite3.connect(own.directory / "log.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        chat.press("Like")
        chat.page.evaluate("Date.now = () => 1_000_000")
        chat.press("Dislike")
        chat.press("Dislike")
        other.rollback()
    expect(chat.status).to_have_text("Saved", timeout=RECOVERS_MS)
    assert votes(own, chat) == [1, -1, 0]


def test_the_server_that_met_all_this_ends_well(own: Served) -> None:
    assert own.terminate(60) == 0
    assert "Traceback" not in "".join(own.errors)
    assert Path(own.directory / "log.db").exists()
