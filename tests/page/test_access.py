"""Everybody can use the page: by keyboard alone, with a screen reader, on a phone, in any browser language."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.model_server import ModelServer
from tests.page.axe import faults
from tests.page.chat import Chat
from tests.page.conftest import NewChat, kinds
from tests.served import Served

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LOOKS = [
    pytest.param({"color_scheme": scheme, "viewport": size}, id=f"{scheme}-{size['width']}")
    for scheme in ("light", "dark")
    for size in (WIDE, PHONE)
]
CODE = "say: Like this:\\n\\n```python\\ndef f(x):\\n    # a comment\\n    return [x, 'text', 1.5, None]\\n```\\n\\n"


def focused(page: Page) -> str:
    """What has the focus, as a screen reader would name it."""
    name: str = page.evaluate(
        """() => {
          const it = document.activeElement;
          const by = document.getElementById(it.getAttribute("aria-labelledby"));
          return (by?.textContent ?? it.getAttribute("aria-label") ?? it.textContent ?? it.tagName).trim();
        }"""
    )
    return name


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_grave_from_an_empty_page_to_a_full_one(
    shared: Served, new_chat: NewChat, model: ModelServer, look: dict[str, object]
) -> None:
    chat = new_chat(shared, **look)
    found = {"empty": faults(chat.page)}
    chat.send(
        f"{CODE}and [a link](https://example.org), `code` and more words to come\ngate: axe-{id(look)} 12", wait=False
    )
    expect(chat.answers).to_contain_text("Like this")
    found["streaming"] = faults(chat.page)
    model.release(f"axe-{id(look)}")
    chat.answered()
    chat.vote("Dislike")
    chat.why.get_by_label("Wrong").check()
    chat.press("Retry")
    chat.answered()
    chat.send("say: one two\nfault: die-after 1")
    chat.vote("Like")
    expect(chat.why.first).to_be_visible()
    found["voted with panels"] = faults(chat.page)
    chat.press("Edit")
    found["editing"] = faults(chat.page)
    chat.page.keyboard.press("Escape")
    chat.page.locator("body").press("?")
    found["help"] = faults(chat.page)
    chat.page.keyboard.press("Escape")
    chat.button("Toggle Sidebar").click()
    chat.page.wait_for_timeout(400)
    found["sidebar turned"] = faults(chat.page)
    assert {state: lines for state, lines in found.items() if lines} == {}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_grave_while_the_server_is_down(
    own: Served, new_chat: NewChat, look: dict[str, object]
) -> None:
    chat = new_chat(own, **look)
    chat.send("say: One")
    own.kill()
    chat.press("Like")
    expect(chat.status).to_have_text("Not saved")
    chat.page.wait_for_timeout(500)
    assert faults(chat.page) == []


def test_a_retry_asks_in_a_way_axe_accepts(chat: Chat) -> None:
    chat.send("axe on comparisons\nsay: Take {attempt}")
    chat.press("Retry")
    chat.answered()
    chat.better.get_by_role("button", name="Better").click()
    expect(chat.better.locator("[aria-pressed=true]")).to_have_count(1)
    assert faults(chat.page) == []


@pytest.mark.parametrize("locale", ["fr-FR", "ar", "ja-JP"])
def test_names_are_english_whatever_the_browsers_language(shared: Served, new_chat: NewChat, locale: str) -> None:
    chat = new_chat(shared, locale=locale)
    chat.send("say: One")
    for name in ("Send", "Stop", "New conversation", "Like", "Dislike", "Retry", "Undo", "Clear"):
        expect(chat.button(name)).to_have_count(1)
    expect(chat.button("Edit")).to_have_count(2)
    chat.press("Edit")
    for name in ("Submit", "Cancel"):
        expect(chat.button(name)).to_have_count(1)


def test_a_whole_session_by_keyboard_alone(shared: Served, chat: Chat) -> None:
    page, keys = chat.page, chat.page.keyboard

    def tab_to(name: str, limit: int = 40) -> None:
        for _ in range(limit):
            if focused(page) == name:
                return
            keys.press("Tab")
        raise AssertionError(f"no '{name}' within {limit} tabs; focus is on '{focused(page)}'")

    chat.box.focus()
    keys.type("by keyboard alone")
    keys.press("Shift+Enter")
    keys.type("say: Take {attempt}")
    keys.press("Enter")
    chat.answered()
    expect(chat.box).to_be_focused()
    for name in ("Dislike", "Like"):
        page.locator("#chat [role=log]").focus()
        tab_to(name)
        keys.press("Enter")
        expect(chat.status).to_have_text("Saved")
        assert focused(page) == name
    tab_to("Why?")
    keys.press("Tab")
    keys.press("Space")
    tab_to("Save reason")
    keys.press("Enter")
    expect(chat.status).to_have_text("Saved")
    page.locator("#chat [role=log]").focus()
    tab_to("Retry")
    keys.press("Enter")
    chat.answered()
    expect(page.locator("body")).not_to_be_focused()
    tab_to("Better")
    keys.press("Space")
    expect(chat.better.locator("[aria-pressed=true]")).to_have_text("Better")
    page.locator("#chat [role=log]").focus()
    tab_to("Previous answer")
    keys.press("Enter")
    chat.expect_answers("Take 1")
    assert focused(page) in ("Previous answer", "Next answer", "Your message", "")
    assert kinds(shared, chat)[4:] == [
        "vote_cast",
        "vote_cast",
        "reason_given",
        "reply_started",
        "reply_finished",
        "compared",
        "answer_selected",
    ]


def test_focus_survives_buttons_that_are_disabled_and_lists_that_are_drawn_anew(chat: Chat) -> None:
    keys = chat.page.keyboard
    chat.send("say: One")
    chat.button("New conversation").click()
    expect(chat.answers).to_have_count(0)
    chat.box.fill("words: 300\npace: 30")
    chat.button("Send").focus()
    keys.press("Enter")
    expect(chat.button("Stop")).to_be_enabled()
    expect(chat.box).to_be_focused()
    chat.button("Stop").focus()
    keys.press("Enter")
    chat.answered()
    expect(chat.box).to_be_focused()
    other = chat.conversations.filter(has_text="say: One")
    other.focus()
    keys.press("Enter")
    chat.expect_answers("One")
    expect(other).to_have_attribute("aria-current", "true")
    expect(other).to_be_focused()


def test_letters_act_on_the_last_answer_outside_text_boxes(chat: Chat) -> None:
    chat.send("letters\nsay: Take {attempt}")
    keys = chat.page.keyboard
    chat.page.locator("#chat [role=log]").focus()
    keys.press("l")
    expect(chat.status).to_have_text("Saved")
    chat.expect_thumbs("Like")
    keys.press("d")
    chat.expect_thumbs("Dislike")
    keys.press("d")
    chat.expect_thumbs(None)
    keys.press("r")
    chat.answered()
    chat.expect_answers("Take 2")
    keys.press("e")
    edited = chat.editor
    expect(edited).to_be_focused()
    keys.type("dull")
    expect(edited).to_have_value("Take 2dull")
    keys.press("Escape")
    expect(edited).to_have_count(0)
    keys.press("u")
    expect(chat.messages).to_have_count(0)
    expect(chat.box).to_have_value("letters\nsay: Take {attempt}")
    chat.box.fill("")
    chat.page.locator("#chat [role=log]").focus()
    keys.press("n")
    expect(chat.box).to_be_focused()
    keys.type("lrn?")
    expect(chat.box).to_have_value("lrn?")
    expect(chat.page).to_have_url(re.compile("#new$"))


def test_letters_go_on_acting_after_a_retry_however_long_it_takes(chat: Chat) -> None:
    chat.send("letters after a slow retry\nsay: Take {attempt} of a few words more\npace: 6")
    chat.page.locator("#chat [role=log]").focus()
    chat.page.keyboard.press("r")
    expect(chat.button("Stop")).to_be_enabled()
    chat.answered()
    chat.page.keyboard.press("l")
    chat.expect_thumbs("Like")
    expect(chat.box).to_have_value("")


def test_help_opens_on_a_question_mark_and_gives_focus_back(chat: Chat) -> None:
    chat.send("say: One")
    chat.button("Like").focus()
    chat.page.keyboard.press("?")
    help_dialog = chat.page.get_by_role("dialog", name="Keys")
    expect(help_dialog).to_contain_text("Retry: get another answer")
    chat.page.keyboard.press("l")
    chat.page.keyboard.press("Escape")
    expect(help_dialog).to_have_count(0)
    expect(chat.button("Like")).to_be_focused()
    chat.expect_thumbs(None)


def test_a_wide_table_scrolls_on_a_phone_and_breaks_no_word(shared: Served, new_chat: NewChat) -> None:
    chat = new_chat(shared, viewport=PHONE)
    words = ["vegetables", "temperature", "preparation", "ingredients", "nourishment"]
    lines = [f"| {' | '.join(cells)} |" for cells in (words, ["---"] * 5, words)]
    chat.send("say: " + "\\n".join(lines))
    table = chat.answers.get_by_role("table")
    heights = table.get_by_text(words[0]).evaluate_all("cells => cells.map((cell) => cell.clientHeight)")
    assert max(heights) < 60  # one line each
    assert table.evaluate("table => table.scrollWidth > table.clientWidth")
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert faults(chat.page) == []


def test_what_is_written_from_right_to_left_is_read_so(chat: Chat) -> None:
    chat.send("say: \u0645\u0631\u062d\u0628\u0627!\\n\\nHello!")
    right_to_left, left_to_right = chat.answers.locator("p").evaluate_all(
        """paragraphs => paragraphs.map((paragraph) => {
          const text = paragraph.firstChild;
          const range = document.createRange();
          range.setStart(text, text.length - 1);
          range.setEnd(text, text.length);
          const [mark, line] = [range.getBoundingClientRect(), paragraph.getBoundingClientRect()];
          return { before: mark.left - line.left, after: line.right - mark.right };
        })"""
    )
    assert right_to_left["after"] > 20  # its last mark stands left of its letters, which begin at the right edge
    assert right_to_left["before"] > 200
    assert left_to_right["before"] > 20
    assert left_to_right["before"] < 100


def test_a_dialog_fits_a_phone(shared: Served, new_chat: NewChat) -> None:
    chat = new_chat(shared, viewport=PHONE)
    chat.page.locator("body").press("?")
    box = chat.page.get_by_role("dialog", name="Keys").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]


def test_shortcuts_of_the_browser_are_left_alone(chat: Chat) -> None:
    chat.send("say: One")
    chat.page.locator("#chat [role=log]").focus()
    for keys in ("Control+l", "Alt+d", "Control+r"):
        chat.page.keyboard.down(keys.split("+")[0])
        chat.page.evaluate(
            "([key, control]) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
            " {key, ctrlKey: control, altKey: !control, bubbles: true}))",
            [keys[-1], keys.startswith("Control")],
        )
        chat.page.keyboard.up(keys.split("+")[0])
    chat.expect_thumbs(None)


def test_on_a_phone_the_sidebar_starts_closed_takes_no_focus_and_opens_over_the_chat(
    shared: Served, new_chat: NewChat
) -> None:
    chat = new_chat(shared, viewport=PHONE, has_touch=True, is_mobile=True)
    sidebar = chat.page.locator("#sidebar")
    expect(sidebar).not_to_have_class(re.compile(r"\bopen\b"))
    for _ in range(12):
        chat.page.keyboard.press("Tab")
        assert chat.page.evaluate("document.activeElement.closest('.sidebar-content') === null")
    chat.send("say: One")
    chat.button("Like").tap()
    expect(chat.status).to_have_text("Saved")
    chat.button("New conversation").tap()
    chat.button("Toggle Sidebar").tap()
    expect(sidebar).to_have_class(re.compile(r"\bopen\b"))
    chat.conversations.first.tap()
    expect(sidebar).not_to_have_class(re.compile(r"\bopen\b"))
    chat.expect_answers("One")
    chat.expect_thumbs("Like")
    width = chat.page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]


def test_where_there_is_room_the_sidebar_starts_open_and_remembers_being_closed(chat: Chat) -> None:
    sidebar = chat.page.locator("#sidebar")
    expect(sidebar).to_have_class(re.compile(r"\bopen\b"))
    chat.button("Toggle Sidebar").click()
    chat.reload()
    chat.page.wait_for_timeout(600)
    expect(sidebar).not_to_have_class(re.compile(r"\bopen\b"))
