"""The page's own routes: votes and their kin, the pulse, the sidebar's facts, health, and the assets.

Votes do not travel through Gradio: after one failed request it silently drops every later gesture of the page, and a
route of our own is several times faster. A gesture is answered when it is on disk, not before.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from labeler.chat import Receipt, Recorder
from labeler.errors import (
    ConsentNeeded,
    EventConflict,
    GestureRefused,
    LabelerError,
    NotFound,
    SeqConflict,
    StoreError,
)
from labeler.page.assets import FOR_EVER, Assets
from labeler.page.identity import Identity
from labeler.page.wire import CompareGesture, Posted, ReasonGesture, VoteGesture, parse_posted

MAX_GESTURE_BYTES = 64 * 1024
NO_IDENTITY = "This browser is not known here. Allow cookies for this page and reload it."
TOO_LONG = "That is too long."
BROKEN = "Something went wrong on the server. Nothing was stored."
# The first match counts: the special kinds stand before the general ones.
STATUS: tuple[tuple[type[LabelerError], int], ...] = (
    (NotFound, 404),
    (ConsentNeeded, 403),
    (GestureRefused, 422),
    (EventConflict, 409),
    (SeqConflict, 503),
    (StoreError, 503),
    (LabelerError, 422),
)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Routes:
    """Everything that the page serves beside Gradio."""

    recorder: Recorder
    identity: Identity
    study: str
    boot_id: str
    position: Callable[[], int]
    assets: Assets

    def add_to(self, app: FastAPI) -> None:
        app.add_route("/api/gesture", self.gesture, methods=["POST"])
        app.add_route("/api/alive", self.alive)
        app.add_route("/api/me", self.me)
        app.add_route("/healthz", self.health)
        app.add_route(f"/{self.assets.base}/{{name}}", self.asset)

    async def gesture(self, request: Request) -> Response:
        """Take one vote, reason or comparison; 200 after its durable commit.

        4xx: it can never be stored, so do not send it again. 503: the store could not take it now; send it again.
        """
        annotator = self._annotator(request)
        if annotator is None:
            return refused(401, NO_IDENTITY)
        if int(request.headers.get("content-length", "0")) > MAX_GESTURE_BYTES:
            return refused(413, TOO_LONG)
        try:
            receipt = await asyncio.wrap_future(self._record(annotator, parse_posted(await request.body())))
        except LabelerError as error:
            return refused(status_of(error), str(error))
        except Exception:  # noqa: BLE001 - a defect must not look like a refusal: the browser keeps the gesture and tries again
            _LOG.exception("a posted gesture failed")
            return refused(503, BROKEN)
        return answer({"position": receipt.position, "stored": len(receipt.event_ids)})

    def _record(self, annotator: str, posted: Posted) -> Future[Receipt]:
        match posted:
            case VoteGesture():
                return self.recorder.vote(annotator, posted.nonce, posted.conversation, posted.message, posted.value)
            case ReasonGesture():
                return self.recorder.reason(
                    annotator, posted.nonce, posted.conversation, posted.message, posted.reasons, posted.comment
                )
            case CompareGesture():
                return self.recorder.compare(
                    annotator, posted.nonce, posted.conversation, posted.message, posted.winner
                )

    async def alive(self, request: Request) -> Response:
        """The pulse: which server process answers. A page that sees another one reloads itself."""
        return answer({"boot": self.boot_id})

    def me(self, request: Request) -> Response:
        """What the sidebar shows about the one who looks: id, counts and conversations."""
        annotator = self._annotator(request)
        if annotator is None:
            return refused(401, NO_IDENTITY)
        try:
            body = {
                "annotator": annotator,
                "progress": asdict(self.recorder.progress(annotator)),
                "conversations": [asdict(listed) for listed in self.recorder.conversations(annotator)],
            }
        except LabelerError as error:
            return refused(status_of(error), str(error))
        return answer(body)

    def health(self, request: Request) -> Response:
        """Whether the log can be read, and how far it goes."""
        try:
            return answer({"status": "ok", "study": self.study, "position": self.position()})
        except StoreError as error:
            return refused(503, str(error))

    async def asset(self, request: Request) -> Response:
        asset = self.assets.files.get(request.path_params["name"])
        if asset is None:
            return refused(404, "There is nothing here.")
        return Response(asset.body, media_type=asset.media_type, headers={"cache-control": FOR_EVER})

    def _annotator(self, request: Request) -> str | None:
        return self.identity.annotator_in(request.headers.get("cookie"))


def status_of(error: LabelerError) -> int:
    """The HTTP status that tells a client whether sending the same again makes sense."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def answer(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), media_type="application/json", headers={"cache-control": "no-store"})


def refused(status: int, line: str) -> Response:
    return Response(json.dumps({"error": line}), status, media_type="application/json")
