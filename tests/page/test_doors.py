"""The doors: forged, malformed and foreign requests store nothing, and nobody gets a traceback."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from labeler.ids import new_id
from tests.page.chat import Chat
from tests.page.conftest import NewChat, stored
from tests.page.visitor import Visitor
from tests.served import Served


def test_the_first_visit_gets_a_signed_cookie_that_scripts_cannot_read(visitor: Visitor) -> None:
    header = visitor.http.get("/", headers={"cookie": ""}).headers["set-cookie"]
    assert re.fullmatch(
        r"labeler_[0-9a-f-]{36}=[0-9a-f-]{36}\.[0-9a-f]{40}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax", header
    )


def test_a_cookie_given_behind_a_tls_proxy_stays_with_https(visitor: Visitor) -> None:
    over_tls = visitor.http.get("/", headers={"cookie": "", "x-forwarded-proto": "https"})
    assert "; Secure" in over_tls.headers["set-cookie"]
    assert "; Secure" not in visitor.http.get("/", headers={"cookie": ""}).headers["set-cookie"]


def test_the_same_browser_stays_the_same_annotator(visitor: Visitor) -> None:
    before = visitor.http.get("/api/me").json()["annotator"]
    visitor.http.get("/")
    assert visitor.http.get("/api/me").json()["annotator"] == before


@pytest.mark.parametrize("change", ["", "other-id", "other-mac", "no-mac", "garbage"])
def test_a_forged_cookie_is_nobody(visitor: Visitor, change: str) -> None:
    annotator, mac = visitor.cookie.value.split(".")
    values = {
        "": "",
        "other-id": f"{new_id()}.{mac}",
        "other-mac": f"{annotator}.{mac[::-1]}",
        "no-mac": annotator,
        "garbage": "\u00e9.\u00e9".encode().decode("latin-1"),
    }
    cookie = f"{visitor.cookie.name}={values[change]}".encode("latin-1")
    gesture = {"kind": "vote", "nonce": "n" * 16, "conversation": new_id(), "message": new_id(), "value": 1}
    request = visitor.http.build_request("POST", "/api/gesture", json=gesture, headers={b"cookie": cookie})
    answer = visitor.http.send(request)
    assert answer.status_code == 401
    assert "cookies" in answer.json()["error"]


def test_a_cookie_of_another_study_is_nobody_here(visitor: Visitor) -> None:
    name = f"labeler_{new_id()}"
    answer = visitor.http.get("/api/me", headers={"cookie": f"{name}={visitor.cookie.value}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"vote"',
        b"\xff\xfe",
        b"{}",
        b'{"kind": "drop"}',
        b"[" * 20_000,
        b'{"kind": "vote", "kind": "vote"}',
    ],
)
def test_a_malformed_body_is_refused_with_a_line(visitor: Visitor, body: bytes) -> None:
    before = visitor.events()
    answer = visitor.post(body)
    assert answer.status_code == 422
    assert answer.json() == {"error": "That gesture is malformed. Reload the page."}
    assert visitor.events() == before


@pytest.mark.parametrize(
    "change",
    [
        {"value": 2},
        {"value": "1"},
        {"value": 1.0},
        {"value": True},
        {"value": None},
        {"nonce": ""},
        {"nonce": "short"},
        {"nonce": "x" * 65},
        {"nonce": "end:something"},
        {"nonce": 12345678},
        {"message": ["a"]},
        {"message": "\ud800"},
        {"message": "no such message"},
        {"conversation": new_id()},
        {"conversation": ""},
        {"annotator": "root"},
        {"kind": "erase"},
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_forged_vote_stores_nothing(author: Visitor, change: Any) -> None:
    before = author.events()
    answer = author.post(author.vote() | change)
    assert 400 <= answer.status_code < 500
    assert "\n" not in answer.json()["error"]
    assert author.events() == before


def test_nobody_votes_in_anothers_conversation(author: Visitor, visitor: Visitor) -> None:
    before = author.events()
    answer = visitor.post(author.vote())
    assert answer.status_code == 404
    assert author.events() == before


def test_a_vote_delivered_twice_is_stored_once(author: Visitor) -> None:
    vote = author.vote()
    before = author.events()
    first = author.post(vote)
    author.post(author.vote() | {"value": 0})
    again = author.post(vote)
    reused = author.post(vote | {"value": -1})
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert reused.status_code == 409
    assert author.events() == before + 2


def test_an_unknown_reason_and_a_long_comment_are_refused(author: Visitor) -> None:
    assert author.post(author.vote()).status_code == 200
    reason = {key: value for key, value in author.vote().items() if key != "value"} | {"kind": "reason"}
    before = author.events()
    for more in ({"reasons": ["Invented"]}, {"comment": "x" * 2_001}, {"comment": "\ud800"}, {"reasons": "Wrong"}):
        assert author.post(reason | more).status_code == 422
    assert author.events() == before


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_origin_can_neither_vote_nor_speak_to_gradio(visitor: Visitor, origin: str) -> None:
    for path in ("/api/gesture", "/gradio_api/queue/join"):
        answer = visitor.http.post(path, json={}, headers={"origin": origin})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    read = visitor.http.get("/api/me", headers={"origin": origin})
    assert "access-control-allow-origin" not in read.headers


def test_an_oversized_or_unmeasured_body_is_refused(visitor: Visitor) -> None:
    assert visitor.post(b"x" * 70_000).status_code == 413
    big = visitor.http.post("/gradio_api/queue/join", content=b"x" * 1_000_000)
    assert big.status_code == 413
    unmeasured = visitor.http.post("/api/gesture", content=iter([b"x"]))
    assert unmeasured.status_code == 411


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload",
        "/gradio_api/info",
        "/gradio_api/call/act",
        "/gradio_api/run/predict",
        "/gradio_api/api/act",
        "/gradio_api/proxy=https://evil.example",
        "/gradio_api/runs",
        "/gradio_api/component_server",
        "/monitoring/summary",
        "/config",
        "/openapi.json",
        "/docs",
    ],
)
def test_what_the_page_does_not_need_is_not_there(visitor: Visitor, path: str) -> None:
    for address in (path, f"/compare{path}"):
        assert visitor.http.get(address).status_code == 404
        assert visitor.http.post(address, json={}).status_code == 404


def test_browsers_are_told_to_load_nothing_from_elsewhere(visitor: Visitor) -> None:
    for path in ("/", "/api/alive", "/healthz", "/nowhere"):
        headers = visitor.http.get(path).headers
        assert "img-src 'self' data:" in headers["content-security-policy"]
        assert "form-action 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_health_and_pulse_answer(visitor: Visitor) -> None:
    assert visitor.http.get("/healthz").json() == {"status": "ok", "study": "page", "position": visitor.events()}
    alive = visitor.http.get("/api/alive").json()
    assert set(alive) == {"boot", "annotator"}
    assert alive["annotator"] == visitor.http.get("/api/me").json()["annotator"]


# ── Gradio's routes: forged calls reach the handlers, and stop there ──


@pytest.mark.parametrize(
    "claims",
    [
        None,
        7,
        "send",
        [],
        {},
        {"kind": "drop table"},
        {"kind": "send"},
        {"kind": "send", "nonce": "n" * 16, "text": 5},
        {"kind": "send", "nonce": "n" * 16, "text": "x" * 20_001},
        {"kind": "retry", "nonce": "n" * 16, "conversation": new_id(), "turn_seq": -1},
        {"kind": "undo", "nonce": "n" * 16, "conversation": new_id(), "turn_seq": 3},
        {"kind": "clear", "nonce": "n" * 16, "conversation": "x" * 500},
        {"kind": "edit", "nonce": "n" * 16, "conversation": new_id(), "message": new_id(), "text": "mine now"},
        {"kind": "accept_consent", "nonce": "n" * 16, "version": "never asked"},
    ],
    ids=lambda change: str(change)[:60],
)
def test_forged_calls_to_gradios_handlers_store_nothing(visitor: Visitor, claims: object) -> None:
    before = visitor.events()
    visitor.call(claims)
    assert visitor.events() == before


def test_a_forged_call_cannot_touch_or_read_anothers_conversation(author: Visitor, visitor: Visitor) -> None:
    before = author.events()
    there = {"nonce": "n" * 16, "conversation": author.conversation, "turn_seq": 3}
    for kind in ("open", "retry", "undo", "clear", "stop", "new"):
        said = visitor.call(there | {"kind": kind})
        assert "private" not in json.dumps(said)
    assert "private" not in json.dumps(visitor.call(there | {"kind": "send", "text": "hello"}))
    assert author.events() == before


def test_a_caller_without_a_cookie_gets_a_line_and_stores_nothing(visitor: Visitor) -> None:
    visitor.http.cookies.clear()
    before = visitor.events()
    said = visitor.call({"kind": "send", "nonce": "n" * 16, "text": "hello"})
    assert "keeps no cookies" in json.dumps(said)
    assert visitor.events() == before


def test_a_browser_that_lost_its_cookie_keeps_what_was_typed_and_hears_why(chat: Chat) -> None:
    chat.send("say: One")
    chat.page.context.clear_cookies()
    chat.box.fill("Hard to say twice")
    chat.button("Send").click()
    expect(chat.notice).to_contain_text("keeps no cookies")
    expect(chat.status).to_have_text("Not saved")
    expect(chat.box).to_have_value("Hard to say twice")
    chat.expect_answers("One")
    chat.press("Like")
    expect(chat.notice).to_contain_text("not known here")
    chat.expect_thumbs(None)


# ── what texts may do in a browser ──


def test_remote_images_and_scripts_in_answers_do_not_load(chat: Chat) -> None:
    asked: list[str] = []
    chat.page.on("requestfinished", lambda request: asked.append(request.url))
    chat.send(
        "say: ![x](https://evil.example/pixel.png) <img src=https://evil.example/2.png onerror=alert(1)>"
        " <script>document.title='owned'</script> [go](javascript:document.title='owned') done"
    )
    expect(chat.answers).to_contain_text("done")
    chat.page.wait_for_timeout(300)
    assert chat.page.title() == "Kitchen talk"
    assert [url for url in asked if "evil.example" in url] == []


def test_html_in_an_answer_is_never_taken_for_a_part_of_the_page(shared: Served, chat: Chat) -> None:
    parts = ("send", "stop", "box", "status-line", "composer")
    chat.send(
        "say: "
        + "".join(f'<div id="{name}">a {name}</div>' for name in parts)
        + '<div class="message-row">a row</div><div class="message-buttons">its buttons</div>'
        + "<dialog open>a dialog</dialog>"
        + '<div style="position: fixed; inset: 0; z-index: 9999; background: red">a cover</div>'
    )
    chat.send("say: Plain")
    expect(chat.answers.first).to_contain_text("a status-line")
    chat.page.locator("body").press("l")
    expect(chat.status).to_have_text("Saved")
    chat.expect_thumbs(None, "Like")
    liked, plain = stored(shared, chat)[-1], stored(shared, chat)[-2]
    assert (liked.kind, liked.message_id) == ("vote_cast", plain.message_id)
    chat.answers.last.get_by_text("Plain").click()  # nothing lies over it
    chat.box.click()


def test_a_page_asks_nobody_but_its_server(new_chat: NewChat, shared: Served) -> None:
    chat = new_chat(shared)
    hosts: list[str] = []
    chat.page.on("request", lambda request: hosts.append(request.url.split("/")[2]))
    chat.reload()
    chat.send("say: One")
    assert set(hosts) == {shared.address.removeprefix("http://")}


def test_the_servers_own_log_shows_no_traceback(shared: Served, visitor: Visitor) -> None:
    visitor.call({"kind": 3})
    assert "Traceback" not in "".join(shared.errors)
