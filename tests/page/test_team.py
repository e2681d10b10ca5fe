"""A team's day, by keys alone: two annotators compare, a reviewer judges what they gave, the lead looks and exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from datasets import load_dataset
from playwright.sync_api import Browser, Locator, Page, expect

from labeler.core.roles import Role
from labeler.store import Store
from labeler.store.verify import verify_log
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page import axe
from tests.page.chat import PATIENCE_MS
from tests.page.conftest import study_of
from tests.page.test_sign_in import elsewhere, make_accounts
from tests.served import Served

WORDS = {"ann": "correct horse", "ben": "battery staple", "eve": "hedgehog soup", "lea": "quiet harbour"}
ROLES: dict[str, Role] = {"ann": "annotator", "ben": "annotator", "eve": "reviewer", "lea": "admin"}
MODELS = ("crimson", "emerald", "azure")
MOST_TABS = 80
SLOW_MS = 60_000


@dataclass
class Person:
    """Somebody at a browser who has no mouse."""

    name: str
    page: Page
    served: Served
    shots: Path

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def reach(self, element: Locator) -> None:
        """Tab on until the focus is there."""
        for _ in range(MOST_TABS):
            if element.evaluate("(element) => element === document.activeElement"):
                return
            self.press("Tab")
        raise AssertionError(f"{element} cannot be reached by Tab")

    def sign_in(self, path: str) -> None:
        self.page.goto(f"{self.served.address}{path}")
        self.reach(self.page.get_by_label("Name"))
        self.type(self.name)
        self.press("Tab")
        self.type(WORDS[self.name])
        self.press("Enter")
        expect(self.page.locator("body")).to_have_attribute("data-screen", "chat", timeout=SLOW_MS)

    def go_to(self, name: str) -> None:
        self.reach(self.page.locator("#pages").get_by_role("link", name=name))
        self.press("Enter")
        self.page.wait_for_url(f"**/{name.lower()}/**")
        expect(self.page.locator("body")).to_have_attribute("data-screen", "chat", timeout=SLOW_MS)

    def saved(self) -> None:
        expect(self.page.locator("#save-status")).to_have_text("Saved")

    def looks(self, what: str) -> None:
        """A picture of what is shown, which is free of faults."""
        assert axe.faults(self.page) == []
        self.page.screenshot(path=self.shots / f"{self.name}-{what}.png")


@pytest.fixture
def team(browser: Browser, model: ModelServer, tmp_path: Path) -> Iterator[dict[str, Person]]:
    spec = {"kind": "openai", "base_url": model.base_url, "model": "scripted"}
    models = [spec | {"name": name} for name in MODELS]
    modes = ["chat", "compare", "review"]
    study = study_of(model, models=models, modes=modes, auth="password", review={"overlap": 1})
    shots = tmp_path / "shots"
    shots.mkdir()
    with QuickServed(tmp_path, study) as served:
        make_accounts(served, *((name, ROLES[name], word) for name, word in WORDS.items()))
        people = {}
        for name, scheme in zip(WORDS, ("light", "dark", "light", "dark"), strict=True):
            context = browser.new_context(
                viewport={"width": 1280, "height": 900},
                color_scheme=scheme,  # type: ignore[arg-type]
                extra_http_headers=elsewhere(),
            )
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            people[name] = Person(name, page, served, shots)
        yield people
        for person in people.values():
            person.page.context.close()


def compare(person: Person, question: str, key: str, shot: str = "") -> None:
    """Ask, wait for both answers, choose."""
    page = person.page
    person.press("Escape", "m")
    expect(page.get_by_label("Your message")).to_be_focused()
    person.type(question)
    person.press("Enter")
    choices = page.get_by_role("group", name="Which answer is better?").get_by_role("button")
    expect(page.locator("#chat .user-row").last).to_contain_text(question)
    expect(page.locator("#choices [aria-pressed=true]")).to_have_count(0)
    expect(choices.first).to_be_enabled(timeout=SLOW_MS)
    expect(page.locator("#pair")).not_to_contain_text("crimson")
    if shot:
        person.looks(f"{shot}-blind")
    page.evaluate("document.activeElement.blur()")
    person.press(key)
    expect(choices.nth(int(key) - 1)).to_have_attribute("aria-pressed", "true")
    person.saved()
    if shot:
        person.looks(f"{shot}-chosen")


def review(person: Person, key: str, shot: str = "") -> None:
    """Judge what is in hand; wait for the next, or for the word that there is none."""
    page = person.page
    expect(page.locator("#choices [data-choice]").first).to_be_enabled()
    if shot:
        person.looks(shot)
    before = page.locator("#bridge [data-view]").get_attribute("data-view")
    assert before is not None
    lease = json.loads(before)["view"]["task"]["lease"]
    person.press(key)
    person.saved()
    expect(page.locator("#bridge [data-view]")).not_to_have_attribute("data-view", before)
    page.wait_for_function(
        "(lease) => JSON.parse(document.querySelector('#bridge [data-view]').dataset.view).view.task?.lease !== lease",
        arg=lease,
    )


@pytest.mark.timeout(400)  # four people, a server, a process that counts, and an export
def test_a_team_works_through_a_day_without_a_mouse(team: dict[str, Person], tmp_path: Path) -> None:
    ann, ben, eve, lea = (team[name] for name in WORDS)

    # two annotators, at the same time
    for person in (ann, ben):
        person.sign_in("/")
        assert person.page.locator("#pages a").all_inner_texts() == ["Chat", "Compare"]
        person.go_to("Compare")
    compare(ann, "Why is the sea salty?", "1", "compare")
    compare(ben, "Why is the sky blue?", "3", "compare")
    compare(ann, "And the lakes?", "5")
    compare(ben, "And at night?", "4")

    # neither gets into what is not theirs
    ben.page.goto(f"{ben.served.address}/review/")
    expect(ben.page.get_by_text("This page is not for your account's role")).to_be_visible()

    # a reviewer, who sees no vote, no name and no model
    eve.sign_in("/review/")
    expect(eve.page.locator("#queue-counts")).to_have_text("4 to review")
    shown = eve.page.content()
    assert not any(name in shown for name in (*MODELS, "ann", "ben") if f">{name}<" in shown)
    assert not any(name in shown for name in MODELS)
    review(eve, "2", "review")
    review(eve, "5")
    review(eve, "s")
    review(eve, "3")
    expect(eve.page.locator("#nothing-to-review")).to_be_visible()
    eve.looks("review-done")

    # the lead looks, and leaves ben out
    lea.sign_in("/insights/")
    page = lea.page
    expect(page.locator("#standing")).to_contain_text("Up to date", timeout=SLOW_MS)
    annotators = page.get_by_role("table", name="Annotators")
    for name in ("ann", "ben", "eve"):
        expect(annotators).to_contain_text(name)
    lea.looks("insights")
    out = annotators.get_by_role("row", name="ben").get_by_role("button", name="Exclude")
    lea.reach(out)
    lea.press("Enter")
    lea.type("in a hurry")
    lea.looks("exclude")
    lea.press("Enter")
    lea.saved()
    expect(page.get_by_role("table", name="Excluded")).to_contain_text("in a hurry")
    expect(page.get_by_role("table", name="Excluded").get_by_role("button", name="Include")).to_be_focused()
    expect(annotators).not_to_contain_text("ben", timeout=SLOW_MS)

    stored_and_exported(lea.served, tmp_path)


def stored_and_exported(served: Served, folder: Path) -> None:
    """What they did is in the log, and what may be exported is in the package."""
    with closing(Store.open(served.database)) as store:
        kinds = Counter(event.payload.kind for event in store.scan())
        assert verify_log(store).problems == ()
    assert (kinds["pair_drawn"], kinds["compared"], kinds["review_skipped"]) == (4, 7, 1)
    assert kinds["annotator_excluded"] == 1
    package = folder / "package"
    command = [sys.executable, "-m", "labeler", "export", "--config", str(served.config), "--out", str(package)]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "LABELER_KEY": "a team's key"}
    command += ["--database", served.database, "--json"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["excluded"]["annotator_excluded"] >= 2
    rows = load_dataset(str(package), "comparisons", split="train", cache_dir=str(folder / "cache"))
    assert set(rows["winner"]) <= {"a", "b", "tie", "both_bad"}
    assert len(rows) >= 2
