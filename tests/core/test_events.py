"""Events: their bodies, and what of foreign bodies is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from labeler.core import bodies, events
from labeler.core.bodies import body_json, body_of, decode, parse
from labeler.core.events import (
    KINDS,
    PAYLOADS,
    Compared,
    MessageSent,
    Payload,
    ReasonGiven,
    ReplyFinished,
    ReplyStarted,
    VoteCast,
)
from labeler.errors import LogError
from tests.histories import histories
from tests.stories import Story, told_of

VOTE = {"v": 1, "message_id": "m", "vote": 1}
REPLY: dict[str, Any] = {
    "v": 1,
    "message_id": "a1",
    "parent_id": "q1",
    "model": "small",
    "model_id": "org/small",
    "model_revision": None,
    "sampling": {"temperature": 0.8},
    "system_prompt_sha256": None,
    "retries": None,
}
FINISHED: dict[str, Any] = body_of(ReplyFinished(message_id="a1", content="So.", status="complete"))


def test_every_kind_has_one_payload_and_a_name_in_the_past_tense() -> None:
    assert len(KINDS) == len(PAYLOADS) == len({payload.kind for payload in PAYLOADS})
    for kind in KINDS:
        assert kind.endswith(("ed", "sent", "cast", "withdrawn", "given", "undone", "drawn"))


def test_every_payload_of_the_module_is_a_kind() -> None:
    named = {one for one in vars(events).values() if isinstance(one, type) and issubclass(one, Payload)}
    assert named - {Payload} == set(PAYLOADS)


@given(histories())
def test_what_is_stored_is_read_back_equal(story: Story) -> None:
    for event in [*story.events, *told_of("ann").consents().withdraws_consent().is_excluded().is_included().events]:
        body = json.loads(body_json(event.payload))
        assert decode(event.payload.kind, body) == event.payload
        assert parse(event.payload.kind, body) == event.payload


def test_equal_payloads_have_equal_bodies_whatever_the_order_of_their_keys() -> None:
    one, other = dict(REPLY), dict(reversed(REPLY.items()))
    one["sampling"], other["sampling"] = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert body_json(decode("reply_started", one)) == body_json(decode("reply_started", other))


def test_a_body_keeps_text_as_it_is() -> None:
    text = "\t if x:\n  Ångström \u2028 \x00 🙂"
    sent = MessageSent(message_id="m", parent_id=None, content=text)
    assert json.loads(body_json(sent))["content"] == text
    assert "Ångström" in body_json(sent)


def test_a_body_carries_its_version_and_lists_for_tuples() -> None:
    assert body_of(ReasonGiven(message_id="m", reasons=("clear",))) == {
        "v": 1,
        "message_id": "m",
        "reasons": ["clear"],
        "comment": "",
    }


def test_what_json_cannot_say_is_refused_when_it_is_written() -> None:
    sampling = {"temperature": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        body_json(decode("reply_started", REPLY | {"sampling": sampling}))


# ── reading ──


@pytest.mark.parametrize("read", [decode, parse])
@pytest.mark.parametrize(
    ("kind", "body", "complaint"),
    [
        ("voted", VOTE, "unknown event kind 'voted'"),
        ("vote_cast", VOTE | {"v": 2}, "unknown body version 2"),
        ("vote_cast", {"message_id": "m", "vote": 1}, "unknown body version None"),
        ("vote_cast", VOTE | {"v": "1"}, "unknown body version '1'"),
        ("vote_cast", {"v": 1, "vote": 1}, "message_id"),
        ("vote_cast", VOTE | {"weight": 3}, "weight"),
    ],
)
def test_a_body_that_is_not_known_is_refused(
    read: Callable[[str, dict[str, Any]], Payload], kind: str, body: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(LogError, match=complaint) as refusal:
        read(kind, body)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("vote_cast", VOTE | {"vote": 2}),
        ("vote_cast", VOTE | {"vote": True}),
        ("vote_cast", VOTE | {"vote": "1"}),
        ("vote_cast", VOTE | {"message_id": 7}),
        ("reason_given", {"v": 1, "message_id": "m", "reasons": "clear"}),
        ("reason_given", {"v": 1, "message_id": "m", "reasons": ["clear", 1]}),
        ("message_sent", {"v": 1, "message_id": "m", "parent_id": 3, "content": ""}),
        ("message_sent", {"v": 1, "message_id": "m", "parent_id": None, "content": None}),
        ("reply_started", REPLY | {"sampling": []}),
        ("reply_started", REPLY | {"sampling": None}),
        ("reply_finished", FINISHED | {"prompt_tokens": True}),
        ("reply_finished", FINISHED | {"prompt_tokens": 2**31}),
        ("reply_finished", FINISHED | {"latency_ms": -(2**31)}),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_at_the_door(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(LogError, match="wrong value or type"):
        parse(kind, body)


@pytest.mark.parametrize("body", [None, [], "vote", 1])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(LogError, match="must be a JSON object"):
        parse("vote_cast", body)


def test_reading_does_not_change_the_body() -> None:
    body = {"v": 1, "message_id": "m", "reasons": ["clear"], "comment": ""}
    decode("reason_given", body)
    assert body["reasons"] == ["clear"]


def test_an_old_version_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VoteCast, "version", 3)
    monkeypatch.setitem(bodies.UPCASTS, ("vote_cast", 1), lambda body: {**body, "vote": -body["vote"]})
    monkeypatch.setitem(bodies.UPCASTS, ("vote_cast", 2), lambda body: {**body, "message_id": body["message_id"] + "!"})
    assert decode("vote_cast", VOTE) == VoteCast(message_id="m!", vote=-1)


def test_payloads_are_values() -> None:
    """Equal by what they hold, and usable as keys; that nobody changes one is the type checker's to see."""
    one, same = (Compared(message_a="a", message_b="b", winner="tie", strength=0, position="a_first") for _ in range(2))
    assert len({one, same, replace(one, winner="a")}) == 2
    with pytest.raises(AttributeError):
        one.other = 1  # type: ignore[attr-defined]
    assert isinstance(decode("reply_started", REPLY), ReplyStarted)
