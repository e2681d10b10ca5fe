"""Whatever an annotator does, in whatever order: what the tab shows is what a reload shows, and what the log says."""

from __future__ import annotations

import random
import time
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import expect

from labeler.core.folding import replay
from labeler.store import Store
from tests.page.chat import Chat
from tests.served import Served

GESTURES = 120
# Presses one of the buttons that can be pressed now, by the two numbers that chance gave; says which.
PRESS = """([kind, place]) => {
  const names = ["Like", "Dislike", "Retry", "Undo", "Edit", "Submit", "Cancel", "Clear", "Previous answer",
    "Next answer", "Previous version", "Next version", "Better", "About the same", "Worse", "Save reason", "Stop",
    "New conversation", "Send"];
  const name = (b) => b.dataset.vote ? b.title.slice(0, 4) === "Like" ? "Like" : "Dislike"
    : b.getAttribute("aria-label") ?? b.textContent.trim();
  const all = "#chat button, #actions button, #sidebar-facts nav a, #chat .reasons input";
  const there = [...document.querySelectorAll(all)]
    .filter((b) => !b.disabled && b.checkVisibility() && (b.tagName !== "BUTTON" || names.includes(name(b))));
  const group = (b) => b.tagName === "BUTTON" ? name(b) : b.tagName;
  const kinds = [...new Set(there.map(group))].sort();
  const wanted = kinds[Math.floor(kind * kinds.length)];
  const ones = there.filter((b) => group(b) === wanted);
  const one = ones[Math.floor(place * ones.length)];
  one?.click();
  return wanted ?? "";
}"""
# Writes into the editor, if one is open now.
REWRITE = """(text) => {
  const editor = document.querySelector("#chat textarea.edit-textarea");
  if (editor) editor.value = text;
  editor?.dispatchEvent(new Event("input", { bubbles: true }));
}"""
# Everything that can be seen of each message.
SEEN = """() => [...document.querySelectorAll("#chat .message-row")].map((row, place) => {
  const buttons = document.querySelectorAll("#chat .message-buttons")[place];
  const pressed = (all) => [...(buttons?.querySelectorAll(all) ?? [])].map((each) => each.getAttribute("aria-pressed"));
  return {
    id: row.dataset.message, status: row.dataset.status, text: row.querySelector("[data-testid]")?.innerText ?? null,
    editor: row.querySelector("textarea")?.value ?? null, place: buttons?.querySelector(".place")?.textContent ?? null,
    thumbs: pressed("[data-vote]"), compared: pressed(".panel-compare button"),
    reasons: buttons?.querySelector(".why-given")?.textContent ?? null,
  };
})"""


def gesture(chat: Chat, chance: random.Random) -> None:
    """Say something, write into an open editor, or press anything that can be pressed."""
    if chance.random() < 0.15 and chat.button("Send").is_enabled():
        pace = "pace: 6\n" if chance.random() < 0.3 else ""
        chat.box.fill(f"{pace}say: {chance.random()} or so, as was said for the time {{attempt}}")
        chat.page.evaluate("document.getElementById('send').click()")
    elif chance.random() < 0.4:
        chat.page.evaluate(REWRITE, f"Rewritten {chance.random()}")
    else:
        chat.page.evaluate(PRESS, [chance.random(), chance.random()])
    time.sleep(chance.choice((0, 0.02, 0.2)))


def settled(chat: Chat) -> list[dict[str, Any]]:
    """What is seen when nothing is under way any more."""
    chat.answered()
    expect(chat.status).not_to_have_text("Saving")
    before: object = None
    while (now := chat.page.evaluate(SEEN)) != before:
        before = now
        time.sleep(0.5)
    return list(now)


@pytest.mark.parametrize("seed", range(3))
def test_a_tab_shows_what_a_reload_shows_after_any_gestures(shared: Served, chat: Chat, seed: int) -> None:
    chance = random.Random(seed)
    chat.send("say: To begin with")
    for _ in range(GESTURES):
        gesture(chat, chance)
    seen = settled(chat)
    chat.reload()
    assert settled(chat) == seen
    with closing(Store.open(shared.database)) as store:
        conversation = replay(chat.conversation_id(), store.load(chat.conversation_id()))
    assert [message.id for message in conversation.visible()] == [each["id"] for each in seen]
