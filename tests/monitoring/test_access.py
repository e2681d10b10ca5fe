"""Ids and names of requests: bounded, well-formed, and of nobody's making but ours."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.routing import Route

from labeler.page.access import OTHER, WELL_FORMED, Notes, RouteNames, note_conversation, request_id_of
from labeler.page.probe import Openness, Scraping

NAMES = RouteNames([Route("/api/me", lambda: None), Route("/page/{name}", lambda: None)], ["/", "/compare/"])


def scope(*ids: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"x-request-id", one) for one in ids]}


@given(st.binary(max_size=100))
def test_an_id_is_the_clients_if_it_has_the_form_of_one_and_else_fresh(brought: bytes) -> None:
    taken = request_id_of(scope(brought))
    assert re.fullmatch(r"[A-Za-z0-9-]{8,64}", taken)
    assert (taken == brought.decode("latin-1")) == bool(WELL_FORMED.fullmatch(brought))


def test_every_request_without_an_id_gets_another_one() -> None:
    assert len({request_id_of(scope()) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "bad", [b"short", b"x" * 65, b"with space", b'"quoted-id"', b"line\nbreak", "ünïcode-id".encode()]
)
def test_what_is_no_id_is_not_taken(bad: bytes) -> None:
    assert request_id_of(scope(bad)).encode() != bad


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("/compare/", "/compare/"),
        ("/api/me", "/api/me"),
        ("/api/v1/conversations/0190-abc", "/api/v1"),
        ("/api/v1", "/api/v1"),
        ("/api/v17", OTHER),
        ("/gradio_api/queue/join", "/gradio_api/queue/join"),
        ("/compare/gradio_api/queue/data", "/gradio_api/queue/data"),
        ("/gradio_api/heartbeat/s3cret", "/gradio_api/heartbeat"),
        ("/gradio_api/file=/etc/passwd", "/gradio_api/file"),
        ("/assets/index-abc.js", "/assets"),
        ("/page/1f2e/chat.js", "/page"),
        ("/wp-login.php", OTHER),
    ],
)
def test_a_path_is_called_by_its_pattern(path: str, name: str) -> None:
    assert NAMES.name(path) == name


@given(st.lists(st.text(alphabet="abc/._=%-", max_size=30), max_size=50))
def test_no_client_can_make_names(paths: list[str]) -> None:
    known = {"/", "/compare/", "/api/me", "/api/v1", "/assets", "/page", OTHER}
    assert {NAMES.name(f"/{path}") for path in paths} <= known


@pytest.mark.parametrize("claim", ["", "s3cret text", "0190a", "x" * 36, "01a225f8-2bb1-778a-8085-dffd6614640e\n"])
def test_a_claim_that_is_no_conversations_id_is_not_noted(claim: str) -> None:
    notes = Notes("r")
    note_conversation({"labeler.notes": notes}, claim)
    assert notes.conversation_id is None


# ── who may see metrics ──


def allowed(openness: Openness, token: str | None, client: str | None, **headers: str) -> bool:
    scraping = Scraping(lambda: b"", openness, token)
    return scraping.allows(client, Headers({name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_may_see_them(client: str) -> None:
    assert allowed("loopback", None, client)
    assert not allowed("token", None, client)


@pytest.mark.parametrize("client", ["10.0.0.7", "203.0.113.9", "fe80::1", "testclient", "", None])
def test_no_other_machine_may_without_the_token(client: str | None) -> None:
    assert not allowed("loopback", None, client)
    assert not allowed("loopback", "right", client, authorization="Bearer wrong")
    assert not allowed("loopback", "right", client, authorization="right")
    assert not allowed("loopback", None, client, authorization="Bearer ")
    assert allowed("loopback", "right", client, authorization="Bearer right")
    assert allowed("token", "right", client, authorization="bearer right")


@pytest.mark.parametrize("header", ["x_forwarded_for", "x_real_ip", "forwarded", "via", "x_forwarded_host"])
@pytest.mark.parametrize("value", ["203.0.113.9", "127.0.0.1", ""])
def test_what_came_through_a_proxy_needs_the_token_whatever_it_says(header: str, value: str) -> None:
    assert not allowed("loopback", "right", "127.0.0.1", **{header: value})
    assert allowed("loopback", "right", "127.0.0.1", **{header: value}, authorization="Bearer right")


def test_a_wrong_token_is_refused_even_on_this_machine() -> None:
    assert not allowed("loopback", "right", "127.0.0.1", authorization="Bearer wrong")
