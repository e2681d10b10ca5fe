"""Conversations with real local models, and pictures of every page: the chat on a desk and on a phone too."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from playwright.sync_api import Browser, expect, sync_playwright

from labeler.simulate import simulate
from labeler.store import Store
from labeler.study import parse_study
from tests.page.chat import Chat
from tests.served import Served

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
PATIENCE_MS = 180_000
SIMULATED = 400
SETTLE_MS = 1000  # the sidebar slides in


def main() -> int:
    IMAGES.mkdir(parents=True, exist_ok=True)
    study: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "local.yaml").read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder, Served(Path(folder), study) as served, sync_playwright() as playwright:
        path = os.environ["CHROMIUM"]
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        take(browser, served)
        browser.close()
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        team = team_of(study)
        with closing(Store.open(f"sqlite:///{folder}/log.db")) as store:
            store.extend(simulate(SIMULATED, study=parse_study(team)))
        with Served(Path(folder), team) as served:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            take_others(browser, served)
            browser.close()
    return 0


def team_of(study: dict[str, Any]) -> dict[str, Any]:
    """The same study with all pages, and with the one model that is there under two names."""
    (model,) = study["models"]
    models = [model, {**model, "name": "another"}]
    return {**study, "models": models, "modes": ["chat", "compare", "review"], "guidelines": ""}


def take_others(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport=DESK, locale="en-GB", color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{served.address}/compare/")
    page.get_by_label("Your message").fill("Why is the sky blue? Answer in two sentences.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#choices [data-choice=a]")).to_be_enabled(timeout=PATIENCE_MS)
    page.screenshot(path=IMAGES / "compare.png")
    page.goto(f"{served.address}/review/")
    expect(page.locator("#choices [data-choice]").first).to_be_enabled(timeout=PATIENCE_MS)
    page.wait_for_timeout(SETTLE_MS)
    page.set_viewport_size({"width": 1280, "height": 1180})
    page.screenshot(path=IMAGES / "review.png")
    page.goto(f"{served.address}/insights/")
    expect(page.locator("#standing")).to_contain_text("Up to date", timeout=PATIENCE_MS)
    page.set_viewport_size({"width": 1280, "height": 1180})
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=IMAGES / "insights.png")
    context.close()


def take(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport=DESK, locale="en-GB", color_scheme="light")
    chat = Chat(context.new_page(), served.address).open()
    talk(chat)
    expect(chat.page.locator("#sidebar .counts")).to_have_text("answers1votes1edits0comparisons0")
    chat.page.screenshot(path=IMAGES / "chat.png")
    compare(chat)
    expect(chat.page.locator("#sidebar .counts")).to_have_text("answers2votes1edits0comparisons0")
    chat.page.screenshot(path=IMAGES / "retry.png")
    state = context.storage_state()
    phone = browser.new_context(storage_state=state, viewport=PHONE, locale="en-GB", color_scheme="light")
    tab = Chat(phone.new_page(), served.address).open(f"#{chat.conversation_id()}")
    expect(tab.better).to_be_visible()
    tab.page.screenshot(path=IMAGES / "phone.png")
    phone.close()
    context.close()


def talk(chat: Chat) -> None:
    """Ask, like, and say why."""
    chat.page.set_default_timeout(PATIENCE_MS)
    chat.box.fill("Why is the sea salty? Answer in two sentences.")
    chat.button("Send").click()
    expect(chat.button("Send")).to_be_enabled(timeout=PATIENCE_MS)
    chat.vote("Like")
    expect(chat.why).to_be_visible()


def compare(chat: Chat) -> None:
    """Retry: another answer, and the question which was better."""
    chat.press("Retry")
    expect(chat.better).to_be_visible(timeout=PATIENCE_MS)
    chat.better.scroll_into_view_if_needed()


if __name__ == "__main__":
    sys.exit(main())
