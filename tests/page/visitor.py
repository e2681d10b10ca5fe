"""A program that speaks to the page as a browser would, or not quite."""

from __future__ import annotations

import html
import json
import re
from contextlib import closing
from typing import Any

import httpx

from labeler.ids import new_id
from labeler.store import Store
from tests.served import Served


class Visitor:
    """One annotator without a browser: the cookie, our own routes, and Gradio's as its client calls them."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.http = httpx.Client(base_url=served.address, timeout=20)
        self.page = self.http.get("/").text
        self.cookie = next(iter(self.http.cookies.jar))
        self.conversation = ""
        self.answer = ""

    def close(self) -> None:
        self.http.close()

    def events(self) -> int:
        """How far the log goes."""
        with closing(Store.open(self.served.database)) as store:
            return store.position()

    # ── our own routes ──

    def post(self, gesture: object) -> httpx.Response:
        """Post anything as a gesture; bytes go as they are."""
        body = gesture if isinstance(gesture, bytes) else json.dumps(gesture).encode()
        return self.http.post("/api/gesture", content=body, headers={"content-type": "application/json"})

    def vote(self) -> dict[str, Any]:
        """A vote on the last answer, under a fresh nonce."""
        nonce = new_id()
        return {
            "kind": "vote",
            "nonce": nonce,
            "conversation": self.conversation,
            "message": self.answer,
            "value": 1,
        }

    # ── Gradio's routes ──

    def say(self, text: str) -> None:
        """Send a message and wait for the answer's end."""
        output = self.call({"kind": "send", "nonce": new_id(), "conversation": self.conversation or None, "text": text})
        facts = json.loads(html.unescape(re.search(r'data-view="([^"]*)"', output["data"][1])[1]))  # type: ignore[index]
        self.conversation = facts["view"]["conversation"]
        self.answer = facts["view"]["messages"][-1]["id"]

    def call(self, claims: object) -> dict[str, Any]:
        """Run the handler behind Send with any claims; returns what the page is told last."""
        session = new_id()[-12:]
        body = {"data": [claims, None], "fn_index": self.handler(), "session_hash": session, "event_data": None}
        assert self.http.post("/gradio_api/queue/join", json=body).status_code == 200
        said: dict[str, Any] = {}
        with self.http.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    said = message["output"]
                    break
        assert "Traceback" not in json.dumps(said)
        return said

    def handler(self) -> int:
        """The number of the handler behind Send."""
        config = json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", self.page, re.DOTALL)[1])  # type: ignore[index]
        return next(each["id"] for each in config["dependencies"] if "gesture('send')" in str(each["js"]))
