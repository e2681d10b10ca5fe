"""The API over real HTTP and a real log, without the page beside it."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from labeler.accounts import Tokens
from labeler.api import Api, Limiter
from labeler.api.front import unlimited
from labeler.chat import Intake, Writing
from labeler.store import Store, utc_now
from labeler.study import Study, parse_study

WAIT = 20.0
KEYS = itertools.count()


def study_with(**keys: object) -> Study:
    model = {"name": "none", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "none"}
    return parse_study({"name": "told", "models": [model], "vote_reasons": ["Correct", "Too long"]} | keys)


@contextmanager
def answering(app: Any) -> Iterator[str]:
    """Serve an application on a free port of loopback; the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + WAIT
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(WAIT)


@dataclass
class FrontEnd:
    """Another front end: it tells one API, with one token, what its annotators do. Answers are asserted to be good."""

    address: str
    token: str
    http: httpx.Client
    _keys: Iterator[int] = field(default_factory=KEYS.__iter__)

    def key(self) -> str:
        return f"key-{next(self._keys):06}"

    def call(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token}"} | ({"idempotency-key": key} if key else {}) | headers
        return self.http.request(method, f"{self.address}/api/v1{path}", json=body, headers=sent)

    def tell(self, noun: str, body: Any, conversation: str = "", key: str | None = None) -> dict[str, Any]:
        path = f"/conversations/{conversation}/{noun}" if conversation else f"/{noun}"
        answer = self.call("POST", path, body, key or self.key())
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def refused(self, noun: str, body: Any, conversation: str = "", key: str | None = None) -> tuple[int, str]:
        path = f"/conversations/{conversation}/{noun}" if conversation else f"/{noun}"
        answer = self.call("POST", path, body, key or self.key())
        assert answer.headers["content-type"] == "application/json"
        return answer.status_code, answer.json()["error"]

    def read(self, path: str) -> dict[str, Any]:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    # ── whole stories ──

    def begin(self, annotator: str = "ann", **body: object) -> str:
        return str(self.tell("conversations", {"annotator": annotator, **body})["conversation_id"])

    def asked(self, conversation: str, text: str = "Why is the sky blue?") -> str:
        return str(self.tell("messages", {"content": text}, conversation)["message_id"])

    def answered(self, conversation: str, text: str = "Because of scattering.", **body: object) -> str:
        reply = {"model": "theirs", "end": {"content": text}, **body}
        return str(self.tell("replies", reply, conversation)["message_id"])

    def exchange(self, annotator: str = "ann") -> tuple[str, str, str]:
        """A conversation with a question and an answer: their ids."""
        conversation = self.begin(annotator)
        return conversation, self.asked(conversation), self.answered(conversation)


@dataclass
class Served:
    """An API that answers, and what is behind it."""

    address: str
    store: Store
    tokens: Tokens
    intake: Intake
    study: Study
    http: httpx.Client
    app: Starlette

    def front_end(self, name: str = "theirs") -> FrontEnd:
        return FrontEnd(self.address, self.tokens.add(name), self.http)

    def kinds(self, conversation: str) -> list[str]:
        return [event.payload.kind for event in self.store.load(conversation)]


@contextmanager
def api_over(folder: Path, limiter: Limiter = unlimited, **keys: object) -> Iterator[Served]:
    study = study_with(**keys)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(f"sqlite:///{folder}/log.db"))
        intake = Intake(Writing(study, store, {}, clock=utc_now))
        stack.callback(intake.close)
        tokens = Tokens(store, study.name)
        app = Starlette()
        app.add_middleware(Api, intake=intake, tokens=tokens, limiter=limiter)
        address = stack.enter_context(answering(app))
        http = stack.enter_context(httpx.Client(timeout=WAIT))
        yield Served(address, store, tokens, intake, study, http, app)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with api_over(tmp_path_factory.mktemp("api")) as served:
        yield served


@pytest.fixture
def theirs(served: Served) -> FrontEnd:
    """A front end that nobody else is."""
    return served.front_end(f"theirs-{next(KEYS)}")
