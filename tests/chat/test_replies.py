"""Replies belong to the server: how they run, end, fail and stop."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from labeler.chat import Recorder
from labeler.core.events import ReplyFinished
from labeler.errors import GestureRefused, StoreError
from labeler.models import Answer
from labeler.store import Store
from tests.chat.conftest import WAIT, Chat, eventually
from tests.model_server import ModelServer


def finished(chat: Chat) -> ReplyFinished:
    return next(event.payload for event in reversed(chat.events()) if isinstance(event.payload, ReplyFinished))


def test_stop_keeps_exactly_the_text_that_was_there(chat: Chat, server: ModelServer) -> None:
    chat.begin("gate: hold 3\nsay: one two three four five")
    eventually(lambda: chat.last().text.split() == ["one", "two", "three"])
    chat.recorder.stop("ann", chat.conversation_id)
    assert chat.last().status == "stopped"
    assert finished(chat).content == chat.last().text
    assert finished(chat).content.split() == ["one", "two", "three"]
    server.release("hold")
    eventually(lambda: server.requests[-1].outcome != "running")
    assert finished(chat).content.split() == ["one", "two", "three"], "what comes after Stop is ignored"


def test_stop_ends_a_model_that_hangs_at_once(chat: Chat, server: ModelServer) -> None:
    chat.begin("fault: hang")
    eventually(lambda: bool(server.requests))
    chat.recorder.stop("ann", chat.conversation_id)
    assert not chat.view().running
    eventually(lambda: server.requests[-1].outcome == "client-gone", seconds=3)
    chat.recorder.undo("ann", chat.claim())
    assert chat.ask("say: usable").text == "usable"


def test_an_answer_that_is_stopped_before_the_model_is_asked_asks_nobody(
    chat: Chat, server: ModelServer, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stopped = recorder.writing.models["scripted"], threading.Event()
    stream = model.stream

    def late(*asked: Any) -> Answer:
        stopped.wait(WAIT)
        return stream(*asked)

    monkeypatch.setattr(model, "stream", late)
    answer = chat.begin("fault: hang")
    [writer] = [thread for thread in threading.enumerate() if thread.name == f"reply-{answer.id}"]
    chat.recorder.stop("ann", chat.conversation_id)
    stopped.set()
    writer.join(WAIT)
    assert server.requests == []


def test_stopping_twice_or_with_nothing_running_is_nothing(chat: Chat) -> None:
    chat.ask("say: one")
    before = chat.kinds()
    chat.recorder.stop("ann", chat.conversation_id)
    chat.recorder.stop("ann", chat.conversation_id)
    assert chat.kinds() == before


@pytest.mark.parametrize(
    "fault",
    [
        "401",
        "403",
        "404",
        "429",
        "500",
        "refuse",
        "die-after 3",
        "reset-after 3",
        "error-after 3",
        "invalid-after 3",
        "html",
    ],
)
def test_a_fault_leaves_a_clear_line_the_partial_text_and_a_usable_conversation(chat: Chat, fault: str) -> None:
    failed = chat.ask(f"fault: {fault}\ntimes: 1\nsay: one two three four five six")
    assert failed.status == "failed"
    assert failed.error
    assert "\n" not in failed.error
    assert "Traceback" not in failed.error
    if "after" in fault:
        assert failed.text.split()[:2] == ["one", "two"]
    assert chat.retry().text == "one two three four five six"


def test_a_model_that_hangs_fails_after_its_timeout(chat: Chat) -> None:
    assert chat.ask("fault: hang-after 2\nsay: one two three").status == "failed"


def test_an_endless_answer_is_cut_off_and_says_so(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeler.chat.replies.CHARS_PER_TOKEN", 1)
    stopped = chat.ask("fault: endless\npace: 2000")
    assert stopped.status == "stopped"
    assert stopped.error is not None
    assert "cut off" in stopped.error


def test_an_empty_answer_fails_with_a_line(chat: Chat) -> None:
    failed = chat.ask("fault: empty")
    assert failed.status == "failed"
    assert failed.error is not None
    assert "empty" in failed.error


def test_an_answer_goes_on_while_nobody_watches_and_while_others_run(
    chat: Chat, other: Chat, server: ModelServer
) -> None:
    chat.begin("gate: one 1\nsay: a b c")
    other.begin("gate: two 1\nsay: d e f")
    server.release("two")
    assert other.ended().text == "d e f"
    assert chat.view().running
    server.release("one")
    assert chat.ended().text == "a b c"


def test_shutdown_stores_running_answers_as_stopped(chat: Chat, recorder: Recorder) -> None:
    chat.begin("gate: hold 2\nsay: one two three")
    eventually(lambda: len(chat.last().text.split()) == 2)
    recorder.close()
    assert finished(chat).status == "stopped"
    assert finished(chat).content.split() == ["one", "two"]


def test_shutdown_stores_an_answer_that_had_ended_and_was_refused(
    chat: Chat, recorder: Recorder, server: ModelServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.begin("gate: hold 1\nsay: precious words")
    broken: Future[object] = Future()
    broken.set_exception(StoreError("the disk is full"))
    with monkeypatch.context() as patched:
        patched.setattr(store, "submit", lambda events: broken)
        server.release("hold")
        eventually(lambda: chat.last().error == "the disk is full")
    recorder.close()
    assert (finished(chat).status, finished(chat).content) == ("complete", "precious words")


def test_an_answer_that_ends_while_the_server_drains_is_stored(chat: Chat, recorder: Recorder) -> None:
    recorder.close()
    assert chat.ask("say: late words").status == "complete"
    assert finished(chat).content == "late words"


def test_a_conversation_whose_model_left_the_study_says_so(chat: Chat, recorder: Recorder) -> None:
    chat.ask("say: one")
    recorder.writing.models = {}
    with pytest.raises(GestureRefused, match="no longer part of this study"):
        chat.retry()
