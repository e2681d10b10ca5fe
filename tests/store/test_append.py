"""The contract of appending, whatever database is behind it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from labeler.core.events import (
    Event,
    LogStarted,
    MessageSent,
    NewEvent,
    ReplyFinished,
    ReplyStarted,
    VoteCast,
    VoteWithdrawn,
)
from labeler.errors import EventConflict, SeqConflict, StoreError
from labeler.ids import event_id
from labeler.store import Store
from tests.store.conftest import Place
from tests.store.made import LATER, facts, held, ids, log_of, made, numbered, votes
from tests.stories import told

# ── what is stored ──


def test_a_log_begins_with_where_it_comes_from(store: Store) -> None:
    (first,) = store.scan()
    assert first.payload == LogStarted(source_id=store.source_id)
    assert (first.position, first.seq, first.conversation_id) == (1, 1, store.source_id)
    assert first.event_id == event_id("labeler", store.source_id, 0)


def test_a_log_keeps_its_source_when_it_is_opened_again(place: Place) -> None:
    with place.open() as store:
        source_id = store.source_id
    with place.open() as store:
        assert (store.source_id, store.position()) == (source_id, 1)


def test_two_logs_have_two_sources(place: Place, other_place: Place) -> None:
    with place.open() as one, other_place.open() as other:
        assert one.source_id != other.source_id


def test_the_clock_of_the_caller_says_when_a_log_began(place: Place) -> None:
    with place.open(clock=lambda: LATER) as store:
        assert next(store.scan()).at == LATER


def test_what_is_appended_takes_the_next_positions(store: Store) -> None:
    story = told().asks("Why?").answers("Because.").likes().retries("So.").better().edits("Thus.").undoes()
    stored = store.append(story.events)
    assert facts(stored) == facts(story.events)
    placed = numbered(store, stored)
    assert [event.position for event in placed] == list(range(2, 2 + len(story.events)))
    assert log_of(store) == placed


@pytest.mark.databases("sqlite")
def test_one_writer_knows_positions_at_once(store: Store) -> None:
    assert [event.position for event in store.append(votes("c1", 3))] == [2, 3, 4]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "    indented\n\tcode\r\n  ",
        "nul \0 and \x1f",
        'quotes " and \\',
        "Zürich 北京 🎈 \u2028 \ufeff",
        "e\u0301 é",
    ],
)
def test_text_comes_back_exactly_as_it_was_written(store: Store, text: str) -> None:
    store.append([made("e1", payload=MessageSent(message_id="m", parent_id=None, content=text))])
    (event,) = log_of(store)
    assert isinstance(event.payload, MessageSent)
    assert event.payload.content == text


def test_numbers_come_back_exactly(store: Store) -> None:
    sampling = {"temperature": 0.1 + 0.2, "top_p": 1e-7, "seed": 2**63 - 1, "big": 1e300, "stop": ["\n"], "none": None}
    started = ReplyStarted(
        message_id="m",
        parent_id="q",
        model="small",
        model_id="org/small",
        model_revision=None,
        sampling=sampling,
        system_prompt_sha256=None,
    )
    store.append([made("e1", payload=started)])
    assert log_of(store)[0].payload == started


def test_a_gesture_without_events_stores_nothing(store: Store) -> None:
    assert store.append([]) == []
    assert store.position() == 1


# ── the same again ──


def test_a_gesture_delivered_twice_is_stored_once(store: Store) -> None:
    gesture = [made("e1"), made("e2", seq=2)]
    stored = store.append(gesture)
    assert facts(store.append(gesture)) == facts(stored)
    assert log_of(store) == numbered(store, stored)


def test_a_gesture_delivered_again_later_and_elsewhere_in_the_conversation_gives_what_was_stored(store: Store) -> None:
    (stored,) = store.append([made("e1")])
    store.append([made("e2", seq=2)])
    assert store.append([made("e1", seq=3, at=LATER)]) == [stored]
    assert ids(log_of(store)) == ["e1", "e2"]


def test_a_gesture_delivered_twice_at_once_is_stored_once(store: Store) -> None:
    with held(store):  # so that both wait
        first, second = store.submit([made("e1")]), store.submit([made("e1")])
    assert facts(first.result()) == facts(second.result()) == facts(log_of(store))


def test_a_gesture_survives_a_restart_and_is_still_known(place: Place) -> None:
    with place.open() as store:
        stored = store.append([made("e1")])
    with place.open() as store:
        assert store.append([made("e1", seq=9, at=LATER)]) == stored


@pytest.mark.parametrize(
    "other",
    [
        made("e1", payload=MessageSent(message_id="e1", parent_id=None, content="Goodbye")),
        made("e1", payload=VoteWithdrawn(message_id="e1")),
        made("e1", annotator="somebody else"),
        made("e1", stream="c2"),
    ],
    ids=["body", "kind", "annotator", "conversation"],
)
def test_an_event_id_with_another_content_is_an_error(store: Store, other: NewEvent) -> None:
    stored = store.append([made("e1")])
    with pytest.raises(EventConflict, match="e1 is stored with another content"):
        store.append([other])
    assert log_of(store) == numbered(store, stored)


def test_a_gesture_of_which_only_a_part_is_stored_is_an_error(store: Store) -> None:
    stored = store.append([made("e1")])
    with pytest.raises(EventConflict):
        store.append([made("e1"), made("e2", seq=2)])
    assert log_of(store) == numbered(store, stored)


def test_a_gesture_that_holds_an_event_twice_is_an_error(store: Store) -> None:
    with pytest.raises(EventConflict):
        store.append([made("e1"), made("e1", seq=2)])
    assert log_of(store) == []


# ── streams ──


@pytest.mark.parametrize("seq", [1, 2], ids=["first", "last"])
def test_of_two_events_with_one_seq_the_second_is_refused(store: Store, seq: int) -> None:
    stored = store.append([made("e1"), made("e2", seq=2)])
    with pytest.raises(SeqConflict, match="read it again"):
        store.append([made("e3", seq=seq)])
    assert log_of(store) == numbered(store, stored)


@pytest.mark.parametrize("seq", [0, -1, 2, 3])
def test_a_stream_begins_with_one(store: Store, seq: int) -> None:
    with pytest.raises(SeqConflict):
        store.append([made("e1", seq=seq)])
    assert store.load("c1") == []


def test_a_stream_has_no_gaps(store: Store) -> None:
    store.append([made("e1")])
    with pytest.raises(SeqConflict):
        store.append([made("e2", seq=3)])
    assert ids(store.load("c1")) == ["e1"]


def test_what_builds_on_a_gesture_that_failed_fails_too(store: Store) -> None:
    """A caller may submit on top of what is not committed yet: no hole may open when that falls away."""
    with held(store):
        outcomes = [store.submit([made("e1", seq=9)]), store.submit([made("e2", seq=10)])]
    assert [type(outcome.exception()) for outcome in outcomes] == [SeqConflict, SeqConflict]
    assert store.load("c1") == []


def test_streams_do_not_wait_for_each_other(store: Store) -> None:
    for stream in ("c1", "c2", "ann"):
        store.append([made(f"{stream}-1", stream)])
    assert [event.position for event in log_of(store)] == [2, 3, 4]


# ── all or none, and nobody else's business ──


def test_of_a_gesture_all_is_stored_or_nothing(store: Store) -> None:
    store.append([made("e1")])
    with pytest.raises(SeqConflict):
        store.append([made("e2", seq=2), made("e3", stream="c2", seq=7)])
    assert ids(log_of(store)) == ["e1"]


def test_in_a_group_only_those_to_blame_are_refused(store: Store) -> None:
    store.append([made("e0")])
    with held(store):
        outcomes: list[Future[list[Event]]] = [
            store.submit([made("e1", seq=2)]),
            store.submit([made("e2", seq=2)]),
            store.submit([made("e0", payload=VoteCast(message_id="m", vote=1))]),
            store.submit([made("e0", at=LATER)]),
            store.submit([made("e3", "c2"), made("e4", "c2", seq=2)]),
        ]
    refusals = [type(outcome.exception()) for outcome in outcomes]
    assert refusals == [type(None), SeqConflict, EventConflict, type(None), type(None)]
    assert [(event.position, event.event_id) for event in log_of(store)] == [(2, "e0"), (3, "e1"), (4, "e3"), (5, "e4")]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (made("e1", payload=MessageSent(message_id="m", parent_id=None, content="half \ud83c")), "lone surrogate"),
        (made("e1", annotator="half \ud83c"), "lone surrogate"),
        (made("e1", at="yesterday"), "'yesterday' is no time of the form"),
        (made("e1", at="2026-11-22T10:00:00.000000Z\n"), "is no time of the form"),
        (made("e1", at="2026-02-30T10:00:00.000000Z"), "is no time of the form"),
        (
            made("e1", payload=ReplyFinished(message_id="m", content="", status="complete", latency_ms=float("nan"))),  # type: ignore[arg-type]
            "JSON compliant",
        ),
        (
            made("e1", payload=ReplyFinished(message_id="m", content="", status="complete", error=b"")),  # type: ignore[arg-type]
            "serializable",
        ),
    ],
    ids=["text", "annotator", "time", "time and more", "no such day", "number", "type"],
)
def test_what_cannot_be_written_is_refused_alone(store: Store, odd: NewEvent, reason: str) -> None:
    with held(store):
        good, bad = store.submit([made("e2", "c2")]), store.submit([odd])
    with pytest.raises(StoreError, match=reason) as refused:
        bad.result()
    assert "\n" not in str(refused.value)
    assert facts(good.result()) == facts(log_of(store))


def test_the_writer_outlives_what_nobody_thought_of(store: Store) -> None:
    class Odd(MessageSent):
        """A payload that takes down whoever reads its kind."""

        def __getattribute__(self, name: str) -> Any:
            raise RecursionError("odd")

    with held(store):
        outcomes = [store.submit([made("e1", payload=Odd.__new__(Odd))]), store.submit([made("e2", "c2")])]
    assert "not an event that can be stored: odd" in str(outcomes[0].exception())
    assert ids(outcomes[1].result()) == ["e2"]


# ── futures ──


def test_one_who_gives_up_waiting_is_in_nobodys_way(store: Store) -> None:
    with held(store):
        waiting, other = store.submit([made("e1", "c1")]), store.submit([made("e2", "c2")])
        assert waiting.cancel()
    assert ids(other.result(timeout=10)) == ["e2"]
    assert ids(store.append([made("e1", "c1")])) == ["e1"]


def test_a_callback_may_submit(store: Store) -> None:
    outcome: Future[list[Event]] = Future()

    def go_on(done: Future[list[Event]]) -> None:
        store.submit([made("e2", seq=done.result()[0].seq + 1)]).add_done_callback(
            lambda then: outcome.set_result(then.result())
        )

    store.submit([made("e1")]).add_done_callback(go_on)
    assert ids(outcome.result(timeout=10)) == ["e2"]


def test_many_threads_append_and_every_event_gets_a_position_of_its_own(store: Store) -> None:
    histories = [votes(f"c{number}", 20) for number in range(16)]

    def append(history: list[NewEvent]) -> None:
        for event in history:
            store.append([event])

    threads = [threading.Thread(target=append, args=(history,)) for history in histories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.position for event in store.scan()] == list(range(1, 16 * 20 + 2))
    assert [facts(store.load(f"c{number}")) for number in range(16)] == [facts(history) for history in histories]


# ── closing ──


def test_closing_stores_what_was_submitted(place: Place) -> None:
    store = place.open()
    outcomes = [store.submit([event]) for event in votes("c1", 200)]
    store.close()
    assert all(outcome.done() and not outcome.exception() for outcome in outcomes)
    with place.open() as again:
        assert len(again.load("c1")) == 200


def test_a_closed_log_refuses_and_says_so(place: Place) -> None:
    store = place.open()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.append([made("e1")])


# ── many at once ──


def test_extend_stores_many_gestures_in_their_order(store: Store) -> None:
    store.extend([event] for event in votes("c1", 5000))
    assert facts(store.load("c1")) == facts(votes("c1", 5000))


def test_extend_passes_over_what_is_stored(store: Store) -> None:
    store.extend([event] for event in votes("c1", 10))
    store.extend([replace(event, at=LATER)] for event in votes("c1", 15))
    assert len(log_of(store)) == 15


def test_extend_tells_of_a_conflict(store: Store) -> None:
    with pytest.raises(SeqConflict):
        store.extend([[made("e1")], [made("e2", seq=5)]])
