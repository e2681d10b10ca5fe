"""What browsers are told, who may speak to the page, and which of Gradio's doors are closed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import ConsoleMessage, expect

from labeler.page.document import digests
from labeler.page.shield import CLOSED, Terms, policy
from labeler.page.toolkit import gr
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.chat import Chat
from tests.page.conftest import NewChat, study_of
from tests.page.visitor import Visitor
from tests.served import Served

FRIEND = "https://labels.example.org"
OPEN = {"queue/join", "queue/data", "heartbeat/x", "startup-events", "app_id", "theme.css"}


@pytest.fixture(scope="module")
def befriended(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A study that lists another origin."""
    with QuickServed(tmp_path_factory.mktemp("befriended"), study_of(model, origins=[FRIEND])) as served:
        yield served


def sources(header: str) -> dict[str, list[str]]:
    return {name: rest.split() for name, _, rest in (part.strip().partition(" ") for part in header.split(";"))}


# ── headers ──


@pytest.mark.parametrize(
    "path", ["/", "/compare/", "/api/alive", "/api/me", "/healthz", "/nowhere", "/gradio_api/info"]
)
def test_every_answer_refusals_included_is_told_what_may_load_and_who_may_frame_it(visitor: Visitor, path: str) -> None:
    headers = visitor.http.get(path).headers
    csp = sources(headers["content-security-policy"])
    assert csp["default-src"] == csp["frame-ancestors"] == csp["form-action"] == ["'none'"]
    assert csp["img-src"] == ["'self'", "data:"]
    assert csp["connect-src"] == csp["base-uri"] == ["'self'"]
    assert "'unsafe-inline'" not in csp["script-src"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "server" not in headers


def test_the_scripts_of_a_document_are_named_and_no_others_run(visitor: Visitor) -> None:
    answer = visitor.http.get("/")
    named = re.findall(r"'sha256-[^']+'", answer.headers["content-security-policy"])
    assert named
    assert " ".join(named) == digests(answer.content).strip()
    assert policy(scripts=digests(answer.content)).decode() == answer.headers["content-security-policy"]


def test_digests_are_of_scripts_within_the_document_alone() -> None:
    within = b"<script>one()</script><script type=module>two()</script>"
    others = b'<script src="a.js"></script><script type="application/json">{}</script>'
    assert digests(within + others) == digests(within)
    assert digests(within).count("sha256-") == 2
    assert digests(b"<script>one()</script>" * 2).count("sha256-") == 1


def test_nothing_that_the_page_does_is_against_its_own_policy(chat: Chat, new_chat: NewChat, shared: Served) -> None:
    broken: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            broken.append(message.text)

    chat.page.on("console", heard)
    chat.reload()
    chat.send("say: **One** `two` $$x^2$$ ![](data:image/gif;base64,R0lGODlhAQABAAAAACw=)\n")
    chat.vote("Like")
    chat.rewrite("Better\n```python\nprint(1)\n```")
    chat.press("Retry")
    chat.answered()
    chat.page.keyboard.press("?")
    assert broken == []
    # The proof that one would be heard, and that what is slipped into the document does not run.
    chat.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.slipped = 1\">')")
    chat.page.evaluate(
        "document.head.append(Object.assign(document.createElement('script'), {text: 'window.slipped = 1'}))"
    )
    chat.page.wait_for_timeout(300)
    assert chat.page.evaluate("window.slipped") is None
    assert broken


# ── origins and names ──


