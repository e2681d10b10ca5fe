"""What all doors of a served study share: how errors are answered, how bodies are read, whose address is whose."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from starlette.types import Receive, Scope

from labeler.errors import (
    ConsentNeeded,
    EventConflict,
    GestureRefused,
    LabelerError,
    MovedOn,
    NotFound,
    StoreError,
    TokenRefused,
)
from labeler.rates import KEYS_KEPT

# The first match counts: the special kinds stand before the general ones. What only the store refused may come again.
STATUS: tuple[tuple[type[LabelerError], int], ...] = (
    (NotFound, 404),
    (ConsentNeeded, 403),
    (MovedOn, 409),
    (GestureRefused, 422),
    (EventConflict, 409),
    (StoreError, 503),
    (TokenRefused, 401),
    (LabelerError, 422),
)
RETRY_SECONDS = 2

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOCAL: tuple[Network, ...] = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104")))
IPV6_SITE = 64  # bits: whoever has one address of such a network has all of them


def status_of(error: LabelerError) -> int:
    """The HTTP status that tells a client whether sending the same again makes sense (5xx) or not (4xx)."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def line_of(error: LabelerError) -> str:
    """What to tell whoever is at the door: where the database is, and what its driver said, does not concern them."""
    line = error.line if isinstance(error, StoreError) else str(error)
    return line[:1].upper() + line[1:]


def retry_after(status: int) -> int | None:
    """In how many seconds the same may be sent again, where that makes sense."""
    return RETRY_SECONDS if status == 503 else None


async def whole_body(receive: Receive, limit: int) -> bytes | None:
    """The body of a request, or ``None`` if it is longer than that or was broken off."""
    parts: list[bytes] = []
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > limit:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


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
