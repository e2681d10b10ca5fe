"""The page's parts by themselves: identity, renders, doors and documents, without a browser."""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import re
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.chat import Shown, View
from labeler.doors import status_of, whole_body
from labeler.errors import (
    ConsentNeeded,
    EventConflict,
    GestureRefused,
    LabelerError,
    NotFound,
    SeqConflict,
    StoreError,
)
from labeler.page.assets import Assets
from labeler.page.document import Document
from labeler.page.identity import Identity
from labeler.page.pages import CHAT
from labeler.page.recognition import Browsers
from labeler.page.render import Echo, Frame, chat_messages, facts, hidden_element, view_facts
from labeler.page.screens import ChatScreen
from labeler.page.shield import CLOSED, same_origin
from labeler.page.toolkit import gr
from labeler.page.wire import CompareGesture, ReasonGesture, VoteGesture, parse_posted, parse_turn
from tests.served import Served

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, on a thread of its own: the browser's loop may be running on this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


# ── identity ──


@given(st.binary(min_size=1, max_size=64), st.text(alphabet="0123456789abcdef-", min_size=1, max_size=36))
def test_a_cookie_proves_whom_it_was_given_to(key: bytes, source_id: str) -> None:
    identity = Identity(key, source_id)
    annotator = identity.newcomer()
    header = identity.set_cookie(annotator, scheme="http").partition(";")[0]
    assert identity.annotator_in(f"theme=dark; {header}; other=1") == annotator
    assert Identity(key + b"?", source_id).annotator_in(header) is None
    assert Identity(key, f"{source_id}0").annotator_in(header.replace(source_id, f"{source_id}0")) is None


@given(st.text())
def test_no_other_text_proves_anybody(header: str) -> None:
    identity = Identity(b"key", "source")
    assert identity.annotator_in(header) is None
    assert identity.annotator_in(f"{identity.cookie_name}={header}") is None
    assert identity.annotator_in(None) is None


@pytest.mark.parametrize(("scheme", "secure"), [("http", ""), ("https", True)])
def test_a_cookie_given_over_https_stays_with_https(scheme: str, secure: object) -> None:
    identity = Identity(b"key", "source")
    morsel = SimpleCookie(identity.set_cookie(identity.newcomer(), scheme=scheme))[identity.cookie_name]
    assert morsel["secure"] == secure
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "Lax"


# ── renders ──


def shown(role: str, text: str = "", **more: Any) -> Shown:
    return Shown(id=f"{role}-{text}", role=role, text=text, status="complete", origin="model", **more)


def frame(*messages: Shown) -> Frame:
    return Frame("boot", "annotator", View("c", 3, False, messages), Echo("nonce", "send", text="<again & again>"))


@given(st.text())
def test_texts_are_drawn_as_they_are(text: str) -> None:
    [drawn] = chat_messages([shown("assistant", text)])
    assert drawn["content"] == [{"type": "text", "text": text}]


def test_a_step_of_an_answer_is_drawn_without_making_the_chat_anew() -> None:
    drawn = frame(shown("user", "Why?"), shown("assistant", "Because", vote=1))
    chat, _ = ChatScreen(None).draw(drawn, 1)  # type: ignore[arg-type]
    assert chat == chat_messages(drawn.view.shown)  # an update of any other kind is a new component for Gradio


@given(st.text())
def test_the_hidden_element_is_inert_whatever_it_holds(text: str) -> None:
    drawn = frame(shown("assistant", text, comment=text, error=text))
    element = hidden_element(facts(drawn, 7, view_facts(drawn.view)))
    [held] = re.findall(r'\A<i hidden data-view="([^"<>]*)"></i>\Z', element)
    known = json.loads(html.unescape(held))
    assert known["view"]["messages"][0]["comment"] == text
    assert known["echo"]["text"] == "<again & again>"
    assert known["stamp"] == 7


def test_a_conversation_that_cannot_be_read_leaves_the_page_as_it_is() -> None:
    unread = Frame("boot", "annotator", None, Echo(ok=False, line="Try again."))
    chat, element = ChatScreen(None).draw(unread, 1)  # type: ignore[arg-type]
    assert chat == gr.skip()
    assert json.loads(html.unescape(element.split('"')[1]))["view"] is None


# ── doors ──


