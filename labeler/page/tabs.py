"""The door to Gradio: what a page's tab may say to it, and whose tab it is.

Gradio runs whatever handler it is asked for, on behalf of any session that is named; whoever learns the session of
another tab could read what is shown there. Here a session's name is joined to who asks, so that another's names
nothing; a call is taken apart and put together again from what the pages send; and event streams are counted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labeler.doors import Network, address_of, whole_body
from labeler.errors import GestureRefused
from labeler.page.crowds import too_much
from labeler.page.recognition import visitor_in
from labeler.page.shield import answer
from labeler.page.wire import MALFORMED
from labeler.rates import Seats

PLACE = re.compile(r"(?P<page>/(?:[a-z]+/)?)gradio_api/(?P<what>queue/join|queue/data|heartbeat/(?P<session>[^/]*))/?")
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
DEEPEST = 4
AGAIN_SECONDS = 5.0
TOO_MANY_TABS = "Too many pages are open. Close some; the others go on in {} s."


@dataclass(frozen=True, slots=True)
class Tabs:
    """ASGI middleware.

    Args:
        handlers: the numbers of the handlers that a page has, by the page's path.
        limit: the longest body, in bytes.
        own, shared: event streams at once, of an annotator and of an address.
        unlimited: the addresses that speak for many.
    """

    app: ASGIApp
    handlers: Mapping[str, Set[int]]
    limit: int
    own: Seats
    shared: Seats
    unlimited: tuple[Network, ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = PLACE.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if place is None:
            await self.app(scope, receive, send)
        elif place["what"] == "queue/join":
            await self._join(place["page"], scope, receive, send)
        else:
            await self._stream(place, scope, receive, send)

    async def _join(self, page: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await answer(send, 405, "Turns are posted.")
            return
        body = await whole_body(receive, self.limit)
        try:
            call = self._call(page, body or b"", who(scope))
        except GestureRefused as error:
            await answer(send, 422, str(error))
            return
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"content-type")]
        headers += [(b"content-length", b"%d" % len(call)), (b"content-type", b"application/json")]
        await self.app({**scope, "headers": headers}, _replay(call, receive), send)

    def _call(self, page: str, body: bytes, annotator: str) -> bytes:
        """What Gradio gets: nothing but what the pages' own script sends. Raises GestureRefused."""
        try:
            call = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise GestureRefused(MALFORMED) from error
        if not isinstance(call, dict) or not self._sound(page, call):
            raise GestureRefused(MALFORMED)
        claims, trigger = call["data"][0], call.get("trigger_id")
        known = {
            "data": [claims, None],
            "fn_index": call["fn_index"],
            "session_hash": session_of(annotator, call["session_hash"]),
            "trigger_id": trigger if isinstance(trigger, int) else None,
            "event_data": None,
        }
        return json.dumps(known).encode()

    def _sound(self, page: str, call: dict[str, Any]) -> bool:
        number, session, data = call.get("fn_index"), call.get("session_hash"), call.get("data")
        return (
            type(number) is int
            and number in self.handlers.get(page, ())
            and isinstance(session, str)
            and SESSION.fullmatch(session) is not None
            and isinstance(data, list)
            and len(data) in (1, 2)
            and not deeper(data[0], DEEPEST)
        )

    async def _stream(self, place: re.Match[str], scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await answer(send, 405, "Streams are read.")
            return
        session = place["session"]
        if session is None:
            asked = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=100)
            session = asked.get("session_hash", [""])[0]
        if place["page"] not in self.handlers or not SESSION.fullmatch(session):
            await answer(send, 404, "There is no such stream.")
            return
        annotator, address = who(scope), address_of(scope, self.unlimited)
        with ExitStack() as seats:
            seated = [seats.enter_context(self.own.seat(annotator))] if annotator else []
            seated += [seats.enter_context(self.shared.seat(address))] if address else []
            if all(seated):
                await self._shown(_renamed(scope, place, session_of(annotator, session)), receive, send)
            else:
                await too_much(send, TOO_MANY_TABS, AGAIN_SECONDS)

    async def _shown(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except RuntimeError as error:
            # Of a session that it does not know, Gradio says so on the stream, and then fails.
            if not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b""})


def who(scope: Scope) -> str:
    """The annotator who asks; empty for nobody."""
    visitor = visitor_in(scope)
    return visitor.annotator_id if visitor else ""


def session_of(annotator: str, session: str) -> str:
    """What Gradio calls the session that this annotator's browser calls so."""
    return hashlib.sha256(f"{annotator}\0{session}".encode()).hexdigest()[:32]


def deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings are nested further than that."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(each, levels - 1) for each in inner)


def _renamed(scope: Scope, place: re.Match[str], session: str) -> Scope:
    if place["session"] is None:
        return {**scope, "query_string": urlencode({"session_hash": session}).encode()}
    path = f"{place['page']}gradio_api/heartbeat/{session}"
    return {**scope, "path": path, "raw_path": path.encode()}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that has been read, then whatever comes: the end of the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
