"""The page Compare, as an annotator uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from labeler.core.events import Compared
from labeler.store import Store
from tests.model_server import Answer, ModelServer
from tests.nursery import QuickServed
from tests.page import axe
from tests.page.chat import Chat
from tests.page.conftest import NewChat, study_of
from tests.served import Served

NAMES = ("crimson-7b", "emerald-13b", "azure-70b")
LENGTHS = "['left', 'right'].map((id) => document.querySelector(`#${id} .message`)?.textContent.trim().length ?? 0)"
CHOICES = ["A is much better", "A is better", "About the same", "Both are bad", "B is better", "B is much better"]


class Arena(Chat):
    """One tab on the page Compare."""

    def open(self, fragment: str = "") -> Arena:
        self.page.goto(f"{self.address}/compare/{fragment}")
        self.ready()
        return self

    def choice(self, name: str) -> Locator:
        return self.page.get_by_role("group", name="Which answer is better?").get_by_role("button", name=name)

    def side(self, name: str) -> Locator:
        return self.page.locator("#left" if name == "A" else "#right")

    def head(self, name: str) -> Locator:
        return self.page.locator("#head-left" if name == "A" else "#head-right")

    def ask(self, text: str) -> None:
        """Send, and wait until both answers are there and shown."""
        self.box.fill(text)
        self.button("Send").click()
        expect(self.box).to_have_value("")
        self.ended()

    def ended(self) -> None:
        expect(self.button("Stop")).to_be_disabled(timeout=20_000)
        expect(self.button("Send")).to_be_enabled()

    def choose(self, name: str) -> None:
        self.choice(name).click()
        expect(self.choice(name)).to_have_attribute("aria-pressed", "true")
        expect(self.status).to_have_text("Saved")


@pytest.fixture(scope="module")
def sided(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    spec = {"kind": "openai", "base_url": model.base_url, "model": "scripted"}
    models = [spec | {"name": name} for name in NAMES]
    study = study_of(model, models=models, modes=["chat", "compare"])
    with QuickServed(tmp_path_factory.mktemp("sided"), study) as served:
        yield served


@pytest.fixture
def arena(new_chat: NewChat, sided: Served) -> Arena:
    return Arena(new_chat(sided).page, sided.address).open()


def stored(served: Served, arena: Chat) -> list[Any]:
    with closing(Store.open(served.database)) as store:
        return [event.payload for event in store.load(arena.conversation_id())]


def html_of(page: Page) -> str:
    """Everything that the document holds, seen or not, and all that was kept in the browser."""
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    return page.content() + str(kept)


# ── addresses ──


def test_the_address_works_with_and_without_its_final_slash(arena: Arena, sided: Served) -> None:
    arena.page.goto(f"{sided.address}/compare")
    arena.ready()
    assert arena.page.url.startswith(f"{sided.address}/compare/")
    expect(arena.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Compare")).to_have_attribute(
        "aria-current", "page"
    )


def test_pages_lead_to_each_other_and_keep_their_conversations_apart(arena: Arena) -> None:
    arena.ask("say: Side by side")
    expect(arena.conversations).to_have_count(1)
    arena.page.get_by_role("link", name="Chat", exact=True).click()
    chat = Chat(arena.page, arena.address).ready()
    expect(chat.conversations).to_have_count(0)
    chat.send("say: Chatting")
    chat.page.get_by_role("link", name="Compare", exact=True).click()
    arena.ready()
    expect(arena.side("A")).to_contain_text("Side by side")
    expect(arena.conversations).to_have_count(1)


# ── blind ──


def test_no_model_is_named_anywhere_before_the_choice_and_both_are_after_it(arena: Arena) -> None:
    arena.ask("say: Hello")
    assert not any(name in html_of(arena.page) for name in NAMES)
    for name in ("A", "B"):
        expect(arena.head(name)).to_have_text(f"Answer {name}")
    arena.choose("A is better")
    for name in ("A", "B"):
        expect(arena.head(name)).to_contain_text(re.compile("|".join(NAMES)))
    assert len({arena.head(name).inner_text().split()[-1] for name in ("A", "B")}) == 2


def test_while_answers_are_written_neither_is_ahead(arena: Arena, model: ModelServer) -> None:
    """One model writes ten times as fast as the other."""
    model.plan(Answer(words=60, pace=300), Answer(words=60, pace=30))
    arena.box.fill("Tell me.")
    arena.button("Send").click()
    readings = []
    for _ in range(25):
        readings.append(arena.page.evaluate(LENGTHS))
        arena.page.wait_for_timeout(60)
    arena.ended()
    assert len({left for left, _ in readings}) > 3
    # A reading may come between two updates, and a space at the end is not drawn. Alone, the fast one would be ahead by
    # hundreds of characters.
    leads = [abs(left - right) for left, right in readings]
    assert sum(lead > 1 for lead in leads) < len(leads) / 2
    assert max(leads) < 60


def test_nothing_can_be_chosen_before_both_have_ended(arena: Arena) -> None:
    arena.box.fill("words: 40\npace: 25")
    arena.button("Send").click()
    expect(arena.choice("A is better")).to_be_disabled()
    arena.page.locator("body").press("2")
    expect(arena.choice("A is better")).to_have_attribute("aria-pressed", "false")
    arena.ended()
    expect(arena.choice("A is better")).to_be_enabled()
    arena.page.locator("body").press("2")
    expect(arena.choice("A is better")).to_have_attribute("aria-pressed", "true")
    expect(arena.status).to_have_text("Saved")


def test_gradios_clear_cannot_be_reached(arena: Arena) -> None:
    arena.ask("say: Hello")
    expect(arena.page.get_by_role("button", name="Clear")).to_have_count(0)


# ── choosing ──


@pytest.mark.parametrize("place", range(6))
def test_every_choice_has_a_key_and_is_stored(arena: Arena, sided: Served, place: int) -> None:
    arena.ask("say: Hello")
    arena.page.locator("body").press(str(place + 1))
    expect(arena.choice(CHOICES[place])).to_have_attribute("aria-pressed", "true")
    expect(arena.status).to_have_text("Saved")
    compared = stored(sided, arena)[-1]
    assert isinstance(compared, Compared)
    left = compared.position[0]
    expected = [left, left, "tie", "both_bad", *["b" if left == "a" else "a"] * 2][place]
    assert (compared.winner, compared.strength) == (expected, (3, 2, 0, 0, 2, 3)[place])
    assert all(time is not None and 0 <= time < 60_000 for time in (compared.seen_a_ms, compared.seen_b_ms))
    assert compared.decision_ms is not None
    assert compared.decision_ms <= min(compared.seen_a_ms or 0, compared.seen_b_ms or 0)


def test_a_choice_with_reasons_survives_a_reload_and_can_be_changed_and_taken_back(arena: Arena, sided: Served) -> None:
    arena.ask("say: Hello")
    arena.choose("B is better")
    arena.page.get_by_role("group", name="Why?").locator("summary").click()
    arena.page.get_by_label("Helpful").check()
    arena.page.get_by_label("Comment (optional)").fill("Short and true.")
    arena.page.get_by_role("button", name="Save reason").click()
    expect(arena.status).to_have_text("Saved")
    arena.reload()
    expect(arena.choice("B is better")).to_have_attribute("aria-pressed", "true")
    expect(arena.page.locator(".why-given")).to_have_text("Helpful · “Short and true.”")
    arena.choose("A is much better")
    compared = stored(sided, arena)[-1]
    assert (compared.reasons, compared.comment) == (("Helpful",), "Short and true.")
    arena.choice("A is much better").click()
    expect(arena.choice("A is much better")).to_have_attribute("aria-pressed", "false")
    expect(arena.head("A")).to_have_text("Answer A")
    expect(arena.status).to_have_text("Saved")
    assert stored(sided, arena)[-1].kind == "comparison_withdrawn"


def test_the_choice_decides_what_goes_on(arena: Arena) -> None:
    arena.ask("Tell me.\nwords: 4")
    chosen = arena.side("B").locator(".message").inner_text()
    arena.box.fill("say: And then")
    arena.button("Send").click()
    expect(arena.notice).to_have_text("Choose between the two answers first; then go on.")
    arena.choose("B is better")
    arena.ask("say: And then")
    expect(arena.page.locator("#chat .bot-row")).to_have_count(1)
    assert arena.page.locator("#chat .bot-row .message").inner_text() == chosen
    expect(arena.side("A")).to_contain_text("And then")


def test_a_failed_answer_is_no_comparison_and_one_goes_on(arena: Arena, sided: Served) -> None:
    arena.ask("times: 1\nfault: 500\nsay: Hello")
    expect(arena.page.get_by_text("There is nothing to compare here.")).to_be_visible()
    expect(arena.choice("A is better")).to_have_count(0)
    heads = arena.head("A").inner_text() + arena.head("B").inner_text()
    assert heads.count("Failed") == 1
    assert axe.faults(arena.page) == []
    arena.page.get_by_role("button", name="Try again").click()
    expect(arena.choice("A is better")).to_be_enabled()
    arena.choose("About the same")
    arena.ask("say: On we go")
    assert "failed" in [getattr(payload, "status", "") for payload in stored(sided, arena)]


def test_stop_ends_both_and_writing_on_goes_on(arena: Arena) -> None:
    arena.box.fill("words: 300\npace: 30")
    arena.button("Send").click()
    expect(arena.side("A").locator(".message")).to_contain_text(re.compile(r"\w{3}"))
    arena.button("Stop").click()
    arena.ended()
    expect(arena.page.get_by_text("There is nothing to compare here.")).to_be_visible()
    arena.ask("say: After all")
    expect(arena.choice("A is better")).to_be_enabled()


def test_a_reload_while_answers_are_written_stops_nothing(arena: Arena) -> None:
    arena.box.fill("words: 60\npace: 25")
    arena.button("Send").click()
    expect(arena.side("A").locator(".message")).to_contain_text(re.compile(r"\w{3}"))
    arena.reload()
    arena.ended()
    expect(arena.choice("A is better")).to_be_enabled()


def test_a_conversation_is_resumed_from_the_sidebar(arena: Arena) -> None:
    arena.ask("say: First talk")
    arena.choose("A is better")
    arena.button("New conversation").click()
    expect(arena.page.get_by_text("What would you like to ask?")).to_be_visible()
    arena.ask("say: Second talk")
    arena.conversations.filter(has_text="First talk").click()
    expect(arena.side("A")).to_contain_text("First talk")
    expect(arena.choice("A is better")).to_have_attribute("aria-pressed", "true")


# ── for everybody ──


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_grave(new_chat: NewChat, sided: Served, width: int, dark: bool) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": "dark" if dark else "light"}
    arena = Arena(new_chat(sided, **options).page, sided.address).open()
    assert axe.faults(arena.page) == []
    arena.box.fill("words: 40\npace: 20")
    arena.button("Send").click()
    expect(arena.side("A").locator(".message")).to_contain_text(re.compile(r"\w{3}"))
    assert axe.faults(arena.page) == []
    arena.ended()
    arena.choose("B is better")
    arena.page.get_by_role("group", name="Why?").locator("summary").click()
    assert axe.faults(arena.page) == []
    arena.page.keyboard.press("?")
    expect(arena.page.get_by_role("dialog", name="Keys")).to_contain_text("A is much better")
    assert axe.faults(arena.page) == []


def test_everything_works_by_keyboard_alone(arena: Arena) -> None:
    page = arena.page
    arena.box.focus()
    page.keyboard.type("say: By keys")
    page.keyboard.press("Enter")
    arena.ended()
    expect(arena.choice("A is better")).to_be_enabled()
    page.keyboard.press("5")  # the focus is on the answers, not in the message box
    expect(arena.choice("B is better")).to_be_focused()
    expect(arena.status).to_have_text("Saved")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(".panel-why summary")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Helpful")).to_be_checked()
    page.keyboard.press("Escape")
    expect(page.locator(".panel-why summary")).to_be_focused()
    page.keyboard.press("m")
    expect(arena.box).to_be_focused()
