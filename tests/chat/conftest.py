"""A chat over a real log and a real model client; only the model's words are scripted."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labeler.chat import Claim, Recorder, Shown, View, Writing
from labeler.core.events import Event
from labeler.models import open_models
from labeler.store import Store, utc_now
from labeler.study import Study, parse_study
from tests.model_server import ModelServer

WAIT = 10.0


@dataclass
class Chat:
    """One annotator's browser tab, without the browser: it remembers what it saw and claims it."""

    recorder: Recorder
    store: Store
    annotator: str = "ann"
    conversation_id: str = ""
    _nonces: Iterator[int] = field(default_factory=itertools.count)

    def nonce(self) -> str:
        return f"{self.annotator}-nonce-{id(self):x}-{next(self._nonces)}"

    def view(self) -> View:
        return self.recorder.view(self.annotator, self.conversation_id)

    def claim(self) -> Claim:
        return Claim(self.conversation_id, self.view().turn_seq, self.nonce())

    def begin(self, text: str) -> Shown:
        """Send without waiting; the answer may still run."""
        self.conversation_id = self.recorder.send(self.annotator, self.claim(), text)
        return self.last()

    def ask(self, text: str) -> Shown:
        """Send, and wait for the end of the answer."""
        self.begin(text)
        return self.ended()

    def retry(self) -> Shown:
        self.recorder.retry(self.annotator, self.claim())
        return self.ended()

    def edit(self, message_id: str, text: str) -> Shown:
        self.recorder.edit(self.annotator, self.claim(), message_id, text)
        return self.ended()

    def vote(self, message_id: str, value: int) -> None:
        self.recorder.vote(self.annotator, self.nonce(), self.conversation_id, message_id, value).result(WAIT)

    def ended(self) -> Shown:
        eventually(lambda: not self.view().running)
        return self.last()

    def last(self) -> Shown:
        return self.view().shown[-1]

    def texts(self) -> list[str]:
        return [shown.text for shown in self.view().shown]

    def events(self) -> list[Event]:
        return self.store.load(self.conversation_id)

    def kinds(self) -> list[str]:
        return [event.payload.kind for event in self.events()]


def eventually(true: Callable[[], bool], seconds: float = WAIT) -> None:
    """Wait until it is so, or fail."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def study_for(server: ModelServer, **keys: object) -> Study:
    model = {"name": "scripted", "kind": "openai", "base_url": server.base_url, "model": "scripted", "timeout": 5}
    return parse_study({"name": "test", "models": [model], "vote_reasons": ["Correct", "Too long"]} | keys)


@pytest.fixture
def study(server: ModelServer) -> Study:
    return study_for(server)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/log.db", clock=utc_now) as store:
        yield store


@pytest.fixture
def recorder(study: Study, store: Store) -> Iterator[Recorder]:
    with open_models(study.models, {}) as models:
        recorder = Recorder(Writing(study, store, models, clock=utc_now))
        yield recorder
        recorder.close()


@pytest.fixture
def chat(recorder: Recorder, store: Store) -> Chat:
    return Chat(recorder, store)


@pytest.fixture
def other(recorder: Recorder, store: Store) -> Chat:
    """Somebody else."""
    return Chat(recorder, store, annotator="bob")
