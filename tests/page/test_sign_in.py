"""Accounts on the page: signing in and out, roles, proxies, and what whoever is not signed in meets."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from labeler.accounts import Accounts
from labeler.core.roles import Role
from labeler.ids import new_id
from labeler.store import Store
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page import axe
from tests.page.chat import PATIENCE_MS, Chat
from tests.page.conftest import NewChat, study_of
from tests.served import Served

ANN, BOB = "correct horse", "battery staple"


def users(served: Served, *words: str, password: str = "") -> str:
    """``labeler users ...`` on the study of a server."""
    command = [sys.executable, "-m", "labeler", "users", *words, "--database", served.database]
    done = subprocess.run(
        [*command, "--config", str(served.config)],
        input=password,
        text=True,
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def make_accounts(served: Served, *made: tuple[str, Role, str]) -> None:
    """The same as ``labeler users add`` for each name, role and password, without a process for each."""
    with closing(Store.open(served.database)) as store:
        accounts = Accounts(store)
        for name, role, password in made:
            accounts.add(name, role, password)


@pytest.fixture(scope="module")
def closed(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A study with accounts: ann, who annotates, and bob, who reviews."""
    with QuickServed(tmp_path_factory.mktemp("closed"), study_of(model, auth="password")) as served:
        users(served, "add", "ann", password=ANN)
        users(served, "add", "Bob", "--role", "reviewer", password=BOB)
        yield served


def elsewhere() -> dict[str, str]:
    """Headers of a proxy on this machine, which speaks for an address that nobody has tried from."""
    return {"x-forwarded-for": f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"}


@pytest.fixture
def client(closed: Served) -> Iterator[httpx.Client]:
    with client_of(closed) as client:
        yield client


def client_of(served: Served) -> httpx.Client:
    """A browser, without the browser, that nobody has come from before."""
    return httpx.Client(base_url=served.address, timeout=20, headers=elsewhere())


def signed_in(browser: Browser, served: Served) -> Chat:
    """The chat of ann, who has just signed in, in a browser context of her own."""
    context = browser.new_context(extra_http_headers=elsewhere())
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(served.address)
    fill(page, "ann", ANN)
    return Chat(page, served.address).ready()


def sign_in(client: httpx.Client, name: str, password: str, to: str = "") -> httpx.Response:
    return client.post("/sign-in", data={"name": name, "password": password, "to": to})


def fill(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


# ── who is not signed in ──


def test_whoever_is_not_signed_in_is_led_to_the_sign_in_page(client: httpx.Client) -> None:
    answer = client.get("/", follow_redirects=True)
    assert answer.url.path == "/sign-in"
    assert answer.status_code == 200
    assert '<form method="post"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/me"),
        ("POST", "/api/gesture"),
        ("POST", "/gradio_api/queue/join"),
        ("GET", "/gradio_api/queue/data?session_hash=abc"),
        ("GET", "/gradio_api/startup-events"),
        ("GET", "/gradio_api/app_id"),
        ("GET", "/theme.css"),
        ("GET", "/nowhere"),
    ],
)
def test_nothing_else_answers_whoever_is_not_signed_in(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.json() == {"error": "You are not signed in. Load the page again."}


def test_health_and_the_pulse_answer_everybody(client: httpx.Client) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/api/alive").json()["annotator"] is None


def test_a_forged_session_is_nobody(client: httpx.Client, closed: Served) -> None:
    sign_in(client, "ann", ANN)
    (cookie,) = client.cookies.jar
    assert client.get("/api/me").status_code == 200
    bob = next(line.split()[2] for line in users(closed, "list").splitlines() if line.startswith("bob"))
    said, _, mac = str(cookie.value).rpartition(".")
    for value in (f"{bob}.{said.partition('.')[2]}.{mac}", f"{said}.{mac[::-1]}", said, "", "\u00e9.\u00e9.1.1.1"):
        header = {b"cookie": f"{cookie.name}={value}".encode()}
        client.cookies.clear()
        assert client.get("/api/me", headers=header).status_code == 401


# ── signing in ──


def test_signing_in_gives_a_cookie_that_scripts_cannot_read(client: httpx.Client) -> None:
    answer = sign_in(client, "Ann", ANN)
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("labeler_account_")
    assert "; HttpOnly; SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert client.get("/api/me").json()["name"] == "ann"


def test_over_tls_the_session_stays_with_https(closed: Served) -> None:
    with httpx.Client(base_url=closed.address, headers=elsewhere() | {"x-forwarded-proto": "https"}) as client:
        assert sign_in(client, "ann", ANN).headers["set-cookie"].endswith("; Secure")


def test_a_wrong_password_says_one_thing_whoever_it_is(client: httpx.Client) -> None:
    answers = [sign_in(client, *pair) for pair in (("ann", "wrong wrong"), ("nobody", ANN), ("<b>x", "y"), ("", ""))]
    assert {answer.status_code for answer in answers} == {401}
    assert all("the name or the password is wrong" in answer.text for answer in answers)
    assert "<b>" not in answers[2].text
    assert "wrong wrong" not in answers[0].text
    assert all("set-cookie" not in answer.headers for answer in answers)


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "..", "chat"])
def test_signing_in_leads_to_pages_of_the_study_only(client: httpx.Client, to: str) -> None:
    assert sign_in(client, "ann", ANN, to).headers["location"] == "./"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"name=a&name=b", b"&" * 5000, b"x" * 20_000])
