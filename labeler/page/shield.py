"""What stands before everything else: who may speak to which path, how much they may say, and what browsers are told.

Gradio serves far more than a chat page needs (uploads, an API, recordings, monitoring) and reflects any origin. Here is
the short list of what the page uses; the rest of Gradio does not exist for the outside.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSED = re.compile(
    r"(/[a-z]+)?/(gradio_api(?!/(queue/(join|data)/?$|heartbeat/|startup-events/?$|app_id/?$|theme\.css$))"
    r"|config|monitoring|login|logout|openapi\.json|docs|redoc|pwa_icon|custom_component|robots\.txt)"
)
PICTURE = re.compile(r"(/[a-z]+)?/gradio_api/file=")
PLAIN = re.compile(r"/[!-\[\]-~]{0,2000}")  # no path of ours or of Gradio's has more than visible ASCII in it
READS = ("GET", "HEAD")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
# Gradio's page needs two things that a strict policy forbids. 'unsafe-eval': it makes functions from the text of
# listeners. Styles 'unsafe-inline': it styles elements by attributes and adds sheets from its scripts. Scripts within
# the document are named by their digests (page/document.py), so none can be slipped in. Nothing loads from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'{scripts}; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self' data:; connect-src 'self'; manifest-src 'self';"
    " base-uri 'self'; form-action 'none'; frame-ancestors {frames}"
)
CSP = b"content-security-policy"
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-permitted-cross-domain-policies", b"none"),
    (
        b"permissions-policy",
        b"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(),"
        b" microphone=(), midi=(), payment=(), usb=()",
    ),
)
LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?")
NOWHERE = "There is nothing here."
FOREIGN = "This page takes gestures from itself only."
OTHER_NAME = "This page is asked for under a name that is not its own; list it under origins in the study file."
LATE = "The rest of what you sent did not come. Send it again."


def policy(frames: str = "'none'", scripts: str = "") -> bytes:
    """The content security policy; ``frames``: who may show the page in one, ``scripts``: more sources of them."""
    return POLICY.format(frames=frames, scripts=scripts).encode()


@dataclass(frozen=True)
class Terms:
    """On which terms anybody may speak here.

    Args:
        max_body: bytes.
        body_seconds: what a request holds has to be there by then.
        origins: other origins whose pages may speak to this one and show it in a frame.
        pictures: whether Gradio serves pictures of the study's.
        loopback: the page is for this machine alone, so nobody asks for it under a foreign name, unless a foreign page
            has had its own name lead here.
    """

    max_body: int
    body_seconds: float = 20.0
    origins: Sequence[str] = ()
    pictures: bool = False
    loopback: bool = False

    @cached_property
    def frames(self) -> str:
        return f"'self' {' '.join(self.origins)}" if self.origins else "'none'"

    @cached_property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What every answer says; X-Frame-Options cannot name an origin."""
        return ((CSP, policy(self.frames)), *HEADERS, *(() if self.origins else ((b"x-frame-options", b"DENY"),)))

    @cached_property
    def hosts(self) -> frozenset[str]:
        return frozenset(urlsplit(origin).netloc for origin in self.origins)

    def policy(self, scripts: str) -> bytes:
        """The policy of a document with scripts of its own."""
        return policy(self.frames, scripts)

    def known_host(self, host: str) -> bool:
        return not self.loopback or LOOPBACK.fullmatch(host) is not None or host in self.hosts


@dataclass(frozen=True, slots=True)
class Shield:
    """ASGI middleware: closed paths, foreign origins, oversized and endless bodies get a short answer."""

    app: ASGIApp
    terms: Terms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in self.terms.headers if pair[0] not in own)]
            await send(message)

        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await answer(guarded, *refusal)
        elif scope["method"] not in WRITES:
            await self.app(scope, receive, guarded)
        else:
            await self._with_body(int(headers[b"content-length"]), scope, receive, guarded)

    async def _with_body(self, length: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the body first: nobody behind waits for what may never come."""
        parts: list[Message] = []
        try:
            async with asyncio.timeout(self.terms.body_seconds):
                while not parts or parts[-1].get("more_body", False):
                    parts.append(await receive())
        except TimeoutError:
            await answer(send, 408, LATE, ((b"connection", b"close"),))
            return
        if parts[-1]["type"] == "http.disconnect":
            return  # half a gesture is none
        parts.reverse()

        async def replay() -> Message:
            return parts.pop() if parts else await receive()

        await self.app(scope, replay, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        path = scope["path"]
        if not PLAIN.fullmatch(path) or (CLOSED.match(path) and not (self.terms.pictures and PICTURE.match(path))):
            return 404, NOWHERE
        if not self.terms.known_host(headers.get(b"host", b"").decode("latin-1")):
            return 421, OTHER_NAME
        method = scope["method"]
        if method in READS or (method == "OPTIONS" and self.terms.origins):
            return None
        return self._refused_write(method, headers)

    def _refused_write(self, method: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if method not in WRITES:
            return 405, "That is not done here."
        if not self._of_ours(headers):
            return 403, FOREIGN
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return 411, "Say how long the body is."
        return (413, "That is too long.") if int(length) > self.terms.max_body else None

    def _of_ours(self, headers: dict[bytes, bytes]) -> bool:
        return headers.get(b"origin", b"").decode("latin-1") in self.terms.origins or same_origin(headers)


def same_origin(headers: dict[bytes, bytes]) -> bool:
    """Whether a request that changes something comes from this very page, as far as the browser says.

    What a browser says about the site comes first: behind a proxy the host may be another one than in the address bar.
    Plain http elsewhere than on this machine has only the origin; a program that is no browser says neither.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        return site in (b"none", b"same-origin")
    return origin is None or _place_of(origin) == headers.get(b"host", b"").decode("latin-1")


def _place_of(origin: bytes) -> str:
    try:
        return urlsplit(origin.decode("latin-1")).netloc
    except ValueError:
        return ""


async def answer(send: Send, status: int, line: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """A short refusal that any client understands."""
    body = b'{"error": "%s"}' % line.encode()
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
