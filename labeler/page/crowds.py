"""Rates at the door: how often one annotator, and one address, may ask.

An annotator is a cookie that anybody can have another one of, so an address has a rate too: a higher one, since a whole
office may share it. This machine itself has none, and neither has a proxy that vouches for people: it speaks for all.
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.page.gestures import PATH as GESTURE
from labeler.page.recognition import visitor_in
from labeler.page.shield import answer
from labeler.rates import KEYS_KEPT, Rate

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# What a page asks for by itself and what costs next to nothing: the pulse, and files.
LIGHT = re.compile(
    r"(/[a-z]+)?/(api/alive|page/.*|assets/.*|static/.*|svelte/.*|favicon\.ico|manifest\.json|theme\.css)"
)
JOIN = re.compile(r"(/[a-z]+)?/gradio_api/queue/join/?")
LOCAL = ("127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104")
IPV6_SITE = 64  # bits: whoever has one address of such a network has all of them
TOO_FAST = "That was too fast. Wait {} s; what was not taken is sent again then."
TOO_MANY = "Too much comes from your address. Wait {} s; what was not taken is sent again then."


@dataclass(frozen=True, slots=True)
class Crowds:
    """ASGI middleware. ``unlimited``: the addresses that speak for many."""

    app: ASGIApp
    gestures: Rate
    turns: Rate
    addresses: Rate
    unlimited: tuple[Network, ...] = field(default_factory=lambda: tuple(map(ipaddress.ip_network, LOCAL)))

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


def address_of(scope: Scope, unlimited: tuple[Network, ...]) -> str:
    """Whose address a request comes from, an IPv6 one without what a site gives out itself; empty: nobody's."""
    client = scope.get("client")
    return _key_of(client[0], unlimited) if client else ""


@lru_cache(KEYS_KEPT)
def _key_of(host: str, unlimited: tuple[Network, ...]) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host  # what a proxy wrote there
    if any(address in network for network in unlimited):
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, IPV6_SITE), strict=False))
    return str(address)


async def too_much(send: Send, line: str, seconds: float) -> None:
    """429, with the line that the page shows and the time at which to go on."""
    whole = max(1, math.ceil(seconds))
    await answer(send, 429, line.format(whole), ((b"retry-after", b"%d" % whole),))
