"""Many gestures in one call: in their order, each with its key and an outcome of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.api.conftest import FrontEnd, Served, api_over


def story(name: str) -> list[dict[str, Any]]:
    """A whole conversation, told by keys."""
    chat = f"@{name}-begin"

    def gesture(kind: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        return {"key": f"{name}-{key}", "kind": kind, "conversation_id": chat, "body": body}

    first, second = f"@{name}-first", f"@{name}-second"
    return [
        {"key": f"{name}-begin", "kind": "conversations", "body": {"annotator": "ann"}},
        gesture("messages", {"content": "Why?"}, "question"),
        gesture("replies", {"model": "m", "end": {"content": "Because."}}, "first"),
        gesture("votes", {"message_id": first, "value": -1}, "vote"),
        gesture("reasons", {"message_id": first, "reasons": ["Too long"]}, "reason"),
        gesture("replies", {"model": "m", "retries": first, "end": {"content": "Rayleigh."}}, "second"),
        gesture("comparisons", {"message_a": first, "message_b": second, "winner": "b"}, "compared"),
    ]


def told(theirs: FrontEnd, gestures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = theirs.call("POST", "/bulk", {"gestures": gestures})
    assert answer.status_code == 200, answer.text
    outcomes: list[dict[str, Any]] = answer.json()["outcomes"]
    assert [one["key"] for one in outcomes] == [one["key"] for one in gestures]
    return outcomes


def statuses(outcomes: list[dict[str, Any]]) -> list[int]:
    return [one["status"] for one in outcomes]


def test_a_whole_conversation_is_told_in_one_call(served: Served, theirs: FrontEnd) -> None:
    outcomes = told(theirs, story("one-call"))
    assert statuses(outcomes) == [200] * 7
    conversation = outcomes[0]["answer"]["conversation_id"]
    read = theirs.read(f"/conversations/{conversation}")
    assert [(one["content"], one["vote"]) for one in read["messages"]] == [
        ("Why?", 0),
        ("Because.", -1),
        ("Rayleigh.", 0),
    ]
    assert [one["winner"] for one in read["comparisons"]] == ["b"]
    assert served.kinds(conversation)[-1] == "compared"


def test_told_again_it_changes_nothing_and_answers_alike_even_after_a_restart(tmp_path: Path) -> None:
    gestures = story("again")
    with api_over(tmp_path) as served:
        theirs = served.front_end()
        outcomes = told(theirs, gestures)
        assert told(theirs, gestures) == outcomes
        before = served.store.position()
    with api_over(tmp_path) as served:
        again = FrontEnd(served.address, theirs.token, served.http)
        assert told(again, gestures) == outcomes
        assert served.store.position() == before
        assert told(again, [gestures[0], *gestures[3:]]) == [outcomes[0], *_unknown(gestures[3:])]


def _unknown(gestures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is answered where ``@first`` names what is not among the gestures."""
    said = "There is no gesture with that key earlier in this call."
    return [{"key": one["key"], "status": 422, "answer": {"error": said}} for one in gestures]


def test_a_call_that_was_cut_short_goes_on_where_it_was(tmp_path: Path) -> None:
    gestures = story("cut-off")
    for cut in range(1, len(gestures)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        with api_over(folder) as served:
            theirs = served.front_end()
            first = told(theirs, gestures[:cut])
        with api_over(folder) as served:
            again = FrontEnd(served.address, theirs.token, served.http)
            outcomes = told(again, gestures)
            assert statuses(outcomes) == [200] * 7
            assert outcomes[:cut] == first
            assert served.store.position() == 1 + 9


def test_each_has_an_outcome_of_its_own_and_one_refusal_stops_nobody(theirs: FrontEnd) -> None:
    conversation, _, answer = theirs.exchange()
    elsewhere = {"key": "elsewhere-1", "kind": "clears", "conversation_id": "absent", "body": {}}
    votes = [
        {"key": f"vote-number-{value}", "kind": "votes", "conversation_id": conversation,
         "body": {"message_id": message, "value": value}}
        for message, value in ((answer, 1), ("absent", 0), (answer, -1))
    ]  # fmt: skip
    used = {**votes[0], "body": {"message_id": answer, "value": -1}}
    outcomes = told(theirs, [votes[0], elsewhere, votes[1], used, votes[2]])
    assert statuses(outcomes) == [200, 404, 404, 409, 200]
    assert theirs.read(f"/conversations/{conversation}")["messages"][1]["vote"] == -1


def test_what_rests_on_a_refused_gesture_is_refused(served: Served, theirs: FrontEnd) -> None:
    gestures = story("refused-one")
    gestures[1]["body"] = {"content": " "}
    outcomes = told(theirs, gestures)
    assert statuses(outcomes) == [200] + [422] * 6
    assert served.kinds(outcomes[0]["answer"]["conversation_id"]) == ["conversation_started"]


def test_a_reference_names_what_came_before_it(theirs: FrontEnd) -> None:
    gestures = story("backwards")
    outcomes = told(theirs, [gestures[1], gestures[0]])
    assert statuses(outcomes) == [422, 200]


def test_the_same_call_from_many_at_once_is_stored_once(served: Served, theirs: FrontEnd) -> None:
    before = served.store.position()
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda _: told(theirs, story("at-once")), range(4)))
    assert answers == [answers[0]] * 4
    assert served.store.position() == before + 9


def test_the_same_call_at_two_servers_ends_in_one_conversation(tmp_path: Path) -> None:
    with api_over(tmp_path) as one, api_over(tmp_path) as two:
        theirs = one.front_end()
        ends = (theirs, FrontEnd(two.address, theirs.token, two.http))
        for number in range(5):
            gestures = story(f"race-{number}")
            with ThreadPoolExecutor(2) as both:
                raced = list(both.map(told, ends, [gestures] * 2))
            assert {status for outcomes in raced for status in statuses(outcomes)} <= {200, 503}
            for end in ends:  # whoever was told to come again does
                outcomes = told(end, gestures)
                assert statuses(outcomes) == [200] * 7
                conversation = outcomes[0]["answer"]["conversation_id"]
                assert len(one.kinds(conversation)) == 9
        assert one.store.position() == 1 + 5 * 9


def test_a_thousand_fit_and_one_more_does_not(theirs: FrontEnd) -> None:
    many = [
        {"key": f"thousand-{number:04}", "kind": "conversations", "body": {"annotator": f"ann{number}"}}
        for number in range(1001)
    ]
    assert theirs.call("POST", "/bulk", {"gestures": many}).status_code == 422
    assert statuses(told(theirs, many[:1000])) == [200] * 1000
    assert theirs.call("POST", "/bulk", {"gestures": []}).status_code == 422
