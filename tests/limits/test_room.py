"""Lengths: of texts and of conversations. What is too long is refused with a line, and nothing of it is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labeler.chat import Recorder, Writing
from labeler.errors import GestureRefused, StudyError
from labeler.models import open_models
from labeler.page.shield import Terms
from labeler.store import Store, utc_now
from labeler.study import Limits, parse_study
from tests.chat.conftest import Chat
from tests.model_server import ModelServer

NewChat = Callable[..., Chat]


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def new_chat(model: ModelServer, tmp_path: Path) -> Iterator[NewChat]:
    opened: list[Callable[[], None]] = []

    def new(**limits: int) -> Chat:
        spec = {"name": "scripted", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
        study = parse_study({"name": "limits", "models": [spec], "limits": limits})
        store = Store.open(f"sqlite:///{tmp_path}/log.db")
        models = open_models(study.models, {})
        recorder = Recorder(Writing(study, store, models.__enter__(), clock=utc_now))
        opened.extend([store.close, lambda: models.__exit__(None, None, None), recorder.close])
        return Chat(recorder, store)

    yield new
    while opened:
        opened.pop()()


def test_each_kind_of_text_has_a_length_of_its_own(new_chat: NewChat) -> None:
    chat = new_chat(message_chars=30, edit_chars=40, comment_chars=10)
    answer = chat.ask("say: One")
    position = chat.store.position()
    with pytest.raises(GestureRefused, match="31 characters, at most 30 fit"):
        chat.ask("x" * 31)
    with pytest.raises(GestureRefused, match="41 characters, at most 40 fit"):
        chat.edit(answer.id, "x" * 41)
    question = chat.view().shown[0]
    with pytest.raises(GestureRefused, match="31 characters, at most 30 fit"):
        chat.edit(question.id, "x" * 31)
    with pytest.raises(GestureRefused, match="11 characters, at most 10 fit"):
        chat.recorder.reason("ann", chat.nonce(), chat.conversation_id, answer.id, [], "x" * 11)
    assert chat.store.position() == position
    chat.edit(answer.id, "x" * 40)
    assert chat.last().text == "x" * 40


def test_a_full_conversation_says_so_and_can_still_be_read_judged_undone_and_cleared(new_chat: NewChat) -> None:
    chat = new_chat(conversation_messages=4)
    first = chat.ask("say: One")
    second = chat.ask("say: Two")
    position = chat.store.position()
    for more in (lambda: chat.ask("say: Three"), chat.retry, lambda: chat.edit(second.id, "Better")):
        with pytest.raises(GestureRefused, match=r"is full: it may hold 4 messages.*Begin a new conversation"):
            more()
    assert chat.store.position() == position
    chat.vote(first.id, 1)
    chat.recorder.undo("ann", chat.claim())
    chat.recorder.clear("ann", chat.claim())
    assert chat.store.position() == position + 3


def test_nobody_makes_a_conversation_slow_by_flipping_a_vote_for_ever(new_chat: NewChat) -> None:
    chat = new_chat(conversation_events=10)
    answer = chat.ask("say: One")
    for flip in range(10 - len(chat.events())):
        chat.vote(answer.id, 1 if flip % 2 == 0 else -1)
    with pytest.raises(GestureRefused, match="is full: it may hold 10 gestures"):
        chat.vote(answer.id, 0)
    assert len(chat.store.load(chat.conversation_id)) == 10
    chat.recorder.clear("ann", chat.claim())


def test_a_running_answer_is_stored_however_full_its_conversation_is(new_chat: NewChat) -> None:
    chat = new_chat(conversation_events=10, conversation_messages=2)
    assert chat.ask("say: One").status == "complete"


def test_the_longest_text_in_its_widest_form_fits_through_the_door() -> None:
    limits = Limits(message_chars=1_000, edit_chars=2_000)
    widest = len('{"data": ["%s"]}' % ("\\ud83d\\ude00" * 2_000))
    assert widest < Terms(limits.body_bytes).max_body < widest + 100_000


def test_the_place_where_the_longest_message_stood_before_is_still_understood() -> None:
    tree = {"name": "old", "models": [{"name": "m", "kind": "local"}], "max_message_chars": 70}
    assert parse_study(tree).limits.message_chars == 70
    assert parse_study(tree | {"limits": {"comment_chars": 5}}).limits == Limits(message_chars=70, comment_chars=5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"limits": {"message_chars": 0}},
        {"limits": {"queue": None}},
        {"limits": {"per_hour": 3}},
        {"limits": 7, "max_message_chars": 5},
        {"origins": ["labels.example.org"]},
        {"origins": ["https://labels.example.org/path"]},
        {"origins": ["*"]},
    ],
    ids=str,
)
def test_a_limit_or_origin_that_means_nothing_is_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(StudyError) as refused:
        parse_study({"name": "x", "models": [{"name": "m", "kind": "local"}]} | wrong)
    assert "\n" not in str(refused.value)
