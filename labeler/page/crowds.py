"""Rates at the door: how often one annotator, and one address, may ask.

An annotator is a cookie that anybody can have another one of, so an address has a rate too: a higher one, since a whole
office may share it. This machine itself has none, and neither has a proxy that vouches for people: it speaks for all.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.doors import LOCAL, Network, address_of
from labeler.page.gestures import PATH as GESTURE
from labeler.page.recognition import visitor_in
from labeler.page.shield import answer
from labeler.rates import Rate

# What a page asks for by itself and what costs next to nothing: the pulse, and files.
LIGHT = re.compile(
    r"(/[a-z]+)?/(api/alive|page/.*|assets/.*|static/.*|svelte/.*|favicon\.ico|manifest\.json|theme\.css)"
)
JOIN = re.compile(r"(/[a-z]+)?/gradio_api/queue/join/?")
TOO_FAST = "That was too fast. Wait {} s; what was not taken is sent again then."
TOO_MANY = "Too much comes from your address. Wait {} s; what was not taken is sent again then."


@dataclass(frozen=True, slots=True)
class Crowds:
    """ASGI middleware. ``unlimited``: the addresses that speak for many."""

    app: ASGIApp
    gestures: Rate
    turns: Rate
    addresses: Rate
    unlimited: tuple[Network, ...] = field(default_factory=lambda: LOCAL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seconds, line = self._wait(scope)
            if seconds:
                await too_much(send, line, seconds)
                return
        await self.app(scope, receive, send)

    def _wait(self, scope: Scope) -> tuple[float, str]:
        path: str = scope["path"]
        if scope["method"] == "POST" and (rate := self._rate(path)):
            visitor = visitor_in(scope)
            seconds = rate.wait(visitor.annotator_id) if visitor else 0.0
            if seconds:
                return seconds, TOO_FAST
        elif LIGHT.fullmatch(path):
            return 0.0, ""
        address = address_of(scope, self.unlimited)
        return (self.addresses.wait(address) if address else 0.0), TOO_MANY

    def _rate(self, path: str) -> Rate | None:
        if path == GESTURE:
            return self.gestures
        return self.turns if JOIN.fullmatch(path) else None


async def too_much(send: Send, line: str, seconds: float) -> None:
    """429, with the line that the page shows and the time at which to go on."""
    whole = max(1, math.ceil(seconds))
    await answer(send, 429, line.format(whole), ((b"retry-after", b"%d" % whole),))
