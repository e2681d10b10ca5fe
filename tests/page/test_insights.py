"""The page Insights, as who looks after a study uses it: read, ask otherwise, leave somebody out, take it back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from labeler.simulate import simulate
from labeler.store import Store
from labeler.study import parse_study
from tests.export import tell
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page import axe
from tests.page.chat import PATIENCE_MS
from tests.page.conftest import study_of
from tests.page.test_sign_in import ANN, BOB, elsewhere, fill, make_accounts
from tests.served import Served
from tests.stories import told

MODES = ["chat", "compare", "review"]
COUNTING_MS = 60_000  # a process begins, and loads what statistics need


def two_models(model: ModelServer, **more: Any) -> dict[str, object]:
    spec = {"kind": "openai", "base_url": model.base_url, "model": "scripted"}
    return study_of(model, modes=MODES, **more) | {"models": [{"name": name, **spec} for name in ("red", "blue")]}


def fill_log(folder: Path, study: dict[str, object], conversations: int = 120) -> None:
    with closing(Store.open(f"sqlite:///{folder}/log.db")) as store:
        store.extend(simulate(conversations, study=parse_study(study)))


@pytest.fixture(scope="module")
def served(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("insights")
    study = two_models(model)
    fill_log(folder, study)
    with QuickServed(folder, study) as served:
        yield served


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = opened(context.new_page(), served)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


def opened(page: Page, served: Served) -> Page:
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{served.address}/insights")
    expect(page.locator("#standing")).to_contain_text("Up to date", timeout=COUNTING_MS)
    return page


def section(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title)


def rows(place: Locator) -> Locator:
    return place.locator("tbody").first.locator("tr")


def stored(served: Served, kind: str) -> list[Any]:
    with closing(Store.open(served.database)) as store:
        return list(store.of_kind(kind))


# ── what it says ──


def test_it_says_how_far_people_agree(page: Page) -> None:
    place = section(page, "Do people agree?")
    expect(place.get_by_role("row", name=re.compile("^Comparisons [0-9]"))).to_contain_text(re.compile(r"0\.\d\d to"))
    expect(place.get_by_role("row", name=re.compile("^Comparisons, by strength"))).to_contain_text("A much")
    expect(place.get_by_role("row", name=re.compile("^Votes"))).to_contain_text("like")
    expect(place.get_by_role("row", name=re.compile("^Reason: Helpful"))).to_be_visible()
    place.get_by_text(re.compile("^Two by two:")).click()
    expect(place.get_by_role("table", name="Two by two")).to_contain_text(" and ")


def test_it_ranks_the_models_and_says_how_little_it_hangs_on(page: Page) -> None:
    place = section(page, "Which model is better?")
    expect(rows(place).locator("th")).to_have_text(["simulated-large", "simulated-medium", "simulated-small"])
    expect(place.locator("#flips")).to_contain_text(re.compile("First place does not hang|Another model is first"))
    expect(place.locator("#sides")).to_contain_text(re.compile(r"The left answer was preferred \d+ % of the time"))
    place.get_by_text("Votes per pair of models").click()
    expect(place.get_by_role("table", name="Votes per pair")).to_contain_text("simulated-large and simulated-small")


def test_ratings_are_asked_for_otherwise_and_come_by_themselves(page: Page) -> None:
    place = section(page, "Which model is better?")
    before = place.get_by_role("table", name="Models").inner_text()
    place.get_by_label("what length adds").check()
    expect(place.get_by_role("table", name="Models")).not_to_have_text(before, use_inner_text=True, timeout=COUNTING_MS)
    expect(place.get_by_label("what length adds")).to_be_checked()
    place.get_by_label("what length adds").uncheck()
    expect(place.get_by_role("table", name="Models")).to_have_text(before, use_inner_text=True, timeout=COUNTING_MS)


def test_it_shows_what_was_given_and_when(page: Page) -> None:
    place = section(page, "What was given?")
    expect(place.get_by_role("img", name=re.compile(r"^Votes and comparisons by day: [\d,]+ on"))).to_be_visible()
    expect(place.get_by_role("img", name=re.compile(r"^Agreement on comparisons by week"))).to_be_visible()
    place.get_by_text("Votes and comparisons by day: the numbers").click()
    expect(place.get_by_role("table", name="Votes and comparisons by day")).to_contain_text("2025-01-06")
    expect(place.get_by_role("table", name="Reasons")).to_contain_text("Helpful")


def test_annotators_whose_words_are_worth_a_look_come_first(page: Page) -> None:
    place = section(page, "Who are the annotators?")
    expect(rows(place)).to_have_count(8)
    marked = rows(place).filter(has_text="look at this").count()
    shown = [float(text.replace("−", "-")) for text in rows(place).locator("td:nth-child(7)").all_inner_texts()]
    assert shown[marked:] == sorted(shown[marked:])


def test_a_log_that_grows_is_counted_again_by_itself(browser: Browser, model: ModelServer, tmp_path: Path) -> None:
    with QuickServed(tmp_path, two_models(model)) as served:
        page = opened(browser.new_context().new_page(), served)
        expect(page.get_by_text("Nobody has judged anything yet.")).to_be_visible()
        expect(page.get_by_text("Nobody has compared answers of two models yet.")).to_be_visible()
        assert axe.faults(page) == []
        with closing(Store.open(served.database)) as store:
            tell(store, told("ann").asks("Why?").answers("One.").likes())
        expect(rows(section(page, "Who are the annotators?"))).to_have_count(1, timeout=COUNTING_MS)
        page.context.close()


# ── leaving somebody out ──


def test_an_exclusion_is_followed_and_reversed(page: Page, served: Served) -> None:
    place = section(page, "Who are the annotators?")
    name = rows(place).first.locator("code").inner_text()
    models = section(page, "Which model is better?").get_by_role("table", name="Models")
    before = models.inner_text()
    rows(place).first.get_by_role("button", name="Exclude").click()
    dialog = page.get_by_role("dialog", name="Exclude this annotator?")
    expect(dialog).to_contain_text(name)
    expect(dialog.get_by_label("Reason (optional)")).to_be_focused()
    assert axe.faults(page) == []
    dialog.get_by_label("Reason (optional)").fill("answers at random")
    page.keyboard.press("Enter")
    expect(page.locator("#save-status")).to_have_text("Saved")
    out = place.get_by_role("table", name=re.compile("^Excluded"))
    expect(out).to_contain_text("answers at random")
    expect(rows(place)).to_have_count(7)
    expect(models).not_to_have_text(before, use_inner_text=True, timeout=COUNTING_MS)
    (event,) = stored(served, "annotator_excluded")
    assert (event.conversation_id, event.payload.reason) == (name, "answers at random")
    out.get_by_role("button", name="Include").click()
    expect(rows(place)).to_have_count(8, timeout=COUNTING_MS)
    expect(models).to_have_text(before, use_inner_text=True, timeout=COUNTING_MS)
    assert [event.conversation_id for event in stored(served, "annotator_included")] == [name]


def test_a_dialog_that_is_closed_excludes_nobody(page: Page, served: Served) -> None:
    before = len(stored(served, "annotator_excluded"))
    rows(section(page, "Who are the annotators?")).first.get_by_role("button", name="Exclude").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.wait_for_timeout(500)
    assert len(stored(served, "annotator_excluded")) == before


# ── whose page it is ──


def test_reviewers_read_and_admins_decide_and_annotators_get_neither(
    browser: Browser, model: ModelServer, tmp_path: Path
) -> None:
    study = two_models(model, auth="password")
    fill_log(tmp_path, study, 40)
    with QuickServed(tmp_path, study) as served:
        make_accounts(served, ("ann", "annotator", ANN), ("bob", "reviewer", BOB))
        page = browser.new_context(extra_http_headers=elsewhere()).new_page()
        page.goto(f"{served.address}/insights")
        fill(page, "bob", BOB)
        expect(page.locator("#standing")).to_contain_text("Up to date", timeout=COUNTING_MS)
        expect(page.get_by_role("button", name="Exclude")).to_have_count(0)
        expect(page.locator("#pages a")).to_have_text(["Chat", "Compare", "Review", "Insights"])
        page.context.close()
        page = browser.new_context(extra_http_headers=elsewhere()).new_page()
        page.goto(f"{served.address}/insights")
        fill(page, "ann", ANN)
        expect(page.get_by_text("This page is not for your account's role")).to_be_visible()
        page.context.close()


def test_where_anybody_may_come_in_from_elsewhere_there_is_no_such_page(model: ModelServer, tmp_path: Path) -> None:
    with QuickServed(tmp_path, study_of(model), "--host", "0.0.0.0", "--allow-anonymous") as served:
        address = f"http://127.0.0.1:{served.port}"
        assert httpx.get(f"{address}/insights/").status_code == 404
        assert '"insights"' not in httpx.get(f"{address}/").text


# ── looks and keys ──


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_has_no_accessibility_faults(browser: Browser, served: Served, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = opened(context.new_page(), served)
    for summary in page.locator("#figures summary").all():
        summary.click()
    assert axe.faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def test_it_is_used_by_keys_alone(page: Page) -> None:
    page.locator("#sidebar-top a").last.focus()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 60)"))
    assert any("data-wish" in element for element in reached)
    assert any("<summary" in element for element in reached)
    assert any("data-exclude" in element for element in reached)
    assert any("table-room" in element for element in reached)
    page.locator("[data-wish=style]").focus()
    page.keyboard.press("Space")
    expect(page.locator("[data-wish=style]")).to_be_checked()
    expect(page.locator("#standing")).to_contain_text("Up to date", timeout=COUNTING_MS)
    expect(page.locator("[data-wish=style]")).to_be_focused()


def test_what_was_folded_out_stays_so_when_the_page_is_drawn_anew(page: Page) -> None:
    page.get_by_text("Votes per pair of models").click()
    page.get_by_label("what Markdown adds").check()
    expect(page.get_by_label("what Markdown adds")).to_be_checked()
    page.wait_for_timeout(3000)
    expect(page.get_by_role("table", name="Votes per pair")).to_be_visible()


def test_the_help_names_no_keys_that_do_nothing_here(page: Page) -> None:
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("This help")
    expect(dialog).not_to_contain_text("Send the message")
