"""Every request gets an id and is told of when it is answered: outermost of all, so that refusals count, too.

A client may bring an id in ``X-Request-ID``; the answer names it there. What is told holds no address as it was asked
for: a route is one of a bounded set of names.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labeler.watching import REQUEST, Answered, Watch

NOTES = "labeler.notes"
HEADER = b"x-request-id"
WELL_FORMED = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]{7,63}")
CONVERSATION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
API = "/api/v1"  # one name for all of it: it has ids in its paths
NAMES_KNOWN = 1024
# A fresh id is this process's own name and a number: drawn anew for each request it would cost as much as counting it.
_BOOT = secrets.token_hex(6)
_NUMBERS = itertools.count(1)
# Gradio's own, below each page.
GRADIO = re.compile(
    r"(?:/[a-z]+)?(/gradio_api/(?:queue/(?:join|data)|heartbeat|startup-events|app_id|file|theme\.css|info)"
    r"|/assets|/static|/theme\.css|/favicon\.ico|/manifest\.json|/page(?=/))\b"
)


@dataclass(slots=True)
class Notes:
    """What is found out about a request on its way in; everything behind the first door may write into it."""

    request_id: str
    annotator_id: str | None = None
    conversation_id: str | None = None


class RouteNames:
    """What a path is called: its route's pattern, or one word for all that is no route of ours.

    Args:
        routes: those of the application, as far as they are known when the first request comes.
        pages: the paths of the pages.
    """

    def __init__(self, routes: Sequence[BaseRoute], pages: Sequence[str]) -> None:
        self._routes = routes
        self._pages = frozenset(pages)
        # Few paths are asked for again and again, and finding a pattern takes longer than an answer may wait.
        self.name = lru_cache(NAMES_KNOWN)(self._found)

    def _found(self, path: str) -> str:
        if path == API or path.startswith(f"{API}/"):
            return API
        if path in self._pages:
            return path
        if gradio := GRADIO.match(path):
            return gradio[1]
        for route in self._routes:
            if isinstance(route, Route) and route.path_regex.match(path):
                return route.path
        return OTHER


@dataclass(frozen=True, slots=True)
class Access:
    """ASGI middleware."""

    app: ASGIApp
    watch: Watch
    names: RouteNames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        notes = Notes(request_id_of(scope))
        REQUEST.set(notes.request_id)  # a request is a task of its own, and so is its context
        begun, status, seconds = time.perf_counter(), 500, -1.0

        async def noting(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - begun
                message["headers"] = [*message["headers"], (HEADER, notes.request_id.encode())]
            await send(message)

        try:
            await self.app({**scope, NOTES: notes}, receive, noting)
        finally:
            self.watch.answered(
                Answered(
                    request_id=notes.request_id,
                    method=scope["method"] if scope["method"] in METHODS else OTHER,
                    route=self.names.name(scope["path"]),
                    status=status,
                    seconds=seconds if seconds >= 0 else time.perf_counter() - begun,
                    annotator_id=notes.annotator_id,
                    conversation_id=notes.conversation_id,
                )
            )


def request_id_of(scope: Scope) -> str:
    """The id that a client brought, if it has the form of one, else a fresh one."""
    for name, value in scope["headers"]:
        if name == HEADER and WELL_FORMED.fullmatch(value):
            return str(value, "ascii")
    return f"{_BOOT}{next(_NUMBERS):08x}"


def notes_in(scope: Any) -> Notes | None:
    """What may be noted about this request; None where nobody asked for it."""
    notes = scope.get(NOTES)
    return notes if isinstance(notes, Notes) else None


def note_visitor(scope: Any, annotator_id: str) -> None:
    """It was proven who sends this request."""
    if notes := notes_in(scope):
        notes.annotator_id = annotator_id


def note_conversation(scope: Any, conversation_id: str) -> None:
    """The request names this conversation; anything that is no id is not noted."""
    notes = notes_in(scope)
    if notes and CONVERSATION.fullmatch(conversation_id):
        notes.conversation_id = conversation_id