def test_a_listed_origin_may_speak_and_show_the_page_in_a_frame_and_no_other(befriended: Served) -> None:
    with closing(Visitor(befriended)) as visitor:
        frames = sources(visitor.http.get("/").headers["content-security-policy"])["frame-ancestors"]
        assert frames == ["'self'", FRIEND]
        assert "x-frame-options" not in visitor.http.get("/").headers
        for origin, status, allowed in ((FRIEND, 422, FRIEND), ("https://evil.example", 403, None)):
            headers = {"origin": origin, "sec-fetch-site": "cross-site"}
            answer = visitor.http.post("/api/gesture", json={}, headers=headers)
            assert answer.status_code == status
            assert answer.headers.get("access-control-allow-origin") == allowed
            asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
            preflight = visitor.http.options("/api/gesture", headers={"origin": origin} | asked)
            assert preflight.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_page_for_this_machine_alone_is_not_there_under_another_name(visitor: Visitor, host: str) -> None:
    for answer in (visitor.http.get("/", headers={"host": host}), visitor.http.get("/api/me", headers={"host": host})):
        assert answer.status_code in (400, 421)
        assert "set-cookie" not in answer.headers
    assert "origins" in visitor.http.get("/", headers={"host": "evil.example"}).json()["error"]


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1", "127.8.9.1:5", "[::1]:80", "[::1]"])
def test_a_page_for_this_machine_is_there_under_all_of_its_names(host: str) -> None:
    assert Terms(1, loopback=True).known_host(host)


def test_a_listed_name_is_the_pages_own(befriended: Served) -> None:
    answer = httpx.get(f"{befriended.address}/api/alive", headers={"host": FRIEND.removeprefix("https://")})
    assert answer.status_code == 200
    assert not Terms(1, loopback=True).known_host("labels.example.org")
    assert Terms(1, loopback=False).known_host("labels.example.org")


# ── Gradio's own doors ──


def gradios_routes() -> set[str]:
    """Every address of the installed version, parameters filled in, so that an update that adds one is seen."""
    with gr.Blocks() as blocks:
        gr.Chatbot()
    mounted: Any = gr.mount_gradio_app(FastAPI(), blocks, path="/", ssr_mode=False).routes[-1]
    routes = {*mounted.app.openapi()["paths"], *(route.path for route in mounted.app.routes if hasattr(route, "path"))}
    return {re.sub(r"\{[^}]*\}", "x", path).rstrip("/") for path in routes}


def test_of_gradios_own_routes_only_those_that_the_page_needs_are_there() -> None:
    routes = gradios_routes()
    below = {path.removeprefix("/gradio_api/") for path in routes if path.startswith("/gradio_api/")}
    assert len(below) > 40
    assert {path for path in below if not CLOSED.match(f"/gradio_api/{path}")} == OPEN
    others = {path for path in routes if not path.startswith("/gradio_api/") and not CLOSED.match(path)}
    assert others == {"", "/assets/x", "/static/x", "/svelte/x", "/favicon.ico", "/manifest.json", "/theme.css"}


def test_pictures_of_a_study_are_served_and_no_other_file(model: ModelServer, tmp_path: Path) -> None:
    picture = tmp_path / "face.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00" * 20)
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    study = study_of(model, avatars={"assistant": str(picture)})
    with QuickServed(tmp_path, study) as served, closing(Visitor(served)) as visitor:
        for path in (tmp_path / "secret.txt", tmp_path / "log.db", tmp_path / ".labeler" / "secret", "/etc/passwd"):
            assert visitor.http.get(f"/gradio_api/file={path}").status_code in (403, 404)
        kept = re.findall(r"/gradio_api/file=([^\"\\ ]+\.png)", visitor.page)
        cached = re.findall(r"\"path\": ?\"([^\"]+face\.png)\"", visitor.page)
        addresses = [*kept, *cached]
        assert addresses
        assert visitor.http.get(f"/gradio_api/file={addresses[0]}").status_code == 200


def test_without_pictures_no_file_is_served(visitor: Visitor) -> None:
    for path in ("/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/file=/etc/passwd"):
        assert visitor.http.get(path).status_code == 404


def test_a_file_dropped_on_the_page_goes_nowhere(visitor: Visitor) -> None:
    answer = visitor.http.post("/gradio_api/upload", files={"files": ("a.txt", b"x")})
    assert answer.status_code == 404


def test_the_chat_has_no_footer_and_no_way_to_files(chat: Chat) -> None:
    expect(chat.page.locator("footer")).to_be_hidden()
    expect(chat.page.locator("input[type=file]")).to_have_count(0)
