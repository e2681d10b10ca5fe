"""What stands before everything else: who may speak to which path, how much they may say, and what browsers are told.

Gradio serves far more than a chat page needs (uploads, an API, recordings, monitoring) and reflects any origin. Here is
the short list of what the page uses; the rest of Gradio does not exist for the outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSED = re.compile(
    r"(/[a-z]+)?/(gradio_api(?!/(queue/(join|data)|heartbeat/|startup-events|app_id|file=|theme\.css))"
    r"|config|monitoring|login|logout|openapi\.json|docs|redoc|pwa_icon|custom_component|robots\.txt)"
)
HEADERS = (
    (
        b"content-security-policy",
        # Gradio makes functions from text and styles elements inline; nothing is ever loaded from elsewhere.
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
        b" img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self';"
        b" form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


@dataclass(frozen=True, slots=True)
class Shield:
    """ASGI middleware: closed paths, foreign origins and oversized bodies get a short answer."""

    app: ASGIApp
    max_body: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await answer(send, *refusal)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in HEADERS if pair[0] not in own)]
            await send(message)

        await self.app(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if CLOSED.match(scope["path"]):
            return 404, "There is nothing here."
        if scope["method"] in ("GET", "HEAD"):
            return None
        if not same_origin(headers):
            return 403, "This page takes gestures from itself only."
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return 411, "Say how long the body is."
        if int(length) > self.max_body:
            return 413, "That is too long."
        return None


def same_origin(headers: dict[bytes, bytes]) -> bool:
    """Whether a request that changes something comes from this very page, as far as the browser says.

    What a browser says about the site comes first: behind a proxy the host may be another one than in the address bar.
    Plain http elsewhere than on this machine has only the origin; a program that is no browser says neither.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        return site in (b"none", b"same-origin")
    return origin is None or urlsplit(origin.decode("latin-1")).netloc == headers.get(b"host", b"").decode("latin-1")


async def answer(send: Send, status: int, line: str) -> None:
    """A short refusal that any client understands."""
    body = b'{"error": "%s"}' % line.encode()
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *HEADERS],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
