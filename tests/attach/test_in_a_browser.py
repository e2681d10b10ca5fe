"""Attached apps in a real browser: what a person does with their buttons is in the log, and the app does its part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Locator, Page, expect

from labeler.attached.hearing import LOST
from labeler.chat.follower import UNENDED
from labeler.core.events import MessageSent, ReplyFinished, ReplyStarted
from labeler.core.folding import replay
from labeler.core.following import shown
from tests.attach.conftest import BLOCKS, INTERFACE, App, Serve
from tests.page.chat import PATIENCE_MS
from tests.page.conftest import chromium

SLOW = """
import time
import gradio as gr
import labeler

def answer(message, history):
    for number in range(10_000):
        yield f"Counted to {number}"
        time.sleep(0.05)

demo = gr.ChatInterface(answer)
labeler.attach(demo)
"""
BROKEN = """
import gradio as gr
import labeler

def answer(message, history):
    if "break" in message:
        raise ValueError("broken")
    return message

with gr.Blocks() as demo:
    labeler.attach(gr.ChatInterface(answer), annotator=lambda request: {})
"""


class Shown:
    """An app in a tab."""

    def __init__(self, app: App, page: Page) -> None:
        self.app = app
        self.page = page
        page.set_default_timeout(PATIENCE_MS)
        with page.expect_response(lambda response: "run/predict" in response.url):  # who opens it
            page.goto(app.address)
        expect(self.box).to_be_visible()

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox").last

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def send(self, text: str) -> None:
        self.pause()
        self.box.fill(text)
        self.box.press("Enter")

    def answered(self, text: str) -> None:
        expect(self.page.get_by_test_id("bot").last).to_have_text(text, timeout=PATIENCE_MS)

    def edit(self, place: int, text: str) -> None:
        self.button("Edit").nth(place).click()
        self.page.get_by_role("log").get_by_role("textbox").fill(text)
        self.button("Submit").first.click()

    def pause(self) -> None:
        """As long as a person takes between two gestures: the app's own listeners have had their say by then."""
        self.page.wait_for_timeout(1500)

    # ── the log ──

    def recorded(self, *kinds: str) -> None:
        """Until these are the last things that were recorded."""
        self.until(lambda: tuple(self.kinds()[-len(kinds) :]) == kinds)

    def until(self, so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not so():
            assert time.monotonic() < deadline, self.kinds()
            self.page.wait_for_timeout(50)

    def kinds(self) -> list[str]:
        return [event.payload.kind for event in self.app.events()]

    def shows(self, *texts: str) -> None:
        """Until the page shows what is recorded: before that, what the app makes of a gesture may overtake the next."""
        recorded = self.texts()
        assert not texts or recorded == list(texts)
        said = self.page.locator('[data-testid="user"], [data-testid="bot"]')
        expect(said).to_have_text(recorded, timeout=PATIENCE_MS)

    def last(self, kind: type) -> Any:
        return [event.payload for event in self.app.events() if isinstance(event.payload, kind)][-1]

    def texts(self) -> list[str]:
        """What shows in the last conversation that was recorded."""
        events = self.app.events()
        named = events[-1].conversation_id
        return [one.content for one in shown(replay(named, (e for e in events if e.conversation_id == named)))]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def show(serve: Serve, browser: Chromium) -> Iterator[Callable[[str], Shown]]:
    """Serves an app and opens it, as somebody new. In the end no script error was seen."""
    faults: list[str] = []
    context = browser.new_context(locale="en-US")

    def shown_app(source: str) -> Shown:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        return Shown(serve(source), page)

    yield shown_app
    context.close()
    assert faults == []


ANSWERED = ("message_sent", "reply_started", "reply_finished")


def test_the_guides_chat_interface_is_recorded_gesture_by_gesture(show: Callable[[str], Shown]) -> None:
    chat = show(INTERFACE)
    chat.until(chat.app.has_named_a_chat)
    chat.send("Why?")
    chat.recorded("conversation_started", *ANSWERED)
    chat.shows()
    chat.button("Like").click()
    chat.recorded("vote_cast")
    chat.button("Liked").click()
    chat.recorded("vote_withdrawn")
    first = chat.last(ReplyStarted)
    chat.button("Retry").click()
    chat.recorded("reply_started", "reply_finished")
    assert chat.last(ReplyStarted).retries == first.message_id
    chat.shows()
    asked = chat.last(MessageSent)
    chat.edit(0, "How?")
    chat.recorded(*ANSWERED)
    assert chat.last(MessageSent).edits == asked.message_id
    assert chat.texts()[0] == "How?"
    chat.shows()
    chat.button("Undo").click()
    chat.recorded("turn_undone")
    chat.shows()
    chat.send("When?")
    chat.recorded(*ANSWERED)
    chat.shows()
    chat.button("Clear").click()
    chat.recorded("conversation_cleared")
    chat.send("Where?")
    chat.recorded("conversation_started", *ANSWERED)
    said = chat.texts()[1]
    assert chat.last(ReplyFinished).content == said
    uuids = {event.payload.content.split()[-1] for event in chat.app.events() if event.payload.kind == "reply_finished"}
    assert len(uuids) == len({event.conversation_id for event in chat.app.events()}) == 2


def test_the_guides_page_of_parts_is_recorded_gesture_by_gesture(show: Callable[[str], Shown]) -> None:
    chat = show(BLOCKS)
    chat.send("What colour is the sky?")
    chat.recorded("conversation_started", *ANSWERED)
    chat.shows("What colour is the sky?", "Blue.")
    chat.button("Dislike").click()
    chat.recorded("vote_cast")
    chat.button("Retry").click()
    chat.recorded("reply_started", "reply_finished")
    chat.shows("What colour is the sky?", "Grey, mostly.")
    chat.edit(1, "Grey.")
    chat.recorded("answer_edited")
    chat.shows("What colour is the sky?", "Grey.")
    chat.send("And at night?")
    chat.recorded(*ANSWERED)
    chat.shows("What colour is the sky?", "Grey.", "And at night?", "It depends.")
    chat.button("Undo").click()
    chat.recorded("turn_undone")
    chat.shows("What colour is the sky?", "Grey.")
    chat.button("Clear").click()
    chat.recorded("conversation_cleared")


def test_a_thumb_on_an_answer_that_scrolls_is_refused_with_a_line_and_a_stopped_one_is_told_as_stopped(
    show: Callable[[str], Shown],
) -> None:
    chat = show(SLOW)
    chat.send("Go on")
    expect(chat.page.get_by_test_id("bot").last).to_contain_text("Counted to")
    chat.button("Like").last.dispatch_event("click")
    expect(chat.page.get_by_text(UNENDED)).to_be_visible()
    assert "vote_cast" not in chat.kinds()
    chat.page.locator(".stop-button").click()
    chat.until(lambda: "reply_finished" in chat.kinds())
    finished = chat.last(ReplyFinished)
    assert finished.status == "stopped"
    assert chat.texts()[-1] == finished.content
    chat.button("Like").last.click()
    chat.recorded("vote_cast")


def test_whatever_becomes_of_our_record_the_app_does_its_part_and_the_person_is_told(
    show: Callable[[str], Shown],
) -> None:
    chat = show(BROKEN.format("1 / 0"))
    chat.send("Why?")
    chat.answered("Why?")
    chat.button("Undo").click()
    expect(chat.page.get_by_text(LOST)).to_be_visible()
    expect(chat.page.get_by_test_id("bot")).to_have_count(0)
    assert chat.app.events() == []


def test_an_answer_that_breaks_is_told_as_failed(show: Callable[[str], Shown]) -> None:
    chat = show(BROKEN.format("'ann'"))
    chat.send("break")
    chat.recorded("conversation_started", *ANSWERED)
    assert chat.last(ReplyFinished).status == "failed"
