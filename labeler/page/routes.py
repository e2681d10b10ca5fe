"""The page's other routes: the pulse, the sidebar's facts, and the assets."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from labeler.chat import LISTED, Recorder
from labeler.doors import line_of, status_of
from labeler.errors import LabelerError
from labeler.page.assets import FOR_EVER, Assets
from labeler.page.gestures import NO_IDENTITY
from labeler.page.recognition import Recognizer, visitor_in

AS_MANY = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Routes:
    """Everything that the page serves beside Gradio."""

    recorder: Recorder
    recognizer: Recognizer
    boot_id: str
    assets: Assets

    def add_to(self, app: FastAPI) -> None:
        app.add_route("/api/alive", self.alive)
        app.add_route("/api/me", self.me)
        app.add_route("/api/adopt", self.adopt, methods=["POST"])
        app.add_route(f"/{self.assets.base}/{{name}}", self.asset)

    async def alive(self, request: Request) -> Response:
        """The pulse: which server process answers, and to whom. A page that sees another one reloads itself."""
        visitor = visitor_in(request.scope)
        return answer({"boot": self.boot_id, "annotator": visitor.annotator_id if visitor else None})

    def me(self, request: Request) -> Response:
        """What the sidebar shows about the one who looks: id, counts and the latest ``?conversations=`` of theirs."""
        visitor = visitor_in(request.scope)
        if visitor is None:
            return refused(401, NO_IDENTITY)
        annotator = visitor.annotator_id
        most = request.query_params.get("conversations", "")
        try:
            mode = request.query_params.get("mode", "chat")
            listed, more = self.recorder.conversations(
                annotator, int(most) if AS_MANY.fullmatch(most) else LISTED, mode
            )
            body = {
                "annotator": annotator,
                "name": visitor.name,
                "progress": asdict(self.recorder.progress(annotator)),
                "conversations": [asdict(each) for each in listed],
                "more": more,
                "adoptable": self._adoptable(request, annotator),
            }
        except LabelerError as error:
            return refused(status_of(error), line_of(error))
        return answer(body)

    def adopt(self, request: Request) -> Response:
        """Take over what this browser's annotator gave before they signed in."""
        visitor, former = visitor_in(request.scope), self.recognizer.former(request.scope)
        if visitor is None:
            return refused(401, NO_IDENTITY)
        try:
            return answer({"adopted": self.recorder.adopt(visitor.annotator_id, former) if former else 0})
        except LabelerError as error:
            return refused(status_of(error), line_of(error))

    def _adoptable(self, request: Request, annotator_id: str) -> int:
        former = self.recognizer.former(request.scope)
        return self.recorder.adoptable(annotator_id, former) if former else 0

    async def asset(self, request: Request) -> Response:
        asset = self.assets.files.get(request.path_params["name"])
        if asset is None:
            return refused(404, "There is nothing here.")
        headers = {"cache-control": FOR_EVER, "content-encoding": "gzip"}
        return Response(asset.packed, media_type=asset.media_type, headers=headers)


def answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status, media_type="application/json", headers={"cache-control": "no-store"})


def refused(status: int, line: str) -> Response:
    return Response(json.dumps({"error": line}), status, media_type="application/json")
