"""The follower on a real log: which conversation a chat belongs to, and what is left when something was erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labeler.chat import Chat, Follower, Sight
from labeler.core.copies import copy_of
from labeler.core.events import Event
from labeler.core.folding import replay
from labeler.core.following import shown
from labeler.errors import GestureRefused
from labeler.store import Store, utc_now
from labeler.store.erasing import erase
from labeler.study import Study, load_study
from tests.house import ROOT

ANN = Chat("ann", "tab:1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(f"sqlite:///{tmp_path}/log.db")) as store:
        yield store


@pytest.fixture
def study() -> Study:
    return load_study(ROOT / "configs" / "local.yaml")


@pytest.fixture
def follower(study: Study, store: Store) -> Follower:
    return Follower(study, store, "m", clock=utc_now)


def sight(moment: float, *texts: str, running: bool = False) -> Sight:
    roles = ("user", "assistant") * len(texts)
    copy = copy_of([{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)])
    return Sight(copy, moment, running)


def events(store: Store) -> list[Event]:
    return list(store.scan(after=1))


def conversations(store: Store) -> list[str]:
    return list(dict.fromkeys(event.conversation_id for event in events(store)))


def texts(store: Store, conversation_id: str) -> list[str]:
    return [message.content for message in shown(replay(conversation_id, store.load(conversation_id)))]


def test_another_session_is_another_conversation(follower: Follower, store: Store) -> None:
    follower.settled(Chat("ann", "named:a"), sight(1, "Why?", "So."))
    follower.settled(Chat("ann", "named:b"), sight(1, "Why?", "So."))
    assert len(conversations(store)) == 2


def test_a_page_that_shows_an_earlier_chat_of_its_session_goes_on_with_it(follower: Follower, store: Store) -> None:
    follower.settled(ANN, sight(1, "Why?", "So."))
    follower.settled(ANN, sight(2, "How?", "Thus."))
    follower.settled(ANN, sight(3, "Why?", "So.", "And?", "Well."))
    first, second = conversations(store)
    assert texts(store, first) == ["Why?", "So.", "And?", "Well."]
    assert texts(store, second) == ["How?", "Thus."]


def test_another_follower_finds_the_conversation_again(study: Study, follower: Follower, store: Store) -> None:
    follower.settled(ANN, sight(1, "Why?", "So."))
    follower.clear(ANN, 2)
    follower.settled(ANN, sight(3, "How?", "Thus."))
    again = Follower(study, store, "m", clock=utc_now)
    again.vote(ANN, sight(4, "How?", "Thus."), 1, 1)
    assert len(conversations(store)) == 2
    assert events(store)[-1].payload.kind == "vote_cast"


def test_after_an_erasure_a_chat_that_goes_on_is_a_new_conversation(follower: Follower, store: Store) -> None:
    follower.settled(ANN, sight(1, "Why?", "So."))
    (first,) = conversations(store)
    erase(store, "conversation", first, at=utc_now())
    follower.settled(ANN, sight(2, "Why?", "So.", "And?", "Well."))
    second = conversations(store)[-1]
    assert second != first
    assert texts(store, second) == ["Why?", "So.", "And?", "Well."]


def test_while_an_answer_is_written_earlier_ones_can_be_voted_on_and_it_cannot(
    follower: Follower, store: Store
) -> None:
    follower.settled(ANN, sight(1, "Why?", "So."))
    follower.vote(ANN, sight(2, "Why?", "So.", "And?", "We", running=True), 1, 1)
    with pytest.raises(GestureRefused, match="had not ended"):
        follower.vote(ANN, sight(3, "Why?", "So.", "And?", "We", running=True), 3, 1)
    follower.settled(ANN, sight(4, "Why?", "So.", "And?", "Well."))
    assert texts(store, conversations(store)[0])[-1] == "Well."


def test_clearing_what_was_never_recorded_records_nothing(follower: Follower, store: Store) -> None:
    follower.clear(ANN, 1)
    follower.settled(ANN, sight(2))
    assert events(store) == []


@pytest.mark.parametrize("gesture", ["retry", "undo"])
def test_a_gesture_that_was_overtaken_is_refused(follower: Follower, store: Store, gesture: str) -> None:
    follower.settled(ANN, sight(5, "Why?", "So."))
    before = events(store)
    with pytest.raises(GestureRefused):
        getattr(follower, gesture)(ANN, sight(4, "Why?", "So."), 0)
    assert events(store) == before
