"""The HTML document: an identity for who comes without one, and our head before Gradio's scripts."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labeler.page.assets import packed
from labeler.page.identity import Identity

MARK = b"<head>"
# On a phone the keyboard must push the message box up, not cover it.
VIEWPORT = b"width=device-width, initial-scale=1"


@dataclass(frozen=True, slots=True)
class Document:
    """ASGI middleware around ``GET /``: everything else passes through."""

    app: ASGIApp
    identity: Identity
    head: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._reply(scope, start, b"".join(parts), send)

        # Packed once, here, when it is whole.
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await self.app({**scope, "headers": plain}, receive, collect)

    async def _reply(self, scope: Scope, start: Message, body: bytes, send: Send) -> None:
        if start["status"] == 200:
            body = body.replace(MARK, MARK + self.head, 1)
            body = body.replace(VIEWPORT, VIEWPORT + b", interactive-widget=resizes-content", 1)
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        if b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b""):
            body = packed(body)
            headers.append((b"content-encoding", b"gzip"))
        headers += [
            (b"vary", b"accept-encoding"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"set-cookie", self._cookie(scope)),
        ]
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _cookie(self, scope: Scope) -> bytes:
        sent = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
        annotator = self.identity.annotator_in(sent) or self.identity.newcomer()
        return self.identity.set_cookie(annotator, scheme=scope["scheme"]).encode()
