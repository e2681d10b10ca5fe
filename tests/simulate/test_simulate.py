"""What a simulated log promises: it is determined, reachable, mixed, and its truth is known."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.core.bodies import body_json, parse
from labeler.core.conversation import Conversation
from labeler.core.events import KINDS, AnswerEdited, NewEvent, ReplyFinished, ReplyStarted, VoteCast
from labeler.core.folding import apply, replay
from labeler.core.text import normal
from labeler.ids import digest_of
from labeler.simulate import MODELS, World, conversation, prose, quality, simulate
from labeler.simulate.world import HUMAN_STRENGTH
from labeler.study import Study, parse_study

NUMBERS = st.integers(min_value=0, max_value=1_000_000)
SEEDS = st.integers(min_value=0, max_value=2**31)


def a_study(**keys: object) -> Study:
    models = [{"kind": "openai", "name": "m", "base_url": "http://127.0.0.1:1", "model": "m"}]
    return parse_study(
        {"name": "simulated", "models": models, "vote_reasons": ["Helpful", "Wrong", "Too long"], **keys}
    )


STUDY = a_study()
CONSENT = {"version": "2", "text": "May we publish what you write?"}


def flat(batches: Iterable[list[NewEvent]]) -> list[NewEvent]:
    return [event for batch in batches for event in batch]


@pytest.fixture(scope="module")
def log() -> list[NewEvent]:
    return flat(simulate(1500, study=STUDY, seed=7))


@pytest.fixture(scope="module")
def conversations(log: list[NewEvent]) -> list[Conversation]:
    streams: dict[str, list[NewEvent]] = defaultdict(list)
    for event in log:
        streams[event.conversation_id].append(event)
    return [replay(conversation_id, events) for conversation_id, events in streams.items()]


# ── determined ──


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, number=NUMBERS)
def test_a_conversation_depends_on_its_seed_and_number_only(seed: int, number: int) -> None:
    alone = conversation(World(STUDY, seed, 8), number)
    in_company = flat(simulate(range(max(0, number - 2), number + 2), study=STUDY, seed=seed))
    assert [event for event in in_company if event.conversation_id == alone[0].conversation_id] == alone


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, few=st.integers(0, 70), more=st.integers(0, 70))
def test_a_larger_number_extends_a_smaller_one(seed: int, few: int, more: int) -> None:
    short = {event.event_id: event for event in flat(simulate(few, study=STUDY, seed=seed))}
    long = {event.event_id: event for event in flat(simulate(few + more, study=STUDY, seed=seed))}
    assert short.items() <= long.items()
    assert len({event.conversation_id for event in long.values()}) == few + more


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, other=SEEDS, number=NUMBERS)
def test_another_seed_shares_no_id(seed: int, other: int, number: int) -> None:
    mine, theirs = (
        {name for event in conversation(World(STUDY, s, 8), number) for name in (event.event_id, event.conversation_id)}
        for s in (seed, other)
    )
    assert seed == other or mine.isdisjoint(theirs)


@pytest.mark.parametrize(
    "other",
    [
        World(STUDY, 1, 9),
        World(a_study(system_prompt="Be brief."), 1, 8),
        World(a_study(vote_reasons=["Good"]), 1, 8),
        World(a_study(consent=CONSENT), 1, 8),
        World(a_study(name="another"), 1, 8),
    ],
)
def test_what_a_simulation_depends_on_changes_all_its_ids(other: World) -> None:
    ids = {event.event_id for event in conversation(World(STUDY, 1, 8), 5)}
    assert ids.isdisjoint(event.event_id for event in conversation(other, 5))


def test_the_events_are_those_of_every_release() -> None:
    """Ids and texts of simulated logs are kept elsewhere: whoever changes them makes a new kind of seed, knowingly."""
    events = [event for number in range(50) for event in conversation(World(STUDY, 0, 8), number)]
    assert (
        digest_of(f"{event.event_id} {event.at} {body_json(event.payload)}".encode() for event in events)
        == "0512357ac7e7061fee6bfd4260a7fbac64e75e4250a009ef4f02d26491521e07"
    )


# ── reachable ──


def test_every_conversation_replays_and_belongs_to_one_annotator(
    log: list[NewEvent], conversations: list[Conversation]
) -> None:
    owners = defaultdict(set)
    for event in log:
        owners[event.conversation_id].add(event.annotator_id)
    assert len(conversations) == 1500
    assert {len(people) for people in owners.values()} == {1}
    assert all(each.annotator_id in owners[each.id] for each in conversations)


def test_event_ids_are_unique(log: list[NewEvent]) -> None:
    assert len({event.event_id for event in log}) == len(log)


def test_every_body_passes_the_door_that_loaded_logs_pass(log: list[NewEvent]) -> None:
    for event in islice(log, 4000):
        assert parse(event.payload.kind, json.loads(body_json(event.payload))) == event.payload


def test_no_model_answers_that_exists_elsewhere(log: list[NewEvent]) -> None:
    names = {event.payload.model_id for event in log if isinstance(event.payload, ReplyStarted)}
    assert names == {f"simulated/{model.name}" for model in MODELS}


def test_consent_comes_before_anything_else_and_once_for_each_annotator() -> None:
    study = a_study(consent=CONSENT)
    batches = simulate(10, study=study, annotators=3)
    consents = flat(islice(batches, 3))
    assert [event.payload.kind for event in consents] == ["consent_given"] * 3
    assert all(event.seq == 1 and event.conversation_id == event.annotator_id for event in consents)
    rest = flat(batches)
    assert {event.annotator_id for event in rest} <= {event.annotator_id for event in consents}
    assert min(event.at for event in rest) >= max(event.at for event in consents)


def test_only_what_was_seen_is_edited_or_voted_on() -> None:
    """Votes and edits are made on the visible path, as the page makes them."""
    world = World(STUDY, 11, 8)
    for number in range(300):
        tree = None
        for event in conversation(world, number):
            tree = tree or Conversation(event.conversation_id)
            if isinstance(event.payload, VoteCast | AnswerEdited):
                target = getattr(event.payload, "edits", None) or event.payload.message_id
                assert target in {message.id for message in tree.visible()}
            apply(tree, event)


# ── mixed ──


def test_every_gesture_of_the_chat_occurs(log: list[NewEvent]) -> None:
    foreign = {
        "log_started",
        "consent_given",
        "consent_withdrawn",
        "annotator_excluded",
        "annotator_included",
        "erased",
        "span_reviewed",
    }
    beside = {"pair_drawn", "review_skipped", "answers_flagged", "adjudicated"}
    assert {event.payload.kind for event in log} == KINDS.keys() - foreign - beside - {"conversation_adopted"}


def test_replies_end_in_every_way_and_some_never_do(log: list[NewEvent]) -> None:
    statuses = Counter(event.payload.status for event in log if isinstance(event.payload, ReplyFinished))
    started = sum(isinstance(event.payload, ReplyStarted) for event in log)
    assert statuses["complete"] > 0.9 * statuses.total()
    assert statuses["stopped"] > statuses["failed"] > 0
    assert started > statuses.total()


def test_conversations_have_one_to_many_turns(conversations: list[Conversation]) -> None:
    turns = Counter(sum(m.role == "user" for m in each.messages.values()) for each in conversations)
    assert turns[1] > turns[3] > turns[6] > 0


def test_openers_are_several_hundred_and_repeat(conversations: list[Conversation]) -> None:
    openers = Counter(each.messages[each.roots[0]].content for each in conversations)
    assert len(openers) > 300
    assert openers.most_common(1)[0][1] > 20


def test_answers_have_a_plausible_length_and_shape(conversations: list[Conversation]) -> None:
    texts = [m.content for each in conversations for m in each.messages.values() if m.complete and m.origin == "model"]
    lengths = sorted(map(len, texts))
    assert 300 < lengths[len(lengths) // 2] < 900
    assert lengths[-1] > 4 * lengths[len(lengths) // 2] - 400
    assert any("\n    " in text and "```python" in text for text in texts)
    assert any("\n- " in text for text in texts)
    assert any("| --- |" in text for text in texts)


def test_texts_hold_what_real_texts_hold(conversations: list[Conversation]) -> None:
    typed = {m.content for each in conversations for m in each.messages.values() if m.role == "user"}
    assert any(normal(text) != " ".join(text.split()) for text in typed), "no text that is not NFC"
    assert any("\n    " in text for text in typed), "no pasted code"
    assert any(ord(character) > 0xFFFF or "\u4e00" <= character <= "\u9fff" for text in typed for character in text)


def test_events_of_several_conversations_are_mixed_in_time_order(log: list[NewEvent]) -> None:
    block = log[: len(log) // 40]
    changes = sum(a.conversation_id != b.conversation_id for a, b in pairwise(block))
    assert changes > len({event.conversation_id for event in block})
    assert [event.at for event in block] == sorted(event.at for event in block)


# ── its truth is known ──


def test_annotators_are_as_accurate_as_they_are_said_to_be() -> None:
    world = World(STUDY, 3, 8)
    strengths = {model.name: model.strength for model in MODELS}
    first_word, right = Counter[str](), Counter[str]()
    for number in range(4000):
        events = conversation(world, number)
        tree = replay(events[0].conversation_id, events)
        for message_id, vote in first_votes(events).items():
            message = tree.messages[message_id]
            if not message.complete:
                continue
            strength = strengths[message.started.model] if message.started else HUMAN_STRENGTH
            first_word[tree.annotator_id] += 1
            right[tree.annotator_id] += (quality(strength, message_id) > 0) == (vote > 0)
    for person in world.people:
        # slips (0.02) turn a first vote round; what is left is sampling error
        assert right[person.id] / first_word[person.id] == pytest.approx(person.accuracy, abs=0.06)


def first_votes(events: Iterable[NewEvent]) -> dict[str, int]:
    votes: dict[str, int] = {}
    for event in events:
        if isinstance(event.payload, VoteCast):
            votes.setdefault(event.payload.message_id, event.payload.vote)
    return votes


def test_stronger_models_are_liked_more(conversations: list[Conversation]) -> None:
    rates = []
    for model in MODELS:
        votes = [fact.vote for each in conversations if each.started.model == model.name for fact in each.votes]
        rates.append(votes.count(1) / (votes.count(1) + votes.count(-1)))
    assert rates == sorted(rates, reverse=True)


def test_an_answer_is_as_good_as_its_strength_says() -> None:
    world = World(STUDY, 5, 8)
    ids = [event.event_id for number in range(60) for event in conversation(world, number)]
    good = [quality(0.0, f"{int(name, 16):036x}") > 0 for name in ids]
    assert sum(good) / len(good) == pytest.approx(0.5, abs=0.05)


# ── streaming ──


def test_memory_does_not_grow_with_the_number_of_conversations() -> None:
    prose.openers()
    tracemalloc.start()
    try:
        peaks = []
        for count in (128, 1280):
            tracemalloc.reset_peak()
            for _ in simulate(count, study=STUDY):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_nothing_is_a_gesture_that_changes_nothing(log: list[NewEvent]) -> None:
    gestures = list(simulate(200, study=STUDY))
    assert all(gestures)
    assert {len({event.at for event in gesture}) for gesture in gestures} == {1}
    assert max(map(len, gestures)) == 3


def test_progress_is_reported_to_the_last_conversation() -> None:
    done: list[int] = []
    flat(simulate(150, study=STUDY, report=done.append))
    assert sum(done) == 150
