"""Rates, streams and bodies at the doors: what is too much is refused with a line and a time to go on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.visitor import Visitor
from tests.served import Served

LIMITS = {
    "gestures_per_minute": 5,
    "turns_per_minute": 6,
    "address_requests_per_minute": 8,
    "streams": 2,
    "address_streams": 3,
    "body_seconds": 1,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ModelServer() as model:
        spec = {"name": "scripted", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
        study = {"name": "limits", "models": [spec], "limits": LIMITS, "vote_reasons": ["Wrong"]}
        with QuickServed(tmp_path_factory.mktemp("limits"), study) as served:
            yield served


@pytest.fixture
def visitor(served: Served) -> Iterator[Visitor]:
    with closing(Visitor(served)) as visitor:
        yield visitor


def test_one_who_votes_too_fast_hears_when_to_go_on_and_everybody_else_goes_on(
    served: Served, visitor: Visitor
) -> None:
    visitor.say("say: One")
    statuses = [visitor.post(visitor.vote() | {"value": number % 2}).status_code for number in range(5)]
    assert statuses == [200] * 5
    before = visitor.events()
    vote = visitor.vote() | {"value": -1}
    refused = visitor.post(vote)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 12
    wait = refused.headers["retry-after"]
    assert refused.json() == {"error": f"That was too fast. Wait {wait} s; what was not taken is sent again then."}
    assert visitor.events() == before
    with closing(Visitor(served)) as other:
        assert other.post({"kind": "drop"}).status_code == 422
    time.sleep(int(wait) + 0.2)
    assert visitor.post(vote).status_code == 200
    assert visitor.events() == before + 1


def test_one_who_asks_too_fast_is_refused_before_gradio_hears_of_it(visitor: Visitor) -> None:
    call = {"data": [{"kind": "open"}, None], "fn_index": visitor.handler(), "session_hash": "abc", "event_data": None}
    answers = [visitor.http.post("/gradio_api/queue/join", json=call) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert visitor.http.get("/api/me").status_code == 200


def test_an_address_has_a_rate_whoever_comes_from_there(served: Served) -> None:
    def ask(address: str, path: str = "/api/me") -> httpx.Response:
        return httpx.get(f"{served.address}{path}", headers={"x-forwarded-for": address})

    statuses = [ask("203.0.113.7").status_code for _ in range(9)]
    assert statuses == [401] * 8 + [429]
    refused = ask("203.0.113.7", "/")
    assert refused.status_code == 429
    assert "Too much comes from your address" in refused.json()["error"]
    assert "set-cookie" not in refused.headers
    # The pulse and files cost nothing; other addresses, and this machine, go on.
    assert ask("203.0.113.7", "/api/alive").status_code == 200
    assert ask("203.0.113.8").status_code == 401
    assert {ask("127.0.0.1").status_code for _ in range(20)} == {401}


def test_all_addresses_of_one_ipv6_site_are_one(served: Served) -> None:
    def ask(host: int, site: str = "2001:db8:1:2") -> int:
        return httpx.get(f"{served.address}/api/me", headers={"x-forwarded-for": f"{site}::{host:x}"}).status_code

    assert [ask(host) for host in range(9)] == [401] * 8 + [429]
    assert ask(1, "2001:db8:1:3") == 401


def streams(stack: ExitStack, visitor: Visitor, count: int, **headers: str) -> list[int]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    opened = []
    for number in range(count):
        answer = stack.enter_context(visitor.http.stream("GET", f"/gradio_api/heartbeat/s{number}", headers=sent))
        opened.append(answer.status_code)
    return opened


def eventually_opens(visitor: Visitor) -> None:
    deadline = time.monotonic() + 20
    while True:
        with ExitStack() as stack:
            if streams(stack, visitor, 1) == [200]:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_event_streams_are_counted_for_each_annotator_and_free_again_when_they_end(visitor: Visitor) -> None:
    with ExitStack() as stack:
        assert streams(stack, visitor, 3) == [200, 200, 429]
    eventually_opens(visitor)


def test_event_streams_are_counted_for_each_address(served: Served) -> None:
    with ExitStack() as stack:
        visitors = [stack.enter_context(closing(Visitor(served))) for _ in range(3)]
        statuses = [streams(stack, one, 2, x_forwarded_for="203.0.113.9") for one in visitors]
        assert statuses == [[200, 200], [200, 429], [429, 429]]


# ── sessions of Gradio's ──


def test_anothers_session_names_nothing(served: Served, visitor: Visitor) -> None:
    with closing(Visitor(served)) as author:
        secret = "quince-marmalade"
        claims = {"kind": "send", "nonce": "n" * 16, "conversation": None, "text": f"say: {secret}"}
        call = {"data": [claims, None], "fn_index": author.handler(), "session_hash": "shared", "event_data": None}
        assert author.http.post("/gradio_api/queue/join", json=call).status_code == 200
        stolen = visitor.http.get("/gradio_api/queue/data?session_hash=shared").text
        assert secret not in stolen
        assert "session_not_found" in stolen
        with author.http.stream("GET", "/gradio_api/queue/data?session_hash=shared") as stream:
            assert any(secret in line for line in stream.iter_lines())


@pytest.mark.parametrize(
    "change",
    [
        {"fn_index": 10**6},
        {"fn_index": -1},
        {"fn_index": None},
        {"fn_index": True},
        {"fn_index": "1"},
        {"session_hash": None},
        {"session_hash": "../x"},
        {"session_hash": 7},
        {"data": None},
        {"data": []},
        {"data": {}},
        {"data": [None] * 3},
        {"data": [[[[[[[]]]]]]]},
    ],
    ids=str,
)
def test_a_call_that_the_pages_do_not_make_never_reaches_gradio(visitor: Visitor, change: dict[str, object]) -> None:
    call = {"data": [{"kind": "open"}, None], "fn_index": visitor.handler(), "session_hash": "abc"} | change
    answer = visitor.http.post("/gradio_api/queue/join", json=call)
    assert answer.status_code == 422
    assert answer.json() == {"error": "That gesture is malformed. Reload the page."}


# ── the wire ──


def spoken(served: Served, sent: bytes) -> bytes:
    """What a connection answers to these bytes."""
    host, port = served.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as line:
        line.sendall(sent)
        answer = b""
        while more := line.recv(65536):
            answer += more
        return answer


def head(served: Served, *lines: str) -> bytes:
    host = served.address.removeprefix("http://")
    return "\r\n".join(["POST /api/gesture HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


def test_a_body_that_does_not_come_is_not_waited_for(served: Served) -> None:
    begun = time.monotonic()
    answer = spoken(served, head(served, "Content-Length: 50") + b"{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"Send it again" in answer
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("length", ["-1", "+5", "x", "5, 7"])
def test_a_length_that_is_none_is_refused(served: Served, length: str) -> None:
    assert spoken(served, head(served, f"Content-Length: {length}") + b"{}").split()[1] in (b"400", b"411")


def test_a_request_whose_head_never_ends_is_refused(served: Served) -> None:
    answer = spoken(served, head(served, "X-Long: " + "x" * 100_000)[:-4])
    assert answer.split()[1] in (b"400", b"431")


def test_more_than_was_announced_is_not_part_of_the_request(served: Served, visitor: Visitor) -> None:
    lines = [f"Cookie: {visitor.cookie.name}={visitor.cookie.value}", "Content-Length: 2", "Connection: close"]
    answer = spoken(served, head(served, *lines) + b"{}" + json.dumps(visitor.vote()).encode())
    assert answer.split()[1] == b"422"


def test_nothing_of_all_this_was_worth_a_traceback(served: Served) -> None:
    assert "Traceback" not in "".join(served.errors)
