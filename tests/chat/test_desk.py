"""What is kept of conversations in memory: of those in use, for a while and not too many, and it changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from labeler.chat import Recorder, desk
from labeler.core.conversation import Conversation
from labeler.store import Store
from tests.chat.conftest import WAIT, Chat

NewChat = Callable[[], Chat]
PAUSE = 0.05


@pytest.fixture
def new_chat(recorder: Recorder, store: Store) -> NewChat:
    """A conversation with an answer in it, of the same annotator."""

    def begun() -> Chat:
        chat = Chat(recorder, store)
        chat.ask("say: Hello")
        return chat

    return begun


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "IDLE_SECONDS", PAUSE)


def known(chat: Chat) -> int:
    return chat.recorder.writing.desk.known


def test_what_nobody_uses_is_let_go_when_something_else_is_used(new_chat: NewChat, impatient: None) -> None:
    chats = [new_chat() for _ in range(4)]
    time.sleep(PAUSE)
    chats[0].view()
    chats[0].view()
    assert known(chats[0]) == 1
    assert chats[0].recorder.at_hand("ann", chats[0].conversation_id)
    assert not chats[1].recorder.at_hand("ann", chats[1].conversation_id)


def test_what_is_used_stays(new_chat: NewChat) -> None:
    chats = [new_chat() for _ in range(4)]
    assert known(chats[0]) == 4
    assert all(chat.recorder.at_hand("ann", chat.conversation_id) for chat in chats)


def test_of_too_many_the_one_that_was_used_longest_ago_goes_first(
    new_chat: NewChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "OPEN_CONVERSATIONS", 2)
    first, second = new_chat(), new_chat()
    first.view()
    third = new_chat()
    assert known(third) == 2
    held = [chat.recorder.at_hand("ann", chat.conversation_id) for chat in (first, second, third)]
    assert held == [True, False, True]


def test_what_was_let_go_is_read_again_and_goes_on(new_chat: NewChat, impatient: None) -> None:
    chat = new_chat()
    answer = chat.last()
    chat.vote(answer.id, 1)
    before = chat.view()
    time.sleep(PAUSE)
    new_chat()
    assert not chat.recorder.at_hand("ann", chat.conversation_id)
    assert chat.view() == before
    chat.vote(answer.id, -1)
    assert chat.kinds()[-2:] == ["vote_cast", "vote_cast"]


def test_what_is_being_stored_is_not_let_go(new_chat: NewChat, impatient: None) -> None:
    chat, other = new_chat(), new_chat()
    answer = chat.last()
    with chat.store.database.writing():
        vote = chat.recorder.vote("ann", chat.nonce(), chat.conversation_id, answer.id, 1)
        time.sleep(PAUSE)
        other.view()
        assert known(chat) == 2
    vote.result(WAIT)
    assert chat.recorder.at_hand("ann", chat.conversation_id)


def test_whoever_decides_while_it_is_let_go_is_stored_once(new_chat: NewChat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds of one conversation are in memory then: the one that comes second is decided anew."""
    chat = new_chat()
    answer, inside = chat.last(), desk.Desk.new_events

    def let_go_meanwhile(self: desk.Desk, conversation: Conversation, *args: object, **more: object) -> object:
        monkeypatch.setattr(desk.Desk, "new_events", inside)
        self._open.clear()
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(chat.vote, answer.id, -1).result(WAIT)
        return inside(self, conversation, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.Desk, "new_events", let_go_meanwhile)
    chat.vote(answer.id, 1)
    assert [getattr(event.payload, "vote", None) for event in chat.events()[-2:]] == [-1, 1]
    assert chat.view().shown[-1].vote == 1
