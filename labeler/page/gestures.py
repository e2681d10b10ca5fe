"""Where votes, reasons and comparisons arrive: a route of our own, and a short one.

They do not travel through Gradio: after one failed request it silently drops every later gesture of the page, and its
way to a handler costs several times as much. For the same reason this stands before the framework's router and speaks
ASGI. A gesture is answered when it is on disk, not before.
"""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.chat import Comparer, Opinion, Receipt, Recorder, Reviewer
from labeler.core.choosing import Times, Verdict
from labeler.core.roles import Visitor
from labeler.doors import line_of, status_of, whole_body
from labeler.errors import GestureRefused, LabelerError
from labeler.page.access import note_conversation
from labeler.page.recognition import visitor_in
from labeler.page.wire import (
    ChooseGesture,
    CompareGesture,
    Posted,
    ReasonGesture,
    ReviewGesture,
    VoteGesture,
    parse_posted,
)

PATH = "/api/gesture"
THREADS = 32
MAX_BYTES = 64 * 1024
NO_IDENTITY = "This browser is not known here. Allow cookies for this page and reload it."
TOO_LONG = "That is too long."
ONLY_POST = "Gestures are posted."
BROKEN = "Something went wrong on the server. Nothing was stored."
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gestures:
    """ASGI middleware around one path; everything else passes through."""

    app: ASGIApp
    recorder: Recorder
    comparer: Comparer | None
    reviewer: Reviewer | None
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "gesture"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.app(scope, receive, send)
            return
        status, body = await self._answer(scope, receive)
        payload = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(payload))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, dict[str, Any]]:
        if scope["method"] != "POST":
            return 405, {"error": ONLY_POST}
        visitor = visitor_in(scope)
        if visitor is None:
            return 401, {"error": NO_IDENTITY}
        body = await whole_body(receive, MAX_BYTES)
        if body is None:
            return 413, {"error": TOO_LONG}
        try:
            posted = parse_posted(body)
            note_conversation(scope, posted.conversation)
            receipt = await asyncio.wrap_future(await self._recorded(visitor, posted))
        except LabelerError as error:
            return status_of(error), {"error": line_of(error)}
        except Exception:  # noqa: BLE001 - a defect must not look like a refusal: the browser keeps the gesture and tries again
            _LOG.exception("a posted gesture failed")
            return 503, {"error": BROKEN}
        return 200, {"position": receipt.position, "stored": len(receipt.event_ids)}

    async def _recorded(self, visitor: Visitor, posted: Posted) -> Future[Receipt]:
        """Begun here and now, which is quickest, if nothing has to be read first: a database that is slow or hangs must
        not keep those waiting who ask for something else."""
        if isinstance(posted, ReviewGesture) or self.recorder.at_hand(visitor.annotator_id, posted.conversation):
            return self._record(visitor, posted)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._record, visitor, posted)

    def _record(self, visitor: Visitor, posted: Posted) -> Future[Receipt]:
        annotator = visitor.annotator_id
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
            case ChooseGesture():
                return self._choose(annotator, posted)
            case ReviewGesture():
                return self._review(visitor, posted)

    def _review(self, visitor: Visitor, posted: ReviewGesture) -> Future[Receipt]:
        if self.reviewer is None:
            raise GestureRefused("This study has nothing to review. Reload the page.")
        opinion = Opinion(
            choice=posted.choice,
            good=posted.good,
            flag=posted.flag,
            void=posted.void,
            reasons=posted.reasons,
            comment=posted.comment.strip(),
            times=Times(seen_left=posted.seen_left, seen_right=posted.seen_right, decision=posted.decision),
        )
        return self._pool.submit(self.reviewer.say, visitor, posted.lease, opinion)

    def _choose(self, annotator: str, posted: ChooseGesture) -> Future[Receipt]:
        if self.comparer is None:
            raise GestureRefused("This study compares nothing side by side. Reload the page.")
        times = Times(seen_left=posted.seen_left, seen_right=posted.seen_right, decision=posted.decision)
        verdict = Verdict(choice=posted.choice, reasons=posted.reasons, comment=posted.comment.strip(), times=times)
        return self.comparer.choose(annotator, posted.nonce, posted.conversation, posted.message, verdict)
