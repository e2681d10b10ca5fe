"""``labeler serve`` with a bare handler beside it: what a durable append costs where nothing is checked or decided.

    python -m tests.load.replica serve --config FILE ...      as ``labeler``, and POST /bare

The bare handler is a Starlette route before everything else of the process. It puts one vote into the same log through
the same writer, of an annotator and a conversation of its own, and answers when that is on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import labeler.app
from labeler.cli import main
from labeler.core.events import (
    ConversationStarted,
    MessageSent,
    NewEvent,
    Payload,
    ReplyFinished,
    ReplyStarted,
    VoteCast,
)
from labeler.errors import StoreError
from labeler.ids import event_id, new_id
from labeler.page import Cases
from labeler.store import Store, utc_now

PATH = "/bare"
STREAMS = 16


class Bare:
    """The bare handler: conversations of its own, so that no two calls at once are about the same one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._streams = [_Stream(store) for _ in range(STREAMS)]
        self._calls = count()

    async def answer(self, request: Request) -> JSONResponse:
        stream = self._streams[next(self._calls) % STREAMS]
        try:
            await asyncio.wrap_future(self._store.submit([stream.vote()]))
        except StoreError as error:  # what was to follow it has no place any more
            self._streams = [_Stream(self._store) if one is stream else one for one in self._streams]
            return JSONResponse({"error": str(error)}, 503)
        return JSONResponse({"stored": 1})


class _Stream:
    """One conversation of one annotator, with one answer."""

    def __init__(self, store: Store) -> None:
        self._annotator, self._conversation, question, self._answer = (new_id() for _ in range(4))
        self._seq = 0
        started = ReplyStarted(
            message_id=self._answer,
            parent_id=question,
            model="none",
            model_id="none",
            model_revision=None,
            sampling={},
            system_prompt_sha256=None,
        )
        store.append(
            self._next(
                ConversationStarted(study="load", mode="chat", model="none"),
                MessageSent(message_id=question, parent_id=None, content="Why?"),
                started,
                ReplyFinished(message_id=self._answer, content="Because.", status="complete"),
            )
        )

    def vote(self) -> NewEvent:
        return self._next(VoteCast(message_id=self._answer, vote=1 if self._seq % 2 else -1))[0]

    def _next(self, *payloads: Payload) -> Sequence[NewEvent]:
        events = []
        for payload in payloads:
            self._seq += 1
            events.append(
                NewEvent(
                    event_id=event_id(self._annotator, str(self._seq), 0),
                    conversation_id=self._conversation,
                    seq=self._seq,
                    at=utc_now(),
                    annotator_id=self._annotator,
                    payload=payload,
                )
            )
        return events


class Beside:
    """ASGI middleware that hands one path to the bare handler."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self._app = app
        self._bare = Starlette(routes=[Route(PATH, Bare(store).answer, methods=["POST"])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bare = scope["type"] == "http" and scope["path"] == PATH
        await (self._bare if bare else self._app)(scope, receive, send)


def build_page(cases: Cases, *rest: Any) -> FastAPI:
    app = _build_page(cases, *rest)
    app.add_middleware(Beside, store=cases.recorder.writing.store)
    return app


_build_page = labeler.app.build_page

if __name__ == "__main__":
    labeler.app.build_page = build_page
    main()
