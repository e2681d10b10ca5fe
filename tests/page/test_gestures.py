"""A database that is slow, or hangs, keeps nobody waiting who asks for something else."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from labeler.chat import Receipt
from labeler.core.roles import Visitor
from labeler.page.gestures import PATH, Gestures
from labeler.page.recognition import VISITOR
from tests.loops import run

SECONDS = 20


class Recorder:
    """Stores every vote at once, but for those in conversations that have to be read, which hang until released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.threads: dict[str, int] = {}

    def at_hand(self, annotator_id: str, conversation_id: str) -> bool:
        return conversation_id != "unread"

    def vote(self, annotator_id: str, nonce: str, conversation_id: str, message_id: str, value: int) -> Future[Receipt]:
        self.threads[conversation_id] = threading.get_ident()
        if conversation_id == "unread":
            assert self.released.wait(SECONDS)
        stored: Future[Receipt] = Future()
        stored.set_result(Receipt(("e1",), 1))
        return stored


async def vote(gestures: Gestures, conversation: str) -> int:
    body = {"kind": "vote", "nonce": "n" * 16, "conversation": conversation, "message": "m", "value": 1}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "path": PATH, "method": "POST", VISITOR: Visitor("ann", "annotator")}
    await gestures(scope, receive, send)
    status: int = sent[0]["status"]
    return status


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("this was for the route")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_a_vote_that_must_be_read_for_first_does_not_hold_up_the_others(recorder: Recorder) -> None:
    gestures: Any = Gestures(nothing, recorder, None, None)  # type: ignore[arg-type]

    async def both() -> None:
        slow = asyncio.create_task(vote(gestures, "unread"))
        while "unread" not in recorder.threads:
            await asyncio.sleep(0.01)
        assert await vote(gestures, "known") == 200
        assert not slow.done()
        recorder.released.set()
        assert await slow == 200

    run(both(), SECONDS)


def test_a_vote_that_needs_no_reading_is_begun_where_it_arrives(recorder: Recorder) -> None:
    async def one() -> int:
        assert await vote(Gestures(nothing, recorder, None, None), "known") == 200  # type: ignore[arg-type]
        return threading.get_ident()

    loops = run(one(), SECONDS)
    assert recorder.threads["known"] == loops
