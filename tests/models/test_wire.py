"""Lines over a wire, and what servers say when they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.models.wire import lines, session, words_of


@given(st.text(alphabet="ab\u2028\x85\x0b\n\r🦊 ", max_size=60), st.lists(st.integers(0, 80), max_size=8))
def test_however_a_body_is_cut_its_lines_are_those_between_line_feeds(text: str, cuts: list[int]) -> None:
    body = text.encode()
    places = sorted({min(cut, len(body)) for cut in cuts})
    pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    assert list(lines(pieces, 10)) == [line.strip() for line in text.split("\n")]


def test_a_reader_that_is_slow_is_not_taken_for_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr("labeler.models.wire.time.monotonic", lambda: next(clock))
    chunks: Iterator[bytes] = iter([b"data: a\n", b"data: b\n", b"data: c\n"])
    assert list(lines(chunks, patience=1)) == ["data: a", "data: b", "data: c", ""]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no"}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"detail": "no"}, "no"),
        ({"detail": [{"loc": ["body"], "msg": "no"}]}, '[{"loc": ["body"], "msg": "no"}]'),
        ({"error": {}}, ""),
        ([], "[]"),
        ("no", "no"),
    ],
)
def test_the_words_of_a_refusal_are_found_in_every_usual_shape(body: Any, words: str) -> None:
    assert words_of(json.dumps(body).encode(), {}) == words


def test_a_plain_body_speaks_for_itself_and_a_page_does_not() -> None:
    assert words_of(b"over capacity", {"content-type": "text/plain"}) == "over capacity"
    assert words_of(b"<h1>Bad gateway</h1>", {"content-type": "text/html"}) == ""


@pytest.mark.parametrize("url", [None, "https://example.org/v1", "https://127.0.0.1:1/v1"])
def test_certificates_are_checked_wherever_https_is_spoken(url: str | None) -> None:
    with session(url, 1.0) as http:
        transport = http._transport
    assert isinstance(transport, httpx2.HTTPTransport)
    context = transport._pool._ssl_context
    assert context is not None
    assert context.check_hostname
