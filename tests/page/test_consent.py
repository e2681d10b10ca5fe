"""Consent: nothing is collected before it is given, every version is asked about, and it can be taken back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from labeler.core.events import Event
from labeler.ids import new_id, text_sha256
from labeler.store import Store
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.axe import faults
from tests.page.chat import Chat
from tests.page.conftest import NewChat, study_of
from tests.page.visitor import Visitor
from tests.served import Served

FIRST = {"version": "1", "text": "# Before you begin\n\nYour messages and votes are **published**."}
SECOND = {"version": "2", "text": "# It has changed\n\nThey are published and kept for ever."}


@pytest.fixture(scope="module")
def asking(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose study asks for consent."""
    with QuickServed(tmp_path_factory.mktemp("consent"), study_of(model, consent=FIRST)) as served:
        yield served


def given(served: Served, annotator: str) -> list[Event]:
    """What is stored about an annotator."""
    with closing(Store.open(served.database)) as store:
        return store.load(annotator)


def annotator_of(chat: Chat) -> str:
    return chat.page.locator("#annotator-id").inner_text()


def test_nothing_is_collected_before_it_is_accepted(asking: Served, new_chat: NewChat) -> None:
    chat = new_chat(asking)
    expect(chat.page.get_by_role("heading", name="Before you begin")).to_be_visible()
    expect(chat.box).not_to_be_visible()
    chat.page.keyboard.press("n")
    assert faults(chat.page) == []
    visitor = Visitor(asking)
    before = visitor.events()
    visitor.call({"kind": "send", "nonce": new_id(), "text": "hello"})
    vote = {"kind": "vote", "nonce": new_id(), "conversation": new_id(), "message": new_id(), "value": 1}
    assert visitor.post(vote).status_code == 403
    assert visitor.events() == before
    visitor.close()


def test_accepting_is_an_event_and_is_asked_once(asking: Served, new_chat: NewChat) -> None:
    chat = new_chat(asking)
    chat.button("I agree").click()
    expect(chat.box).to_be_visible()
    chat.send("say: One")
    chat.vote("Like")
    chat.reload()
    chat.expect_answers("One")
    stored = given(asking, annotator_of(chat))
    assert [event.payload.kind for event in stored] == ["consent_given"]
    assert stored[0].payload.consent_version == "1"  # type: ignore[attr-defined]


def test_withdrawing_asks_first_and_stops_collecting(asking: Served, new_chat: NewChat) -> None:
    chat = new_chat(asking)
    chat.button("I agree").click()
    chat.send("say: One")
    annotator = annotator_of(chat)
    chat.button("Withdraw consent").click()
    chat.page.keyboard.press("Escape")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)
    chat.button("Withdraw consent").click()
    chat.page.get_by_role("dialog", name="Withdraw consent?").get_by_role("button", name="Withdraw").click()
    expect(chat.button("I agree")).to_be_visible()
    expect(chat.messages).to_have_count(0)
    assert [event.payload.kind for event in given(asking, annotator)] == ["consent_given", "consent_withdrawn"]
    chat.button("I agree").click()
    chat.expect_answers("One")


def test_focus_follows_from_screen_to_screen(asking: Served, new_chat: NewChat) -> None:
    chat = new_chat(asking)
    chat.button("I agree").press("Enter")
    expect(chat.box).to_be_focused()
    chat.button("Withdraw consent").press("Enter")
    chat.page.get_by_role("dialog").get_by_role("button", name="Withdraw").press("Enter")
    expect(chat.button("I agree")).to_be_focused()


def test_a_new_version_asks_again(asking: Served, new_chat: NewChat) -> None:
    chat = new_chat(asking)
    chat.button("I agree").click()
    chat.send("say: One")
    asking.terminate()
    study = yaml.safe_load(asking.config.read_text(encoding="utf-8")) | {"consent": SECOND}
    asking.config.write_text(yaml.safe_dump(study), encoding="utf-8")
    asking.start()
    expect(chat.page.get_by_role("heading", name="It has changed")).to_be_visible(timeout=20_000)
    chat.button("I agree").click()
    chat.expect_answers("One")
    versions = [event.payload.consent_version for event in given(asking, annotator_of(chat))]  # type: ignore[attr-defined]
    assert versions == ["1", "2"]


def test_an_open_page_shows_a_newer_text_before_it_asks_about_it(
    model: ModelServer, new_chat: NewChat, tmp_path: Path
) -> None:
    with QuickServed(tmp_path, study_of(model, consent=FIRST)) as served:
        chat = new_chat(served)
        chat.page.get_by_role("button", name="I agree").click()
        chat.send("say: One")
        served.config.write_text(yaml.safe_dump(study_of(model, consent=SECOND)), encoding="utf-8")
        assert served.process is not None
        served.process.send_signal(signal.SIGHUP)
        visitor = Visitor(served)
        while "It has changed" not in visitor.page:  # the file is read on a thread of its own
            visitor.page = visitor.http.get("/").text
        visitor.close()
        chat.box.fill("say: Two")
        chat.page.get_by_role("button", name="Send").click()
        expect(chat.page.get_by_role("heading", name="It has changed")).to_be_visible()
        expect(chat.page.get_by_role("heading", name="Before you begin")).to_have_count(0)
        chat.page.get_by_role("button", name="I agree").click()
        expect(chat.box).to_be_visible()
        texts = [event.payload.text_sha256 for event in given(served, annotator_of(chat))]  # type: ignore[attr-defined]
        assert texts == [text_sha256(FIRST["text"]), text_sha256(SECOND["text"])]
