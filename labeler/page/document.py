"""The HTML documents: an identity for who comes without one, and our head before Gradio's scripts."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labeler.core.roles import Visitor
from labeler.page.assets import packed
from labeler.page.pages import Page
from labeler.page.recognition import VISITOR, Recognizer, visitor_in
from labeler.page.shield import CSP

MARK = b"<head>"
# On a phone the keyboard must push the message box up, not cover it.
VIEWPORT = b"width=device-width, initial-scale=1"

SCRIPT = re.compile(rb"<script([^>]*)>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Reply:
    """Which page goes to whom, and the cookie that goes with it."""

    page: Page
    visitor: Visitor | None
    cookie: bytes | None


@dataclass(frozen=True, slots=True)
class Document:
    """ASGI middleware around ``GET`` of the pages: everything else passes through.

    ``head`` makes what stands at the top of a page's document for one who opens it, ``policy`` the content security
    policy of a document that holds the scripts with these digests.
    """

    app: ASGIApp
    recognizer: Recognizer
    pages: Sequence[Page]
    head: Callable[[Page, Visitor | None], bytes]
    policy: Callable[[str], bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = next((page for page in self.pages if page.path == scope.get("path")), None)
        if page is None or scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        visitor, cookie = self.recognizer.welcome(scope, visitor_in(scope))
        reply = _Reply(page, visitor, cookie)
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._reply(scope, reply, start, b"".join(parts), send)

        # Packed once, here, when it is whole.
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await self.app({**scope, "headers": plain, VISITOR: visitor}, receive, collect)

    async def _reply(self, scope: Scope, reply: _Reply, start: Message, body: bytes, send: Send) -> None:
        if start["status"] == 200:
            body = body.replace(MARK, MARK + self.head(reply.page, reply.visitor), 1)
            body = body.replace(VIEWPORT, VIEWPORT + b", interactive-widget=resizes-content", 1)
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        headers.append((CSP, self.policy(digests(body))))
        if b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b""):
            body = packed(body)
            headers.append((b"content-encoding", b"gzip"))
        headers += [
            (b"vary", b"accept-encoding"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        if reply.cookie is not None:
            headers.append((b"set-cookie", reply.cookie))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def digests(document: bytes) -> str:
    """The scripts that stand within a document, as a content security policy names them."""
    scripts = [text for attributes, text in SCRIPT.findall(document) if not _elsewhere(attributes)]
    marks = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in scripts]
    return "".join(f" 'sha256-{mark}'" for mark in dict.fromkeys(marks))


def _elsewhere(attributes: bytes) -> bool:
    """Whether a script comes from an address, or is none."""
    return b"src=" in attributes or b"application/json" in attributes
