"""The database is away while people are signed in: they stay it, and what they do is kept until it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from labeler.accounts.sessions import TRUSTED_SECONDS
from labeler.core.events import VoteCast
from labeler.page.gate import UNTOLD
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.conftest import stored, study_of
from tests.page.test_sign_in import ANN, client_of, make_accounts, sign_in, signed_in
from tests.postgres_server import PostgresServer
from tests.served import Served


@pytest.fixture
def mortal_database() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to stop and start."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def closed(mortal_database: PostgresServer, model: ModelServer, tmp_path: Path) -> Iterator[Served]:
    """A study with accounts on it: ann annotates."""
    with QuickServed(tmp_path, study_of(model, auth="password"), url=mortal_database.url()) as served:
        make_accounts(served, ("ann", "annotator", ANN))
        yield served


def test_whoever_is_signed_in_stays_it_and_a_vote_is_kept_until_the_database_is_back(
    mortal_database: PostgresServer, closed: Served, browser: Browser
) -> None:
    chat = signed_in(browser, closed)
    page = chat.page
    chat.send("say: Hello again")
    with client_of(closed) as known, client_of(closed) as unknown:
        assert sign_in(known, "ann", ANN).status_code == 303
        assert known.get("/api/me").status_code == 200
        assert sign_in(unknown, "ann", ANN).status_code == 303
        mortal_database.stop()
        time.sleep(TRUSTED_SECONDS + 1)
        chat.press("Like")
        expect(chat.status).to_have_text("Not saved")
        expect(page.locator("#save-details")).to_contain_text("cannot be reached")
        expect(page.locator("#save-details")).not_to_contain_text("127.0.0.1")  # that is for who runs it

        # Who was not heard of before is told so, and not led to the page to sign in on.
        gesture = unknown.post("/api/gesture", json={})
        assert (gesture.status_code, gesture.json()["error"], gesture.headers["retry-after"]) == (503, UNTOLD, "2")
        document = unknown.get("/")
        assert (document.status_code, UNTOLD in document.text) == (503, True)
        assert unknown.get("/api/alive").status_code == 503
        assert unknown.get("/sign-in").status_code == 200
        # Others are who they were.
        assert known.get("/api/alive").json()["annotator"]

        mortal_database.start()
        expect(chat.status).to_have_text("Saved")
        assert unknown.get("/api/alive").json()["annotator"]
    chat.expect_thumbs("Like")
    assert page.url == f"{closed.address}/" or page.url.startswith(f"{closed.address}/#")
    assert [payload.vote for payload in stored(closed, chat) if isinstance(payload, VoteCast)] == [1]
    page.context.close()
