"""The page as an annotator meets it: every part by its accessible name, every wait a bounded one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

# A test waits for what the page shows, not for how fast: a loaded machine may be slow and still be right.
PATIENCE_MS = 60_000
ANSWER_MS = 45_000


@dataclass(frozen=True, slots=True)
class Chat:
    """One tab."""

    page: Page
    address: str

    def open(self, fragment: str = "") -> Chat:
        self.page.goto(f"{self.address}/{fragment}")
        return self.ready()

    def reload(self) -> Chat:
        self.page.reload()
        return self.ready()

    def ready(self) -> Chat:
        """Until the server's first view is drawn."""
        expect(self.page.locator("body")).to_have_attribute(
            "data-screen", re.compile("chat|consent"), timeout=PATIENCE_MS
        )
        return self

    # ── parts ──

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Your message")

    @property
    def status(self) -> Locator:
        return self.page.locator("#save-status")

    @property
    def notice(self) -> Locator:
        return self.page.locator("#notice")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def messages(self) -> Locator:
        return self.page.locator("#chat .message-row")

    @property
    def answers(self) -> Locator:
        return self.page.locator("#chat .bot-row")

    @property
    def questions(self) -> Locator:
        return self.page.locator("#chat .user-row")

    @property
    def why(self) -> Locator:
        return self.page.get_by_role("group", name="Why?")

    @property
    def better(self) -> Locator:
        return self.page.get_by_role("group", name="Was this answer better?")

    @property
    def editor(self) -> Locator:
        return self.page.get_by_role("textbox", name="Edit message")

    @property
    def siblings(self) -> Locator:
        return self.page.get_by_role("group", name="Answers")

    @property
    def conversations(self) -> Locator:
        return self.page.get_by_role("navigation", name="Conversations").get_by_role("link")

    # ── doing ──

    def send(self, text: str, *, wait: bool = True) -> None:
        """Say something and, unless told otherwise, wait for the answer's end."""
        self.box.fill(text)
        self.button("Send").click()
        if wait:
            self.answered()
        else:
            expect(self.button("Stop")).to_be_enabled()

    def answered(self) -> None:
        expect(self.button("Send")).to_be_enabled(timeout=ANSWER_MS)

    def press(self, name: str, *, place: int = -1) -> None:
        """Press one of the buttons of that name; the last one unless told otherwise."""
        self.button(name).nth(place).click()

    def vote(self, name: str, *, place: int = -1) -> None:
        """Press a thumb and wait until it is on disk."""
        self.press(name, place=place)
        expect(self.status).to_have_text("Saved")

    def rewrite(self, text: str, *, place: int = -1) -> None:
        """Edit a message: Edit, other text, Submit."""
        self.press("Edit", place=place)
        self.editor.fill(text)
        self.press("Submit")
        self.answered()

    def conversation_id(self) -> str:
        return self.page.url.partition("#")[2]

    # ── seeing ──

    def expect_thumbs(self, *wanted: str | None) -> None:
        """One of "Like", "Dislike", None for each answer, top to bottom."""
        for name in ("Like", "Dislike"):
            thumbs = self.button(name)
            expect(thumbs).to_have_count(len(wanted))
            for place, choice in enumerate(wanted):
                expect(thumbs.nth(place)).to_have_attribute("aria-pressed", str(choice == name).lower())

    def expect_answers(self, *texts: str) -> None:
        """The texts of the visible answers, buttons and lines left out."""
        expect(self.page.locator("#chat [data-testid=bot]")).to_have_text(list(texts))

    def expect_questions(self, *texts: str) -> None:
        expect(self.page.locator("#chat [data-testid=user]")).to_have_text([re.compile(re.escape(t)) for t in texts])
