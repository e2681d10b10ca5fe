"""The page Review, as a reviewer uses it: blind, one item at a time, by roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from labeler.core.roles import Role
from labeler.store import Store
from tests.export import tell
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page import axe
from tests.page.chat import PATIENCE_MS
from tests.page.conftest import study_of
from tests.page.test_sign_in import elsewhere, fill, make_accounts, sign_in
from tests.served import Served
from tests.stories import told

WORDS = {"ann": "correct horse", "bob": "battery staple", "eve": "hedgehog soup"}
ROLES: dict[str, Role] = {"ann": "annotator", "bob": "reviewer", "eve": "reviewer"}
FIRST = "Rivers carry salt."


def log_in(folder: Path, items: int) -> None:
    """A log with pairs that somebody judged, and one answer that somebody liked."""
    with closing(Store.open(f"sqlite:///{folder}/log.db")) as store:
        for number in range(items):
            tell(store, told("owner", f"c{number}").asks(f"Question {number}").answers(FIRST).retries("Fish.").better())
        tell(store, told("owner", "d1").asks("Which way is north?").answers("Up.").likes())


@pytest.fixture
def reviewed(model: ModelServer, tmp_path: Path) -> Iterator[Served]:
    log_in(tmp_path, 3)
    study = study_of(model, auth="password", modes=["chat", "review"], review={"overlap": 1})
    with QuickServed(tmp_path, study) as served:
        make_accounts(served, *((name, ROLES[name], WORDS[name]) for name in WORDS))
        yield served


def signed_in(browser: Browser, served: Served, name: str, **options: Any) -> Page:
    page = browser.new_context(extra_http_headers=elsewhere(), **options).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{served.address}/review")
    fill(page, name, WORDS[name])
    expect(page.locator("body")).to_have_attribute("data-screen", "chat", timeout=20_000)
    return page


def stored(served: Served, kind: str) -> list[Any]:
    with closing(Store.open(served.database)) as store:
        return [event for event in store.scan() if event.payload.kind == kind]


def choice(page: Page, name: str) -> Locator:
    return page.locator("#choices").get_by_role("button", name=name, exact=True)


def question(page: Page) -> str:
    return page.locator("#chat .user-row").inner_text()


def test_a_reviewer_works_through_the_queue(browser: Browser, reviewed: Served) -> None:
    page = signed_in(browser, reviewed, "bob")
    assert page.url == f"{reviewed.address}/review/"
    expect(page.locator("#queue-counts")).to_have_text("4 to review")
    seen = []
    for key in ("1", "s", "5"):
        expect(choice(page, "A is much better")).to_be_enabled()
        seen.append(question(page))
        page.keyboard.press(key)
        expect(page.locator("#chat .user-row")).not_to_have_text(seen[-1])
        expect(page.locator("#save-status")).to_have_text("Saved")
    assert sorted(seen) == ["Question 0", "Question 1", "Question 2"]
    expect(page.get_by_role("heading", name="Is this answer good?")).to_be_visible()
    page.get_by_role("button", name="Bad").click()
    expect(page.get_by_text("There is nothing for you to review now.")).to_be_visible()
    assert [event.payload.vote for event in stored(reviewed, "vote_cast")] == [1, -1]
    assert len(stored(reviewed, "review_skipped")) == 1
    reviews = [event.payload for event in stored(reviewed, "compared")][3:]
    assert sorted(review.strength for review in reviews) == [2, 3]
    assert all(review.decision_ms is not None for review in reviews)


def test_the_first_vote_is_nowhere_on_the_page(browser: Browser, reviewed: Served) -> None:
    page = signed_in(browser, reviewed, "bob")
    expect(choice(page, "A is better")).to_be_enabled()
    held = page.content() + str(page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])"))
    assert "owner" not in held
    assert "compared" not in held
    assert page.locator("#choices [aria-pressed=true]").count() == 0


def test_a_reload_shows_the_same_item_on_the_same_sides(browser: Browser, reviewed: Served) -> None:
    page = signed_in(browser, reviewed, "bob")
    expect(choice(page, "A is better")).to_be_enabled()
    before = question(page), page.locator("#left").inner_text()
    page.reload()
    expect(choice(page, "A is better")).to_be_enabled()
    assert (question(page), page.locator("#left").inner_text()) == before


def test_two_reviewers_are_never_given_the_same_when_one_is_enough(browser: Browser, reviewed: Served) -> None:
    pages = [signed_in(browser, reviewed, name) for name in ("bob", "eve")]
    for page in pages:
        expect(choice(page, "A is better")).to_be_enabled()
    assert question(pages[0]) != question(pages[1])


def test_flags_and_reasons_are_stored(browser: Browser, reviewed: Served) -> None:
    page = signed_in(browser, reviewed, "bob")
    expect(choice(page, "A is better")).to_be_enabled()
    before = question(page)
    page.locator(".panel-why summary").click()
    page.get_by_label("Wrong").check()
    page.get_by_label("Comment (optional)").fill("Fish do not sweat.")
    page.get_by_role("button", name="Keep reason").click()
    page.keyboard.press("2")
    expect(page.locator("#chat .user-row")).not_to_have_text(before)
    expect(page.locator("#save-status")).to_have_text("Saved")
    page.get_by_role("group", name="Flag").get_by_role("button", name="Personal data").click()
    expect(page.locator("#queue-counts")).to_contain_text("1 flagged")
    compared = stored(reviewed, "compared")[-1].payload
    assert (compared.reasons, compared.comment) == (("Wrong",), "Fish do not sweat.")
    (flagged,) = stored(reviewed, "answers_flagged")
    assert (flagged.payload.flag, flagged.payload.comment) == ("personal_data", "")


def test_a_flag_is_adjudicated_by_somebody_else_who_sees_what_was_said(browser: Browser, reviewed: Served) -> None:
    bob = signed_in(browser, reviewed, "bob")
    expect(choice(bob, "A is better")).to_be_enabled()
    flagged = question(bob)
    bob.get_by_role("group", name="Flag").get_by_role("button", name="Unsafe").click()
    expect(bob.locator("#queue-counts")).to_contain_text("1 flagged")
    bob.get_by_role("button", name="To adjudicate").click()
    expect(bob.get_by_text("There is nothing for you to adjudicate now.")).to_be_visible()
    eve = signed_in(browser, reviewed, "eve")
    eve.get_by_role("button", name="To adjudicate").click()
    expect(eve.get_by_role("list", name="What was said").get_by_role("listitem")).to_have_count(2)
    assert question(eve) == flagged
    expect(eve.get_by_text("Flagged: unsafe")).to_be_visible()
    assert "bob" not in eve.locator("#choices").inner_text()
    assert axe.faults(eve) == []
    eve.get_by_role("button", name="Make nothing of it").click()
    expect(eve.get_by_text("There is nothing for you to adjudicate now.")).to_be_visible()
    (ruling,) = stored(reviewed, "adjudicated")
    assert ruling.payload.verdict == "void"


def test_the_page_is_for_reviewers(browser: Browser, reviewed: Served) -> None:
    with httpx.Client(base_url=reviewed.address, headers=elsewhere()) as client:
        for path in ("/review", "/review/"):
            assert client.get(path, follow_redirects=True).url.params["to"] == "review"
        sign_in(client, "ann", WORDS["ann"])
        assert client.get("/review/").status_code == 403
        assert "not for your account's role" in client.get("/review/").text.replace("&#x27;", "'")
        for path in ("/review/config", "/review/gradio_api/startup-events", "/review/gradio_api/info"):
            assert client.get(path).status_code in (401, 403, 404)
        queue = client.post("/review/gradio_api/queue/join", json={"data": [None, None], "fn_index": 0})
        assert queue.status_code in (401, 403)
        said = client.post("/api/gesture", json={"kind": "review", "nonce": "n" * 16, "lease": "x", "choice": "a"})
        assert said.status_code == 422
        assert "another role than yours" in said.json()["error"]


def test_links_to_pages_are_those_of_the_role(browser: Browser, reviewed: Served) -> None:
    page = signed_in(browser, reviewed, "bob")
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_text(
        ["Chat", "Review", "Insights"]
    )
    page.context.clear_cookies()
    page.goto(reviewed.address)
    fill(page, "ann", WORDS["ann"])
    expect(page.locator("#account-name")).to_have_text("ann")
    expect(page.get_by_role("navigation", name="Pages")).to_have_count(0)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_grave(browser: Browser, reviewed: Served, width: int, dark: bool) -> None:
    scheme: Any = "dark" if dark else "light"
    page = signed_in(browser, reviewed, "bob", viewport={"width": width, "height": 800}, color_scheme=scheme)
    expect(choice(page, "A is better")).to_be_enabled()
    assert axe.faults(page) == []
    page.locator(".panel-why summary").click()
    assert axe.faults(page) == []
    for key in ("1", "1", "1"):
        before = question(page)
        page.locator("body").press(key)
        expect(page.locator("#chat .user-row")).not_to_have_text(before)
    assert axe.faults(page) == []
    page.keyboard.press("1")
    expect(page.get_by_text("There is nothing for you to review now.")).to_be_visible()
    assert axe.faults(page) == []
