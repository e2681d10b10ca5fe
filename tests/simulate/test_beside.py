"""Simulated conversations side by side, and what others make of them: only what the study has pages for, and true."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.core.contributions import Key, contributions
from labeler.core.conversation import Conversation
from labeler.core.events import Compared, NewEvent, PairDrawn, VoteCast
from labeler.core.folding import apply, replay
from labeler.core.reviewing import items_of
from labeler.core.standing import Standing
from labeler.insights.report import report
from labeler.simulate import MODELS, World, conversation, gestures_of, quality, simulate
from labeler.simulate.world import HUMAN_STRENGTH
from labeler.store import Store
from labeler.store.verify import verify_log
from labeler.study import Study, parse_study

ALL = ("chat", "compare", "review")
MANY = 400


def a_study(*modes: str, **keys: object) -> Study:
    models = [{"kind": "openai", "name": name, "base_url": "http://127.0.0.1:1", "model": name} for name in "mn"]
    reasons = ["Helpful", "Clear", "Wrong", "Too long", "Unsafe"]
    return parse_study({"name": "simulated", "models": models, "vote_reasons": reasons, "modes": list(modes), **keys})


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    world = World(a_study(*ALL), 3, 8)
    return [told(conversation(world, number)) for number in range(MANY)]


def told(events: list[NewEvent]) -> Conversation:
    return replay(events[0].conversation_id, events)


def modes_of(*modes: str) -> Counter[str]:
    world = World(a_study(*modes), 5, 8)
    return Counter(told(conversation(world, number)).mode for number in range(60))


@pytest.mark.parametrize(
    ("modes", "simulated"),
    [(("chat",), {"chat"}), (("compare",), {"compare"}), (("review",), {"chat"}), (ALL, {"chat", "compare"})],
)
def test_conversations_are_of_the_kinds_that_the_study_has_pages_for(
    modes: tuple[str, ...], simulated: set[str]
) -> None:
    assert modes_of(*modes).keys() == simulated


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), number=st.integers(0, 10**6))
def test_such_a_conversation_too_depends_on_its_seed_and_number_only(seed: int, number: int) -> None:
    world = World(a_study(*ALL), seed, 8)
    again = World(a_study(*ALL), seed, 8)
    assert gestures_of(world, number) == gestures_of(again, number)


def test_every_event_follows_from_what_was_there_and_passes_the_doors_of_a_log(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/log.db") as store:
        store.extend(simulate(150, study=a_study(*ALL)))
        assert verify_log(store).problems == ()


def test_who_reviews_is_never_who_began_the_conversation(conversations: list[Conversation]) -> None:
    reviewed = 0
    for each in conversations:
        for item in items_of(each):
            others = item.said.keys() - {each.annotator_id}
            assert len(others) <= 2
            reviewed += bool(others)
    assert reviewed > MANY / 2


def test_without_the_page_for_it_nobody_reviews() -> None:
    world = World(a_study("chat", "compare"), 3, 8)
    for number in range(60):
        assert len({event.annotator_id for event in conversation(world, number)}) == 1


def test_a_study_of_one_annotator_has_nobody_to_review() -> None:
    world = World(a_study(*ALL), 3, 1)
    for number in range(40):
        assert len({event.annotator_id for event in conversation(world, number)}) == 1


def test_two_different_models_answer_and_each_stands_on_either_side(conversations: list[Conversation]) -> None:
    sides: Counter[tuple[str, str]] = Counter()
    for pair in chain.from_iterable(each.pairs.values() for each in conversations):
        assert isinstance(pair.drawn, PairDrawn)
        left = pair.drawn.model_a if pair.drawn.left == "a" else pair.drawn.model_b
        right = pair.drawn.model_b if pair.drawn.left == "a" else pair.drawn.model_a
        assert left != right
        assert pair.drawn.propensity == pytest.approx(1 / 3)
        sides[left, right] += 1
    assert len(sides) == 6
    assert max(sides.values()) < 2 * min(sides.values())


def test_every_choice_of_the_page_occurs_and_some_are_taken_back(conversations: list[Conversation]) -> None:
    said = [fact.compared for each in conversations for fact in each.comparisons if each.mode == "compare"]
    assert {(one.winner, one.strength) for one in said if isinstance(one, Compared)} == {
        ("a", 2),
        ("a", 3),
        ("b", 2),
        ("b", 3),
        ("tie", 0),
        ("both_bad", 0),
    }
    assert None in said
    assert any(one and one.reasons for one in said)


def test_reviewers_skip_flag_disagree_and_are_ruled_on(conversations: list[Conversation]) -> None:
    states = Counter(item.state(2) for each in conversations for item in items_of(each))
    assert {"open", "settled", "flagged", "adjudicated"} <= states.keys()
    said = [word for each in conversations for item in items_of(each) for word in item.said.values()]
    assert "skip" in said


def test_the_ranking_of_a_simulated_log_is_the_truth_and_the_careless_agree_least() -> None:
    world = World(a_study("compare", "review"), 4, 8)
    sums: Counter[Key] = Counter()
    for number in range(500):
        sums.update(contributions(told(conversation(world, number)), Standing()))
    found = report(sums)
    strongest = sorted(MODELS, key=lambda model: -model.strength)
    assert [one["model"] for one in found["leaderboard"]["models"]] == [model.name for model in strongest]
    left = found["position"]["left"]
    assert left["low"] < 0.5 < left["high"]
    agreed = {one["annotator"]: one["agreed"] for one in found["raters"]}
    careful = sorted(world.people, key=lambda person: person.accuracy)
    assert agreed[careful[0].id] < agreed[careful[-1].id]
    assert found["agreement"]["pairs"]["alpha"] > 0.3


def test_votes_of_reviewers_are_as_accurate_as_they_are() -> None:
    world = World(a_study("chat", "review"), 9, 8)
    right: dict[str, list[bool]] = defaultdict(list)
    for number in range(1500):
        events = conversation(world, number)
        tree = Conversation(events[0].conversation_id)
        truth = {}
        for event in events:
            apply(tree, event)
            if isinstance(event.payload, VoteCast) and event.annotator_id != tree.annotator_id:
                truth[event.annotator_id, event.payload.message_id] = event.payload.vote
        for (annotator_id, message_id), vote in truth.items():
            right[annotator_id].append((_worth(tree, message_id) > 0) == (vote > 0))
    for person in world.people:
        words = right[person.id]
        assert len(words) > 100
        assert sum(words) / len(words) == pytest.approx(person.accuracy, abs=0.08)


def _worth(tree: Conversation, message_id: str) -> float:
    strengths = {model.name: model.strength for model in MODELS}
    started = tree.messages[message_id].started
    return quality(strengths[started.model] if started else HUMAN_STRENGTH, message_id)