def test_posted_gestures_have_three_shapes() -> None:
    common = {"nonce": "n" * 8, "conversation": "c", "message": "m"}
    vote = parse_posted(json.dumps(common | {"kind": "vote", "value": -1}).encode())
    reason = parse_posted(json.dumps(common | {"kind": "reason", "reasons": ["Wrong"], "comment": ""}).encode())
    compare = parse_posted(json.dumps(common | {"kind": "compare", "winner": None}).encode())
    assert isinstance(vote, VoteGesture)
    assert isinstance(reason, ReasonGesture)
    assert isinstance(compare, CompareGesture)
    assert reason.reasons == ("Wrong",)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_else_is_refused_in_one_line(claims: object) -> None:
    with pytest.raises(GestureRefused, match=r"\AThat gesture is malformed\. Reload the page\.\Z"):
        parse_turn(claims)
    with pytest.raises(GestureRefused):
        parse_posted(json.dumps(claims).encode())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("x"), 404),
        (ConsentNeeded("x"), 403),
        (GestureRefused("x"), 422),
        (EventConflict("x"), 409),
        (SeqConflict("x"), 503),
        (StoreError("x"), 503),
        (LabelerError("x"), 422),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_client_learns_whether_to_try_again(error: LabelerError, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize(
    ("headers", "trusted"),
    [
        ({}, True),
        ({"origin": "http://here:1", "host": "here:1"}, True),
        ({"origin": "http://here:2", "host": "here:1"}, False),
        ({"origin": "null", "host": "here:1"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://public", "host": "behind-a-proxy"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://here:1", "host": "here:1"}, False),
    ],
    ids=str,
)
def test_only_the_page_itself_may_change_something(headers: dict[str, str], trusted: bool) -> None:
    assert same_origin({name.encode(): value.encode() for name, value in headers.items()}) is trusted


@pytest.mark.parametrize(
    "path", ["/", "/theme.css", "/assets/index.js", "/gradio_api/queue/data", "/gradio_api/app_id"]
)
def test_what_the_page_needs_stays_open(path: str) -> None:
    assert CLOSED.match(path) is None


async def _received(parts: list[bytes], limit: int) -> bytes | None:
    messages = iter(
        [
            {"type": "http.request", "body": part, "more_body": place < len(parts) - 1}
            for place, part in enumerate(parts)
        ]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    return await whole_body(receive, limit)


@pytest.mark.parametrize(
    ("parts", "body"), [([b""], b""), ([b"ab", b"cd"], b"abcd"), ([b"abc", b"de", b"never read"], None)]
)
def test_a_body_is_read_up_to_its_limit(parts: list[bytes], body: bytes | None) -> None:
    assert run(_received(parts, 4)) == body


# ── what is served ──


def test_assets_are_named_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "start.js").write_text("let a", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not served", encoding="utf-8")
    before = Assets.read(tmp_path)
    assert set(before.files) == {"start.js"}
    assert gzip.decompress(before.files["start.js"].packed) == b"let a"
    assert Assets.read(tmp_path).base == before.base
    (tmp_path / "start.js").write_text("let b", encoding="utf-8")
    assert Assets.read(tmp_path).base != before.base


def test_settings_cannot_end_their_script() -> None:
    head = Assets({}, "page/0").head({"title": "</script><script>alert(1)</script>"}, "start.js", "")
    assert "</script><script>alert" not in head


def test_every_module_that_is_imported_is_there() -> None:
    assets = Assets.read()
    for name, asset in assets.files.items():
        if name.endswith(".js"):
            imported = re.findall(r'from "\./([\w.]+)"', gzip.decompress(asset.packed).decode())
            assert set(imported) <= set(assets.files), name


def test_answers_are_not_held_back_by_the_line(shared: Served) -> None:
    """An answer in two writes took 40 ms each where Nagle's algorithm met a delayed acknowledgement."""
    with httpx.Client(base_url=shared.address) as client:
        client.get("/api/alive")
        took = []
        for _ in range(20):
            begin = time.perf_counter()
            client.get("/api/alive")
            took.append(time.perf_counter() - begin)
    assert min(took) < 0.03


def test_only_the_document_gets_a_head_and_a_cookie() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"19")]})
        await send({"type": "http.response.body", "body": b"<html><head>", "more_body": True})
        await send({"type": "http.response.body", "body": b"</head>"})

    async def get(path: str) -> tuple[dict[bytes, bytes], bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "scheme": "https", "headers": []}
        document = Document(
            app,
            Browsers(Identity(b"key", "source"), "annotator"),
            [CHAT],
            lambda *_: b"<ours>",
            lambda scripts: b"policy" + scripts.encode(),
        )
        await document(scope, None, send)  # type: ignore[arg-type]
        return dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent)

    headers, body = run(get("/"))
    assert body == b"<html><head><ours></head>"
    assert headers[b"content-length"] == b"25"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-security-policy"] == b"policy"
    assert headers[b"set-cookie"].endswith(b"SameSite=Lax; Secure")
    headers, body = run(get("/other"))
    assert body == b"<html><head></head>"
    assert b"set-cookie" not in headers
