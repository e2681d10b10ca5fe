"""A scripted model, real servers in their own processes, and one real browser for all tests of the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from labeler.store import Store
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.chat import PATIENCE_MS, Chat
from tests.page.visitor import Visitor
from tests.served import Served

DEBIANS = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
REASONS = ["Helpful", "Wrong", "Unsafe"]
PROMPTS = ["Why is the sea salty?", "Name three stars."]
NewChat = Callable[..., Chat]

expect.set_options(timeout=20_000)


def study_of(model: ModelServer, **more: Any) -> dict[str, object]:
    """A study that the scripted model answers."""
    spec = {"name": "scripted", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
    study = {"name": "page", "title": "Kitchen talk", "models": [spec], "vote_reasons": REASONS, "prompts": PROMPTS}
    return study | {"guidelines": "**Judge kindly.** Say why."} | more


def stored(served: Served, chat: Chat) -> list[Any]:
    """The payloads stored for the conversation that the tab shows, read beside the running server."""
    with closing(Store.open(served.database)) as store:
        return [event.payload for event in store.load(chat.conversation_id())]


def kinds(served: Served, chat: Chat) -> list[str]:
    """What kinds of events they are, in order."""
    return [payload.kind for payload in stored(served, chat)]


def votes(served: Served, chat: Chat) -> list[int]:
    """The votes stored for it, withdrawals as 0."""
    given = [payload for payload in stored(served, chat) if payload.kind.startswith("vote_")]
    return [getattr(payload, "vote", 0) for payload in given]


@pytest.fixture(scope="package")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="package")
def shared(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that do not end it; every test is another annotator."""
    with QuickServed(tmp_path_factory.mktemp("shared"), study_of(model)) as served:
        yield served


@pytest.fixture(scope="module")
def mortal(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose tests may end, kill or starve it."""
    with QuickServed(tmp_path_factory.mktemp("mortal"), study_of(model)) as served:
        yield served


@pytest.fixture
def own(mortal: Served) -> Served:
    """The mortal server, alive."""
    if mortal.process is None or mortal.process.poll() is not None:
        mortal.start()
    return mortal


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. Playwright keeps an event loop running in this thread for as long: no longer than those tests last
    that need one, since there can be no second one meanwhile."""
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or (DEBIANS if Path(DEBIANS).exists() else None)
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def new_chat(browser: Browser) -> Iterator[NewChat]:
    """Opens the page as a new annotator: ``new_chat(served, locale="fr-FR", ...)``.

    When the test ends, no script error and no traceback may have been seen in any tab.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def watched(chat: Chat) -> Chat:
        chat.page.on("pageerror", lambda error: faults.append(str(error)))
        chat.page.set_default_timeout(PATIENCE_MS)
        return chat

    def new(served: Served, *, beside: Chat | None = None, **options: Any) -> Chat:
        if beside is not None:
            return watched(Chat(beside.page.context.new_page(), served.address)).open()
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        return watched(Chat(context.new_page(), served.address)).open()

    yield new
    for context in contexts:
        for page in context.pages:
            if "Traceback" in page.locator("body").inner_text():
                faults.append("a traceback is on the page")
        context.close()
    assert faults == []


@pytest.fixture
def chat(shared: Served, new_chat: NewChat) -> Chat:
    """A new annotator on the shared server."""
    return new_chat(shared)


@pytest.fixture
def visitor(shared: Served) -> Iterator[Visitor]:
    """Somebody else, without a browser."""
    visitor = Visitor(shared)
    yield visitor
    visitor.close()


@pytest.fixture(scope="package")
def author(shared: Served) -> Iterator[Visitor]:
    """An annotator without a browser who has an answer to vote on."""
    author = Visitor(shared)
    author.say("A private thought\nsay: A private answer")
    yield author
    author.close()
