"""What all doors of a served study share: how errors are answered, and how bodies are read."""

from __future__ import annotations

from starlette.types import Receive

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


def status_of(error: LabelerError) -> int:
    """The HTTP status that tells a client whether sending the same again makes sense (5xx) or not (4xx)."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


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