def test_a_malformed_form_is_refused_with_the_page(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/sign-in", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 401
    assert '<form method="post"' in answer.text


def test_another_site_cannot_sign_anybody_in_or_out(client: httpx.Client) -> None:
    sign_in(client, "ann", ANN)
    for path in ("/sign-in", "/sign-out"):
        assert client.post(path, data={}, headers={"origin": "https://evil.example"}).status_code == 403
        assert client.post(path, data={}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/api/me").status_code == 200


def test_the_sign_in_page_runs_no_script_and_sends_forms_home_only(client: httpx.Client) -> None:
    policy = client.get("/sign-in").headers.get_list("content-security-policy")
    assert any("script-src 'none'" in one and "form-action 'self'" in one for one in policy)
    assert len(policy) == 1


def test_too_many_tries_from_one_place_have_to_wait(model: ModelServer, tmp_path: Path) -> None:
    with (
        QuickServed(tmp_path, study_of(model, auth="password")) as served,
        httpx.Client(base_url=served.address) as client,
    ):
        users(served, "add", "ann", password=ANN)
        statuses = [sign_in(client, f"guess{number}", "wrong wrong").status_code for number in range(21)]
        assert statuses == [401] * 20 + [429]
        late = sign_in(client, "ann", ANN)
        assert late.status_code == 429
        assert 0 < int(late.headers["retry-after"]) <= 61
        assert "Too many tries" in late.text


# ── signed in ──


def test_two_accounts_share_nothing(closed: Served) -> None:
    with httpx.Client(base_url=closed.address) as ann, httpx.Client(base_url=closed.address) as bob:
        sign_in(ann, "ann", ANN)
        sign_in(bob, "bob", BOB)
        assert ann.get("/api/me").json()["annotator"] != bob.get("/api/me").json()["annotator"]


def test_one_account_is_the_same_annotator_in_every_browser(closed: Served) -> None:
    with httpx.Client(base_url=closed.address) as one, httpx.Client(base_url=closed.address) as other:
        sign_in(one, "ann", ANN)
        sign_in(other, "ann", ANN)
        assert one.get("/api/me").json()["annotator"] == other.get("/api/me").json()["annotator"]


def test_signing_out_ends_the_session_wherever_its_cookie_was_copied(client: httpx.Client, closed: Served) -> None:
    sign_in(client, "ann", ANN)
    with httpx.Client(base_url=closed.address, cookies=client.cookies) as copy:
        assert copy.get("/api/me").status_code == 200
        answer = client.post("/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, "sign-in")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert copy.get("/api/me").status_code == 401


def test_a_disabled_account_is_out_within_seconds(closed: Served) -> None:
    users(closed, "add", "eve", password="eavesdropper")
    with httpx.Client(base_url=closed.address) as eve:
        sign_in(eve, "eve", "eavesdropper")
        assert eve.get("/api/me").status_code == 200
        users(closed, "disable", "eve")  # takes longer than the server trusts what it knew
        assert eve.get("/api/me").status_code in (200, 401)
        time.sleep(2.1)
        assert eve.get("/api/me").status_code == 401


def test_names_and_passwords_are_not_in_the_log(closed: Served, client: httpx.Client) -> None:
    sign_in(client, "ann", ANN)
    with closing(Store.open(closed.database)) as store:
        told = "".join(str(row) for row in store.scan_rows())
    assert "argon2" not in told
    assert "'ann'" not in told


# ── in a browser ──


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_an_annotator_signs_in_works_and_signs_out(browser: Browser, closed: Served, width: int, dark: bool) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if dark else "light",
        extra_http_headers=elsewhere(),
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(closed.address)
    fill(page, "ann", "wrong wrong")
    expect(page.get_by_role("alert")).to_contain_text("the name or the password is wrong")
    assert axe.faults(page) == []
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(ANN)
    page.keyboard.press("Enter")
    chat = Chat(page, closed.address).ready()
    chat.send("say: Hello")
    chat.press("Like")
    expect(chat.status).to_have_text("Saved")
    if width < 769:
        page.get_by_role("button", name="Toggle Sidebar").click()
    expect(page.locator("#account-name")).to_have_text("ann")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()


def test_a_vote_of_whoever_was_signed_out_meanwhile_is_kept_and_sent_after_signing_in(
    browser: Browser, closed: Served
) -> None:
    chat = signed_in(browser, closed)
    page, context = chat.page, chat.page.context
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.send("say: Hello again")
    page.route("**/api/alive", lambda route: route.abort())  # the pulse must not be quicker than the vote
    context.clear_cookies()
    chat.press("Like")
    expect(chat.status).to_have_text("Not saved")
    expect(page.locator("#save-details")).to_contain_text("You are signed out")
    page.unroute("**/api/alive")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    fill(page, "ann", ANN)
    chat.ready()
    expect(chat.status).to_have_text("Saved")
    chat.expect_thumbs("Like")
    context.close()


def test_work_from_before_there_were_accounts_is_added_to_the_account_of_who_did_it(
    browser: Browser, model: ModelServer, tmp_path: Path
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    with QuickServed(tmp_path, study_of(model)) as served:
        chat = Chat(page, served.address).open()
        chat.send("say: Before accounts")
        chat.press("Like")
        expect(chat.status).to_have_text("Saved")
        served.terminate()
    with QuickServed(tmp_path, study_of(model, auth="password"), port=served.port) as served:
        users(served, "add", "ann", password=ANN)
        # The open page leads to the sign-in page itself, as soon as the server is back.
        page.wait_for_url(re.compile("/sign-in"))
        fill(page, "ann", ANN)
        chat.ready()
        expect(chat.conversations).to_have_count(0)
        page.get_by_text("One conversation was begun in this browser").wait_for()
        assert axe.faults(page) == []
        page.get_by_role("button", name="Add to my account").click()
        expect(chat.conversations).to_have_count(1)
        expect(page.get_by_role("button", name="Add to my account")).to_have_count(0)
        chat.conversations.first.click()
        chat.expect_thumbs("Like")
        chat.send("say: And after")
        chat.expect_answers("Before accounts", "And after")
    context.close()


# ── behind a proxy that signs people in ──


@pytest.fixture(scope="module")
def proxied(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    auth = {"kind": "header", "header": "X-User", "proxies": ["127.0.0.1"]}
    with QuickServed(tmp_path_factory.mktemp("proxied"), study_of(model, auth=auth)) as served:
        yield served


def test_a_listed_proxy_says_who_it_is(proxied: Served) -> None:
    ann, again = (httpx.get(f"{proxied.address}/api/me", headers={"x-user": name}).json() for name in ("ann", "ANN"))
    assert ann["name"] == "ann"
    assert ann["annotator"] == again["annotator"]


def test_without_the_proxys_word_there_is_a_page_that_says_so(proxied: Served) -> None:
    for headers in ({}, {"x-user": ""}, {"x-user": "a b"}, [("x-user", "ann"), ("x-user", "bob")]):
        answer = httpx.get(proxied.address, headers=headers)
        assert answer.status_code == 401
        assert "your organisation's own sign-in" in answer.text.replace("&#x27;", "'")
        assert httpx.get(f"{proxied.address}/api/me", headers=headers).status_code == 401


def test_an_unlisted_address_is_not_believed_whatever_it_forwards(model: ModelServer, tmp_path: Path) -> None:
    auth = {"kind": "header", "proxies": ["10.9.8.0/24"]}
    with QuickServed(tmp_path, study_of(model, auth=auth)) as served:
        for more in ({}, {"x-forwarded-for": "10.9.8.7"}, {"forwarded": "for=10.9.8.7"}):
            answer = httpx.get(f"{served.address}/api/me", headers={"x-forwarded-user": "ann"} | more)
            assert answer.status_code == 401


def test_a_proxied_annotator_votes(proxied: Served, new_chat: NewChat) -> None:
    chat = new_chat(proxied, extra_http_headers={"x-user": "carol"})
    chat.send("say: Hello")
    chat.press("Like")
    expect(chat.status).to_have_text("Saved")
    expect(chat.page.locator("#account-name")).to_have_text("carol")
    expect(chat.page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_gradios_own_routes_believe_no_session_hash(proxied: Served) -> None:
    body = {"data": [{"kind": "open"}, None], "fn_index": 0, "session_hash": "abc", "event_data": None}
    answer = httpx.post(f"{proxied.address}/gradio_api/queue/join", json=body)
    assert answer.status_code == 401
    assert new_id() not in answer.text
