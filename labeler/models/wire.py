"""The wire under one answer: a connection that any thread can cut, and the lines that come over it."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import InferenceClient

from labeler.hosts import is_loopback

CONNECT_SECONDS = 10.0
LONGEST_LINE = 1 << 20
LONGEST_REFUSAL = 1 << 16


class Refused(Exception):
    """The server answered with a status that is not 2xx."""

    def __init__(self, status: int, words: str, retry_after: str | None, location: str | None) -> None:
        super().__init__(f"{status}: {words}")
        self.status, self.words = status, words
        self.retry_after, self.location = retry_after, location


class Silent(Exception):
    """The connection lives, but no token came for as long as the study allows."""


class Wire:
    """The connection of one answer.

    A thread that waits in a read does not notice that its file was closed elsewhere; a shutdown of the socket wakes it.
    So the socket is kept, as a duplicate that stays valid whatever the HTTP client does with its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._cut = False

    @property
    def was_cut(self) -> bool:
        return self._cut

    def trace(self, event: str, details: Mapping[str, Any]) -> None:
        """Listen to the HTTP client (its ``trace`` extension) for new connections."""
        if event == "connection.connect_tcp.complete":
            opened: socket.socket = details["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.append(opened.dup())
            if self._cut:
                self.cut()

    def cut(self) -> None:
        """End the connection, and any that is made later; safe from every thread, and more than once."""
        with self._lock:
            self._cut = True
            for connection in self._sockets:
                with contextlib.suppress(OSError):  # the other side may have gone first
                    connection.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the duplicates back to the system, once the answer is over."""
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()


class WiredClient(InferenceClient):
    """An InferenceClient whose requests go over a session and a wire of its own.

    Upstream sends everything through one session of the whole process. That session takes proxies from the
    environment even for loopback, holds at most 100 connections, cannot be interrupted while it waits, and cuts its
    lines at U+0085, U+2028 and U+2029, which stand unescaped inside the JSON that llama.cpp and vLLM send.
    """

    def __init__(self, session: httpx2.Client, wire: Wire, patience: float, **options: Any) -> None:
        super().__init__(**options)
        self._session, self._wire, self._patience = session, wire, patience

    def _inner_post(self, request_parameters: Any, *, stream: bool = False) -> Any:
        """Send a prepared request and give the lines of the answer. Raises Refused for a status that is not 2xx."""
        request = self._session.stream(
            "POST",
            request_parameters.url,
            json=request_parameters.json,
            headers=request_parameters.headers,
            extensions={"trace": self._wire.trace},
        )
        response = self.exit_stack.enter_context(request)
        if not response.is_success:
            raise refusal(response)
        return lines(response.iter_bytes(), self._patience)


def session(url: str | None, patience: float) -> httpx2.Client:
    """A client for one answer from ``url`` (none: the Hub's router).

    Proxies of the environment are for other hosts, never for this one. Redirects are not followed, so that a key never
    travels further than it was sent. No connection is used twice: a server may close an idle one at any moment.
    """
    parts = urlsplit(url or "https://")
    verify: ssl.SSLContext | bool = _trust() if parts.scheme == "https" else False
    timeout = httpx2.Timeout(patience, connect=min(patience, CONNECT_SECONDS))
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(timeout=timeout, limits=limits, trust_env=not is_loopback(parts.hostname), verify=verify)


@functools.cache
def _trust() -> ssl.SSLContext:
    """The certificates that are trusted; made once, since reading them takes longer than to connect."""
    return httpx2.create_ssl_context()


def lines(chunks: Iterable[bytes], patience: float) -> Iterator[str]:
    """Split a body at line feeds only.

    Raises:
        Silent: no event came for ``patience`` seconds, though comments or single bytes kept the connection warm.
        ValueError: a line is not UTF-8 or longer than a mebibyte.
    """
    rest, heard = b"", time.monotonic()
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        spoke = any(line.startswith(b"data:") for line in whole)
        if not spoke and time.monotonic() - heard > patience:
            raise Silent
        yield from (line.decode().strip() for line in whole)
        if spoke:
            heard = time.monotonic()
        if len(rest) > LONGEST_LINE:
            raise ValueError("a line without end")
    yield rest.decode().strip()


def refusal(response: httpx2.Response) -> Refused:
    """What a server said when it refused, in its own words as far as they can be found."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > LONGEST_REFUSAL:
            break
    headers = response.headers
    return Refused(response.status_code, words_of(body, headers), headers.get("retry-after"), headers.get("location"))


def words_of(body: bytes, headers: Mapping[str, str]) -> str:
    """The message in an error body, whichever of the usual shapes it has; empty if there is none."""
    try:
        return said(json.loads(body))
    except ValueError:
        plain = "html" not in headers.get("content-type", "")
        return body.decode(errors="replace") if plain else ""


def said(error: Any) -> str:
    """Find the words in ``{"error": {"message": …}}``, ``{"error": …}``, ``{"message": …}`` or ``{"detail": …}``."""
    while isinstance(error, dict):
        error = next((error[key] for key in ("error", "message", "detail") if error.get(key)), "")
    return error if isinstance(error, str) else json.dumps(error)
