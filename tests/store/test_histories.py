"""Random histories against a model of the store that fits on a page, alone and with several threads at once."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.core.events import Event, MessageSent, NewEvent
from labeler.errors import EventConflict, SeqConflict, StoreError
from labeler.store import Store
from tests.store.made import facts, made
from tests.store.test_processes import assert_sound

Gesture = list[NewEvent]


@dataclass
class Model:
    """What the contract of ``submit`` says, with two dictionaries."""

    by_id: dict[str, NewEvent] = field(default_factory=dict)
    tips: dict[str, int] = field(default_factory=dict)

    def append(self, gesture: Gesture) -> list[NewEvent] | type[StoreError]:
        ids = [event.event_id for event in gesture]
        known = [event for event in gesture if event.event_id in self.by_id]
        if known or len(set(ids)) < len(ids):
            same = len(known) == len(gesture) and all(said(self.by_id[e.event_id]) == said(e) for e in gesture)
            return [self.by_id[one] for one in ids] if same else EventConflict
        tips = dict(self.tips)
        for event in gesture:
            if event.seq != tips.get(event.conversation_id, 0) + 1:
                return SeqConflict
            tips[event.conversation_id] = event.seq
        self.tips = tips
        self.by_id |= {event.event_id: event for event in gesture}
        return gesture


def said(event: NewEvent) -> tuple[object, ...]:
    return (event.conversation_id, event.annotator_id, event.payload)


def outcome_of(store: Store, gesture: Gesture) -> list[Event] | type[StoreError]:
    try:
        return store.append(gesture)
    except StoreError as error:
        return type(error)


contents = st.sampled_from(["yes", "no"])
random_events = st.builds(
    lambda number, stream, seq, content: made(
        f"e{number}", stream, seq, payload=MessageSent(message_id="m", parent_id=None, content=content)
    ),
    st.integers(0, 12),
    st.sampled_from(["c1", "c2", "ann"]),
    st.integers(1, 4),
    contents,
)
gestures = st.lists(random_events, min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(gestures, max_size=20))
def test_one_after_the_other_they_end_as_the_model_says(history: Sequence[Gesture]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/log.db") as store:
        for gesture in history:
            expected, found = model.append(gesture), outcome_of(store, gesture)
            assert (facts(found) if isinstance(found, list) else found) == (
                facts(expected) if isinstance(expected, list) else expected
            )
        assert facts(list(store.scan(after=1))) == facts(list(model.by_id.values()))
        assert_sound(store)


@settings(max_examples=40, deadline=None)
@given(st.lists(gestures, max_size=20))
def test_in_one_group_they_end_as_if_one_came_after_the_other(history: Sequence[Gesture]) -> None:
    model = Model()
    expected = [model.append(gesture) for gesture in history]
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/log.db") as store:
        with store.database.writing():
            outcomes = [store.submit(gesture) for gesture in history]
        for outcome, told in zip(outcomes, expected, strict=True):
            error = outcome.exception()
            assert type(error) is told if isinstance(told, type) else facts(outcome.result()) == facts(told)
        assert facts(list(store.scan(after=1))) == facts(list(model.by_id.values()))
        assert_sound(store)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(gestures, min_size=1, max_size=10), min_size=2, max_size=5))
def test_from_several_threads_what_is_acknowledged_is_what_is_stored(histories: Sequence[Sequence[Gesture]]) -> None:
    """Whatever the threads did to each other: the log is one that the model makes from the gestures that succeeded."""
    outcomes: list[tuple[Gesture, list[Event] | type[StoreError]]] = []

    def append(store: Store, history: Sequence[Gesture]) -> None:
        for gesture in history:
            outcomes.append((gesture, outcome_of(store, gesture)))

    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/log.db") as store:
        threads = [threading.Thread(target=append, args=(store, history)) for history in histories]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log = list(store.scan(after=1))
        assert_sound(store)
    stored = {event.event_id: event for event in log}
    for gesture, outcome in outcomes:
        if isinstance(outcome, list):
            assert outcome == [stored[event.event_id] for event in gesture]
            assert [said(event) for event in outcome] == [said(event) for event in gesture]
        else:
            assert outcome in (EventConflict, SeqConflict)
    acknowledged = {event.event_id for _, outcome in outcomes if isinstance(outcome, list) for event in outcome}
    assert stored.keys() == acknowledged
