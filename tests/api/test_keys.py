"""A gesture that is delivered twice is stored once and answered alike; a key is for one gesture."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import FrontEnd, Served, api_over

USED = (409, "That key was used for another gesture. Make a new key for a new gesture.")


def gestures(conversation: str, question: str, answer: str) -> list[tuple[str, dict[str, Any]]]:
    """One of each kind that builds on one exchange, in an order in which all may be made."""
    return [
        ("votes", {"message_id": answer, "value": 1}),
        ("reasons", {"message_id": answer, "reasons": ["Correct"], "comment": "yes"}),
        ("votes", {"message_id": answer, "value": 0}),
        (
            "replies",
            {"model": "m", "retries": answer, "sampling": {"seed": 1, "top_p": 0.5}, "end": {"content": "Hm."}},
        ),
        ("edits", {"message_id": answer, "content": "Because."}),
        ("selections", {"message_id": answer}),
        ("messages", {"content": "And?"}),
        ("replies", {"model": "m"}),
        ("edits", {"message_id": question, "content": "How?"}),
        ("undos", {"message_id": "@last"}),
        ("clears", {}),
    ]


def tell_all(theirs: FrontEnd, conversation: str, question: str, answer: str) -> list[tuple[str, Any, str, Any]]:
    """Tell one of each; what was sent, under which key, and the answer."""
    told = []
    last = question
    for noun, body in gestures(conversation, question, answer):
        said = {name: last if value == "@last" else value for name, value in body.items()}
        key = theirs.key()
        outcome = theirs.tell(noun, said, conversation, key)
        assert outcome["event_ids"], noun
        last = outcome["message_id"] or last
        told.append((noun, said, key, outcome))
    return told


def test_every_gesture_told_again_is_stored_once_and_answered_alike(served: Served, theirs: FrontEnd) -> None:
    conversation, question, answer = theirs.exchange()
    told = tell_all(theirs, conversation, question, answer)
    before = served.store.position()
    for noun, said, key, outcome in told:
        assert theirs.tell(noun, said, conversation, key) == outcome
    assert served.store.position() == before


def test_and_so_it_is_after_a_restart(tmp_path: Path) -> None:
    with api_over(tmp_path) as served:
        theirs = served.front_end()
        begun = theirs.tell("conversations", {"annotator": "ann", "language": "en"}, key="begin-it")
        conversation = begun["conversation_id"]
        question, answer = theirs.asked(conversation), theirs.answered(conversation)
        told = tell_all(theirs, conversation, question, answer)
        before = served.store.position()
    with api_over(tmp_path) as served:
        again = FrontEnd(served.address, theirs.token, served.http)
        assert again.tell("conversations", {"annotator": "ann", "language": "en"}, key="begin-it") == begun
        for noun, said, key, outcome in told:
            assert again.tell(noun, said, conversation, key) == outcome, noun
        assert served.store.position() == before


@pytest.mark.parametrize("restarted", [False, True])
def test_the_same_key_with_another_body_is_refused(tmp_path: Path, restarted: bool) -> None:
    with api_over(tmp_path) as served:
        theirs = served.front_end()
        conversation, question, answer = theirs.exchange()
        told = tell_all(theirs, conversation, question, answer)
        elsewhere, *_ = theirs.exchange()
        if not restarted:
            _refuses_others(theirs, conversation, elsewhere, told)
    if restarted:
        with api_over(tmp_path) as served:
            again = FrontEnd(served.address, theirs.token, served.http)
            _refuses_others(again, conversation, elsewhere, told)


def _refuses_others(theirs: FrontEnd, conversation: str, elsewhere: str, told: list[tuple[str, Any, str, Any]]) -> None:
    for noun, said, key, outcome in told:
        assert theirs.refused("votes", {"message_id": "other", "value": -1}, conversation, key) == USED, noun
        assert theirs.refused("messages", {"content": "Something else?"}, conversation, key) == USED, noun
        assert theirs.refused("conversations", {"annotator": "ann"}, key=key) == USED, noun
        assert theirs.refused(noun, said, elsewhere, key) == USED, noun
        assert theirs.tell(noun, said, conversation, key) == outcome


def test_a_conversation_is_begun_once_for_a_key_and_by_one_annotator(served: Served, theirs: FrontEnd) -> None:
    first = theirs.tell("conversations", {"annotator": "ann"}, key="begin-it")
    assert theirs.tell("conversations", {"annotator": "ann"}, key="begin-it") == first
    assert theirs.refused("conversations", {"annotator": "bob"}, key="begin-it") == USED
    assert theirs.refused("conversations", {"annotator": "ann", "language": "en"}, key="begin-it") == USED


def test_keys_are_a_tokens_own(served: Served, theirs: FrontEnd) -> None:
    other = served.front_end("other-than-theirs")
    mine = theirs.tell("conversations", {"annotator": "ann"}, key="the-same-key")
    yours = other.tell("conversations", {"annotator": "ann"}, key="the-same-key")
    assert mine["conversation_id"] != yours["conversation_id"]


def test_many_deliveries_at_once_are_one(served: Served, theirs: FrontEnd) -> None:
    conversation, _, answer = theirs.exchange()
    barrier = threading.Barrier(8)

    def deliver(said: tuple[str, dict[str, Any], str]) -> dict[str, Any]:
        noun, body, key = said
        barrier.wait(10)
        return theirs.tell(noun, body, conversation, key)

    before = served.store.position()
    with ThreadPoolExecutor(8) as crowd:
        for number in range(10):
            said = [
                ("votes", {"message_id": answer, "value": 1 if number % 2 else -1}, f"vote-{number:04}"),
                ("messages", {"content": f"Question {number}?"}, f"message-{number:04}"),
            ]
            for one in said:
                answers = list(crowd.map(deliver, [one] * 8))
                assert answers == [answers[0]] * 8
                assert len(answers[0]["event_ids"]) == 1
    assert served.store.position() == before + 20


def test_two_servers_on_one_log_store_a_key_once(tmp_path: Path) -> None:
    with api_over(tmp_path) as one, api_over(tmp_path) as two:
        theirs = one.front_end()
        also = FrontEnd(two.address, theirs.token, two.http)
        conversation, _, answer = theirs.exchange()
        also.read(f"/conversations/{conversation}")
        for number in range(12):
            said = {"content": f"Question {number}?"}
            with ThreadPoolExecutor(2) as both:
                asked = [
                    both.submit(end.tell, "messages", said, conversation, f"key{number:05}") for end in (theirs, also)
                ]
                answers = [each.result() for each in asked]
            assert answers[0] == answers[1]
        vote = {"message_id": answer, "value": 1}
        assert theirs.tell("votes", vote, conversation, "a-vote-here")["event_ids"]
        assert also.tell("votes", vote, conversation, "a-vote-here")["event_ids"]
        assert one.kinds(conversation).count("message_sent") == 13
        assert one.kinds(conversation).count("vote_cast") == 1


def test_what_another_server_stored_is_seen_before_anything_is_refused(tmp_path: Path) -> None:
    with api_over(tmp_path) as one, api_over(tmp_path) as two:
        theirs = one.front_end()
        also = FrontEnd(two.address, theirs.token, two.http)
        conversation, _, answer = theirs.exchange()
        assert also.tell("votes", {"message_id": answer, "value": 1}, conversation)["event_ids"]
        newer = theirs.answered(conversation, "Rayleigh.", retries=answer)
        assert also.tell("votes", {"message_id": newer, "value": 1}, conversation)["event_ids"]
        assert theirs.tell("votes", {"message_id": newer, "value": -1}, conversation)["event_ids"]
        assert also.tell("votes", {"message_id": newer, "value": 1}, conversation)["event_ids"]


@pytest.mark.parametrize("key", [None, "short", "x" * 65, "with a space", "end:of-a-reply"])
def test_a_gesture_needs_a_key_that_is_one(theirs: FrontEnd, key: str | None) -> None:
    answer = theirs.call("POST", "/conversations", {"annotator": "ann"}, key)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["error"]


def test_a_gesture_that_was_refused_may_come_again_under_its_key(theirs: FrontEnd) -> None:
    conversation, _, _ = theirs.exchange()
    assert theirs.refused("votes", {"message_id": "absent", "value": 1}, conversation, "a-key-of-mine")[0] == 404
    assert theirs.tell("messages", {"content": "Then this?"}, conversation, "a-key-of-mine")["event_ids"]
