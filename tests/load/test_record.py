"""The judge would notice: everything that can go wrong with a gesture is seen when a record is held against a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labeler.core.events import Event
from labeler.ids import event_id
from tests.load.record import ACKNOWLEDGED, OPEN, REFUSED, Made, Record, judge, read
from tests.stories import told

LIKE = Made("ann", "c1", "like", "vote", "c1.a1", 1)
DISLIKE = Made("ann", "c1", "dislike", "vote", "c1.a1", -1)
WHY = Made("ann", "c1", "why", "reason", "c1.a1", "Too short.")
ASKED = Made("ann", "c1", "asked", "send", "", "Why?")
ALL = [(ASKED, ACKNOWLEDGED), (LIKE, ACKNOWLEDGED), (DISLIKE, ACKNOWLEDGED), (WHY, ACKNOWLEDGED)]


def stored(*posted: Made) -> list[Event]:
    """A conversation with one turn, and then these gestures under their own ids."""
    story = told("ann", "c1").asks("Why?").answers("Because.")
    begun = len(story.events)
    for made in posted:
        if made.kind == "vote":
            story.votes(int(made.says), "a1")
        else:
            story.explains(comment=str(made.says), name="a1")
    own = [
        replace(event, event_id=event_id(made.annotator, made.nonce, 0))
        for event, made in zip(story.events[begun:], posted, strict=True)
    ]
    return [*story.events[:begun], *own]


def exchanged(log: Sequence[Event], first: int, second: int) -> list[Event]:
    """The log with two of its events in each other's place."""
    moved = list(log)
    one, other = moved[first], moved[second]
    moved[first], moved[second] = replace(other, seq=one.seq), replace(one, seq=other.seq)
    return moved


def test_a_log_that_says_what_the_record_says_is_as_it_should_be() -> None:
    verdict = judge(ALL, stored(LIKE, DISLIKE, WHY))
    assert verdict.ok
    assert (verdict.acknowledged, verdict.open) == (4, 0)


def test_the_order_in_which_streams_are_read_does_not_matter() -> None:
    assert judge(ALL, stored(LIKE, DISLIKE, WHY)[::-1]).ok


@pytest.mark.parametrize("lost", [LIKE, DISLIKE, WHY], ids=lambda made: made.nonce)
def test_an_acknowledged_gesture_that_is_not_there_is_lost(lost: Made) -> None:
    assert (
        judge(
            ALL, [event for event in stored(LIKE, DISLIKE, WHY) if event.event_id != event_id("ann", lost.nonce, 0)]
        ).lost
        == 1
    )


def test_an_acknowledged_message_that_is_not_there_is_lost() -> None:
    assert (
        judge([*ALL, (replace(ASKED, nonce="more", says="And?"), ACKNOWLEDGED)], stored(LIKE, DISLIKE, WHY)).lost == 1
    )


def test_an_acknowledged_retry_that_is_not_there_is_lost() -> None:
    retry = Made("ann", "c1", "again", "retry", "", "")
    assert judge([*ALL, (retry, ACKNOWLEDGED)], stored(LIKE, DISLIKE, WHY)).lost == 1


def test_a_gesture_that_is_there_twice_is_doubled() -> None:
    log = stored(LIKE, DISLIKE, WHY)
    assert judge(ALL, [*log, log[-1]]).doubled == 1


def test_a_message_that_is_there_under_two_ids_is_doubled() -> None:
    log = stored(LIKE, DISLIKE, WHY)
    sent = next(event for event in log if event.payload.kind == "message_sent")
    assert judge(ALL, [*log, replace(sent, event_id="another", seq=99)]).doubled == 1


def test_votes_in_another_order_are_noticed() -> None:
    log = stored(LIKE, DISLIKE, WHY)
    verdict = judge(ALL, exchanged(log, len(log) - 3, len(log) - 2))
    assert (verdict.out_of_order, verdict.lost, verdict.strange) == (1, 0, 0)


def test_a_vote_that_nobody_made_is_strange() -> None:
    assert judge(ALL[:-1], stored(LIKE, DISLIKE, WHY)).strange == 1


def test_a_vote_that_says_something_else_is_strange_and_lost() -> None:
    verdict = judge(ALL[:3], stored(LIKE, replace(DISLIKE, says=0)))
    assert (verdict.strange, verdict.lost) == (1, 1)


@pytest.mark.parametrize("refused", [0, 1], ids=["a message", "a vote"])
def test_what_was_refused_and_is_there_all_the_same_is_strange(refused: int) -> None:
    record = [(made, REFUSED if place == refused else outcome) for place, (made, outcome) in enumerate(ALL)]
    assert judge(record, stored(LIKE, DISLIKE, WHY)).strange == 1


def test_what_was_refused_and_is_not_there_is_well() -> None:
    assert judge([*ALL[:2], (DISLIKE, REFUSED)], stored(LIKE)).ok


def test_what_was_not_answered_may_be_there_or_not() -> None:
    record = [*ALL[:2], (DISLIKE, OPEN)]
    for log in (stored(LIKE), stored(LIKE, DISLIKE)):
        assert judge(record, log).ok
        assert judge(record, log).open == 1


def test_an_answer_that_was_begun_and_never_ended_is_noticed() -> None:
    log = [event for event in stored(LIKE, DISLIKE, WHY) if event.payload.kind != "reply_finished"]
    assert judge(ALL, log).unended == 1


def test_an_answer_that_ended_twice_is_doubled() -> None:
    log = stored(LIKE, DISLIKE, WHY)
    end = next(event for event in log if event.payload.kind == "reply_finished")
    assert judge(ALL, [*log, replace(end, event_id="another", seq=99)]).doubled == 1


def test_what_others_did_is_passed_over() -> None:
    assert judge(ALL, [*stored(LIKE, DISLIKE, WHY), *told("another", "c2").asks("?").answers("!").likes().events]).ok


def test_a_record_is_read_as_it_was_written_and_names_what_was_never_answered(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    with Record(path) as record:
        for made in (LIKE, DISLIKE, WHY):
            record.made(made)
        record.ended(DISLIKE, REFUSED)
        record.ended(LIKE, ACKNOWLEDGED)
        record.ended(LIKE, REFUSED)  # its first end stands
    assert read(path) == [(DISLIKE, REFUSED), (LIKE, ACKNOWLEDGED), (WHY, OPEN)]
