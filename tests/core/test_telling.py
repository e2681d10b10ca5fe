"""What is told is known again by what was stored of it, and by nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core import telling
from labeler.core.bodies import body_json, parse
from labeler.core.conversation import Conversation
from labeler.core.events import ConversationStarted, NewEvent, Payload
from labeler.core.folding import apply, replay
from labeler.core.telling import (
    Begun,
    Cleared,
    Edited,
    End,
    Ended,
    Explained,
    Preferred,
    Replied,
    Said,
    Selected,
    Telling,
    Undone,
    Voted,
)
from labeler.errors import GestureRefused, MovedOn

AT = "2026-11-22T10:00:00.000000Z"


@dataclass
class Chat:
    """A conversation that is told; messages are called m1, m2, ... in the order in which they came."""

    conversation: Conversation = field(default_factory=lambda: Conversation("c"))
    events: list[NewEvent] = field(default_factory=list)
    made: int = 0

    def tell(self, gesture: Telling) -> list[Payload]:
        payloads = gesture.decide(self.conversation, f"m{self.made + 1}")
        before = len(self.conversation.messages)
        for payload in payloads:
            seq = self.conversation.seq + 1
            event = NewEvent(
                event_id=f"e{seq}", conversation_id="c", seq=seq, at=AT, annotator_id="ann", payload=payload
            )
            apply(self.conversation, event)
            self.events.append(event)
        self.made += len(self.conversation.messages) - before
        return payloads


def begun(**setting: str) -> Chat:
    chat = Chat()
    chat.tell(Begun(study="s", **setting))
    return chat


def answer(text: str = "Because.", **more: object) -> Replied:
    return Replied(model="m", model_id="m", end=End(content=text, status="complete"), **more)  # type: ignore[arg-type]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
ids = st.sampled_from([f"m{number}" for number in range(1, 7)])
maybe = st.one_of(st.none(), ids)
ends = st.builds(End, content=texts, status=st.sampled_from(["complete", "stopped", "failed"]))
samplings = st.sampled_from(["{}", '{"seed":1}', '{"seed":1,"top_p":0.5}'])
tellings: st.SearchStrategy[Telling] = st.one_of(
    st.builds(Said, content=texts, parent_id=maybe),
    st.builds(
        Replied,
        model=st.sampled_from(["m", "n"]),
        model_id=st.just("m"),
        sampling=samplings,
        parent_id=maybe,
        retries=maybe,
        end=st.one_of(st.none(), ends),
    ),
    st.builds(Ended, message_id=ids, end=ends),
    st.builds(Edited, message_id=ids, content=texts),
    st.builds(Selected, message_id=ids),
    st.builds(Undone, message_id=ids),
    st.builds(Cleared),
    st.builds(Voted, message_id=ids, value=st.sampled_from([-1, 0, 1])),
    st.builds(Explained, message_id=ids, reasons=st.sampled_from([(), ("r",)]), comment=texts),
    st.builds(
        Preferred,
        message_a=ids,
        message_b=ids,
        winner=st.sampled_from([None, "a", "b", "tie", "both_bad"]),
        strength=st.sampled_from([None, 0, 1, 3]),
    ),
)


def from_the_log(payloads: Sequence[Payload]) -> list[Payload]:
    """The same as they come back from where they are stored."""
    return [parse(one.kind, orjson.loads(body_json(one))) for one in payloads]


@given(st.lists(tellings, max_size=25))
def test_a_gesture_is_known_again_by_what_was_stored_of_it(told: list[Telling]) -> None:
    chat = begun(system_prompt="Be brief.")
    stored: list[tuple[Telling, list[Payload]]] = []
    for gesture in told:
        try:
            payloads = chat.tell(gesture)
        except GestureRefused:
            continue
        if payloads:
            stored.append((gesture, from_the_log(payloads)))
    for gesture, payloads in stored:
        assert gesture.says(payloads)
    assert replay("c", chat.events) == chat.conversation


@given(tellings, tellings)
def test_another_gesture_is_never_taken_for_it(one: Telling, other: Telling) -> None:
    chat = begun()
    for gesture in (Said(content="Why?"), answer(), answer("Rayleigh.", retries="m2"), Voted(message_id="m2", value=1)):
        chat.tell(gesture)
    try:
        payloads = chat.tell(one)
    except GestureRefused:
        return
    if payloads and other != one and not _placed_alike(one, other):
        with suppress(GestureRefused):  # what may never be made is refused before anything is compared
            assert not other.says(from_the_log(payloads))


def _placed_alike(one: Telling, other: Telling) -> bool:
    """Whether two say the same, but that one leaves unsaid where, or how strongly: no answer tells them apart."""
    unsaid = {"parent_id", "strength"}
    if type(one) is not type(other):
        return False
    names = [name for name in type(one).__dataclass_fields__ if name not in unsaid]
    return all(getattr(one, name) == getattr(other, name) for name in names)


@given(st.lists(tellings, max_size=12))
def test_nothing_that_is_told_breaks_the_fold(told: list[Telling]) -> None:
    chat = begun()
    for gesture in told:
        before = chat.conversation.seq
        try:
            chat.tell(gesture)
        except GestureRefused:
            assert chat.conversation.seq == before


def test_a_conversation_begins_in_a_mode_of_its_own() -> None:
    (event,) = begun(language="en").events
    assert event.payload == ConversationStarted(study="s", mode="told", model="", language="en")


def test_an_answer_stands_under_a_message_of_the_annotators() -> None:
    chat = begun()
    with pytest.raises(GestureRefused, match="no message to answer"):
        chat.tell(answer())
    chat.tell(Said(content="Why?"))
    chat.tell(answer())
    with pytest.raises(GestureRefused, match="no message to answer"):
        chat.tell(answer())
    with pytest.raises(GestureRefused, match="no message to answer"):
        chat.tell(answer(parent_id="m2", retries="m2"))
    chat.tell(answer("Rayleigh.", parent_id="m1", retries="m2"))


def test_nothing_follows_an_answer_that_is_being_written() -> None:
    chat = begun()
    chat.tell(Said(content="Why?"))
    chat.tell(Replied(model="m", model_id="m"))
    with pytest.raises(GestureRefused, match="has not ended"):
        chat.tell(Said(content="And?"))


def test_what_is_empty_is_no_complete_answer_but_may_be_a_failed_one() -> None:
    chat = begun()
    chat.tell(Said(content="Why?"))
    with pytest.raises(GestureRefused, match="has failed"):
        chat.tell(answer(" "))
    chat.tell(Replied(model="m", model_id="m", end=End(content="", status="failed", error="No server.")))
    assert chat.conversation.messages["m2"].status == "failed"


def test_only_the_last_turn_is_undone() -> None:
    chat = begun()
    for gesture in (Said(content="Why?"), answer(), Said(content="And?")):
        chat.tell(gesture)
    with pytest.raises(MovedOn):
        chat.tell(Undone(message_id="m1"))
    chat.tell(Undone(message_id="m3"))
    chat.tell(Undone(message_id="m1"))
    with pytest.raises(MovedOn):
        chat.tell(Undone(message_id="m1"))


def test_a_conversation_takes_so_many_messages_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MOST_MESSAGES", 2)
    chat = begun()
    chat.tell(Said(content="Why?"))
    chat.tell(answer())
    for gesture in (Said(content="And?"), answer("Hm.", retries="m2"), Edited(message_id="m2", content="Hm.")):
        with pytest.raises(GestureRefused, match="takes no more"):
            chat.tell(gesture)
    chat.tell(Voted(message_id="m2", value=1))
