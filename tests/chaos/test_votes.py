"""A sample of scripts/chaos-votes, and a proof that it would notice."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from labeler.core.events import Event
from labeler.ids import event_id
from tests.chaos.votes import Chaos, Outcome, Sent, Voter, compare
from tests.stories import told


@pytest.mark.timeout(600)
def test_ten_rounds_of_kill_9_lose_no_acknowledged_vote_and_double_none(tmp_path: Path) -> None:
    chaos = Chaos(tmp_path, voters=8, seed=20261122)
    outcome = chaos.run(10)
    assert outcome.ok, outcome
    assert outcome.acknowledged >= 10
    assert [line for voter in chaos.voters for line in voter.refused] == []


VOTES = [Sent("n1", "c.a1", 1), Sent("n2", "c.a1", -1), Sent("n3", "c.a1", 0)]


def voter() -> Voter:
    return Voter("ann", "c", random.Random(0))


def stored(*votes: Sent) -> list[Event]:
    """What a server would have stored for these votes, in this order."""
    story = told("ann", "c").asks("1").answers("a")
    begun = len(story.events)
    for vote in votes:
        story.votes(vote.value, "a1")
    cast = [
        replace(event, event_id=event_id("ann", vote.nonce, 0))
        for event, vote in zip(story.events[begun:], votes, strict=True)
    ]
    return [*story.events[:begun], *cast]


def test_all_votes_in_order_are_as_they_should_be() -> None:
    assert compare(voter(), VOTES, None, stored(*VOTES)) == Outcome(3, 0, 0, 0, 0)


def test_a_vote_on_its_way_may_be_there_or_not() -> None:
    for log in (stored(*VOTES), stored(*VOTES[:2])):
        assert compare(voter(), VOTES[:2], VOTES[2], log).ok


def test_a_lost_vote_is_noticed() -> None:
    assert compare(voter(), VOTES, None, stored(*VOTES[:2])).lost == 1


def test_a_doubled_vote_is_noticed() -> None:
    log = stored(*VOTES)
    assert compare(voter(), VOTES, None, [*log, log[-1]]).doubled == 1


def test_a_vote_that_nobody_sent_is_noticed() -> None:
    assert compare(voter(), VOTES[:2], None, stored(*VOTES)).strange == 1


def test_votes_in_another_order_are_noticed() -> None:
    log = stored(*VOTES)
    assert compare(voter(), VOTES, None, [*log[:-2], log[-1], log[-2]]).out_of_order == 1
