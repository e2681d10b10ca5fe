"""The contract of reading: one order for everybody, and answers that cost what they are about."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest

from labeler.core.events import ConsentWithdrawn, ConversationStarted, Erased, Event, NewEvent
from labeler.store import Store
from labeler.store.index import differences, rebuild
from tests.store.made import facts, held, ids, log_of, made, votes
from tests.stories import told, told_of

# ── events ──


def test_a_stream_is_loaded_in_the_order_of_seq(store: Store) -> None:
    store.append([made("a1", "a")])
    store.append([made("b1", "b")])
    store.append([made("a2", "a", 2)])
    store.position()
    assert [(event.event_id, event.seq, event.position) for event in store.load("a")] == [("a1", 1, 2), ("a2", 2, 4)]


def test_a_stream_that_is_not_there_is_empty(store: Store) -> None:
    assert store.load("nowhere") == []


def test_an_event_is_found_by_its_id(store: Store) -> None:
    (stored,) = store.append([made("e1")])
    assert store.find("e1") == stored
    assert store.find("e2") is None


def test_many_events_are_found_by_their_ids_whatever_their_number(store: Store) -> None:
    stored = store.append(votes("c1", 1200))
    asked = [event.event_id for event in stored] + ["absent"]
    assert store.found(asked) == {event.event_id: event for event in stored}
    assert store.found([]) == {}


def test_what_annotators_of_one_name_did_is_read_between_two_positions(store: Store) -> None:
    for number, annotator in enumerate(["a:1", "b:1", "a:2", "ab:1", "a_:1", "a%:1"]):
        store.append(votes(f"c{number}", 3, annotator=annotator))
    assert store.position() == 19
    assert [event.position for event in store.given_by("a:", 0, 99, 99)] == [2, 3, 4, 8, 9, 10]
    assert [event.position for event in store.given_by("a:", 3, 9, 99)] == [4, 8, 9]
    assert [event.position for event in store.given_by("a:", 0, 99, 4)] == [2, 3, 4, 8]
    assert {event.annotator_id for event in store.given_by("a_", 0, 99, 99)} == {"a_:1"}
    assert {event.annotator_id for event in store.given_by("a%", 0, 99, 99)} == {"a%:1"}


def test_a_scan_reads_what_lies_between_two_positions(store: Store) -> None:
    store.append(votes("c1", 8))
    assert [event.position for event in store.scan()] == list(range(1, 10))
    assert [event.position for event in store.scan(after=3, upto=6)] == [4, 5, 6]
    assert list(store.scan(after=9)) == list(store.scan(after=4, upto=4)) == list(store.scan(after=99)) == []


def test_a_scan_ends_where_the_log_ended_when_it_began(store: Store) -> None:
    store.append([made("e1")])
    scan = store.scan()
    next(scan)
    store.append([made("e2", seq=2)])
    assert ids(list(scan)) == ["e1"]


def test_a_scan_reads_a_long_log_in_little_memory(store: Store) -> None:
    store.extend([event] for event in votes("c1", 12_000))
    sum(1 for _ in store.scan(upto=10))  # what is compiled and cached once does not count
    tracemalloc.start()
    count = sum(1 for _ in store.scan())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 12_001
    assert peak < 6_000_000


def test_readers_see_what_is_committed_while_somebody_writes(store: Store) -> None:
    store.append([made("e1")])
    assert store.position() == 2
    with held(store):
        waiting = store.submit([made("e2", seq=2)])
        assert ids(log_of(store)) == ["e1"]
        assert not waiting.done()
    waiting.result()
    assert ids(log_of(store)) == ["e1", "e2"]


# ── conversations ──


def test_an_annotators_conversations_come_with_the_newest_first(store: Store) -> None:
    for stream in ("c1", "c2", "c3"):
        store.append(votes(stream, 2))
    store.append(votes("hers", 2, annotator="bea"))
    assert store.conversations_of("ann") == ["c3", "c2", "c1"]
    store.append([made("late", "c1", 3, annotator="bea")])
    assert store.conversations_of("ann") == ["c1", "c3", "c2"]
    assert store.conversations_of("ann", limit=2) == ["c1", "c3"]


def test_a_conversation_belongs_to_the_one_who_began_it(store: Store) -> None:
    store.append(votes("c1", 2))
    store.append([made("late", "c1", 3, annotator="bea")])
    assert store.conversations_of("bea") == []


def test_conversations_of_one_mode_are_found_by_themselves(store: Store) -> None:
    for number, mode in enumerate(("chat", "compare", "chat")):
        started = ConversationStarted(study="s", mode=mode, model="")
        store.append([made(f"e{number}", f"c{number}", payload=started)])
    assert store.conversations_of("ann", "chat") == ["c2", "c0"]
    assert store.conversations_of("ann", "compare") == ["c1"]
    assert store.conversations_of("ann", "chat", limit=1) == ["c2"]
    assert store.conversations_of("ann", "review") == []


def test_openers_are_first_user_messages(store: Store) -> None:
    store.append(told(conversation_id="c1").asks("  First?\n").answers("Yes.").asks("Second?").answers("No.").events)
    store.append(told(conversation_id="c2").asks("Other?").answers("Yes.").rewrites("Rewritten?").events)
    store.append(told(conversation_id="silent").events)
    assert store.openers(["c1", "c2", "silent", "nowhere"]) == {"c1": "  First?\n", "c2": "Other?"}
    assert store.openers([]) == {}


def test_a_tally_counts_an_annotators_own_events_wherever_they_are(store: Store) -> None:
    story = told("ann").asks("Why?").answers("So.").likes().by("bea").dislikes()
    store.append(story.events)
    store.append(told_of("ann").consents().is_excluded().events)
    assert store.tally("ann") == {
        "conversation_started": 1,
        "message_sent": 1,
        "reply_started": 1,
        "vote_cast": 1,
        "consent_given": 1,
    } | {"reply_finished": sum(e.annotator_id == "ann" and e.payload.kind == "reply_finished" for e in story.events)}
    assert store.tally("bea")["vote_cast"] == 1
    assert store.tally("nobody") == {}


def test_conversations_are_counted_by_their_first_events(store: Store) -> None:
    store.append(votes("c1", 3))
    store.append(told_of("ann").consents().events)
    store.append(votes("c2", 3))
    assert store.position() == 8
    assert [store.conversation_count(upto) for upto in range(10)] == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


# ── shards ──


def mixed(store: Store, *histories: Iterable[NewEvent]) -> None:
    """Append in turns, an event from each history, as it happens when several people work."""
    waiting = [iter(history) for history in histories]
    while waiting:
        for history in list(waiting):
            event = next(history, None)
            if event is None:
                waiting.remove(history)
            else:
                store.append([event])
    store.position()  # whoever reads by position asks for one first


def read(store: Store, first: int, last: int, upto: int) -> list[tuple[str, list[Event]]]:
    shard = store.shard_rows(first, last, upto)
    return [(stream, [store.event_of(stream, row) for row in rows]) for stream, rows in shard]


def test_a_shard_holds_conversations_in_the_order_of_their_first_events(store: Store) -> None:
    mixed(store, votes("z", 3), told_of("ann").consents().events, votes("a", 4), votes("m", 2))
    upto = store.position()
    assert read(store, 0, 10, upto) == [(stream, store.load(stream)) for stream in ("z", "a", "m")]
    assert [stream for stream, _ in read(store, 1, 3, upto)] == ["a", "m"]
    assert read(store, 3, 9, upto) == read(store, 1, 1, upto) == []


def test_a_shard_ends_at_a_position(store: Store) -> None:
    mixed(store, votes("z", 3), votes("a", 3))
    assert [(stream, ids(events)) for stream, events in read(store, 0, 9, 4)] == [("z", ["z-1", "z-2"]), ("a", ["a-1"])]
    assert [stream for stream, _ in read(store, 0, 9, 2)] == ["z"]


def test_a_shard_may_be_left_unread(store: Store) -> None:
    store.append(votes("c1", 3))
    shard = store.shard_rows(0, 9, store.position())
    next(shard)
    del shard
    store.append(votes("c2", 3))
    assert store.conversation_count(store.position()) == 2


def test_numbers_of_conversations_stay_when_their_beginnings_become_tombstones(store: Store) -> None:
    store.append(votes("c1", 2))
    store.append(votes("c2", 2))
    store.position()
    tombstone = '{"erased_kind":"conversation_started","reason":"","v":1}'
    with store.database.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE events SET kind = '{Erased.kind}', body = '{tombstone}' WHERE event_id = 'c1-1'"
        )
        assert list(differences(connection)) == []
        rebuild(connection)
    assert [stream for stream, _ in read(store, 0, 9, 99)] == ["c1", "c2"]
    assert list(store.annotator_events(99)) == []


def test_a_log_of_tombstones_is_numbered_as_before_when_it_is_appended_anew(store: Store) -> None:
    store.append([made("e1", payload=Erased(erased_kind="conversation_started"))])
    store.append([made("e2", "ann", payload=Erased(erased_kind="consent_given"))])
    assert store.position() == 3
    assert store.conversation_count(99) == 1
    assert ids(list(store.annotator_events(99))) == ["e2"]


# ── annotators ──


def test_events_about_annotators_are_read_without_the_rest(store: Store) -> None:
    mixed(store, votes("c1", 3), told_of("ann").consents().is_excluded().events, told_of("bea").consents().events)
    found = list(store.annotator_events(99))
    assert found == [event for event in log_of(store) if event.conversation_id in ("ann", "bea")]
    assert list(store.annotator_events(found[1].position)) == found[:2]


# ── what an export must do again ──


def test_two_logs_that_began_alike_have_one_lineage_until_they_part(store: Store) -> None:
    mixed(store, votes("c1", 2))
    begun = store.position()
    before = store.lineage(begun)
    mixed(store, votes("c2", 1))
    assert store.lineage(begun) == before
    assert store.lineage(begun + 1) != before


def test_a_tombstone_changes_the_lineage_from_its_place_on(store: Store) -> None:
    mixed(store, votes("c1", 3))
    before = [store.lineage(position) for position in range(1, store.position() + 1)]
    with store.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE events SET kind = '{Erased.kind}' WHERE position = 3")
    after = [store.lineage(position) for position in range(1, store.position() + 1)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False, False]


def test_conversations_with_new_events_are_dirty(store: Store) -> None:
    mixed(store, votes("c1", 2), votes("c2", 3), votes("c3", 2))
    position = store.position()
    assert store.dirty_ordinals(position, position) == set()
    store.append([made("late", "c2", 4)])
    assert store.position() == position + 1
    assert store.dirty_ordinals(position, position + 1) == {1}
    assert store.dirty_ordinals(0, position) == {0, 1, 2}
    assert store.dirty_ordinals(1, 2) == {0}


def test_whatever_an_annotator_touched_is_dirty_after_an_event_about_them(store: Store) -> None:
    mixed(store, votes("c1", 2), votes("c2", 2, annotator="bea"), votes("c3", 2, annotator="cid"))
    store.append([made("review", "c3", 3, annotator="ann")])
    position = store.position()
    store.append(told_of("ann").is_excluded().events)
    assert store.position() == position + 1
    assert store.dirty_ordinals(position, position + 1) == {0, 2}
    store.append(told_of("bea").consents().events)
    assert store.position() == position + 2
    assert store.dirty_ordinals(position + 1, position + 2) == {1}


def test_what_is_not_exported_yet_is_not_dirty(store: Store) -> None:
    store.append(told_of("ann").consents().events)
    store.append(votes("c1", 2))
    assert store.dirty_ordinals(0, 2) == set()


@pytest.mark.parametrize("seed", range(3))
def test_dirty_is_what_the_definition_says(store: Store, seed: int) -> None:
    people = ["ann", "bea", "cid"]
    for number in range(9):
        owner = people[(number + seed) % 3]
        store.append(votes(f"c{number}", 2, annotator=owner))
        if number % 4 == seed:
            store.append([made(f"review-{number}", f"c{number}", 3, annotator=people[number % 3])])
        if number % 3 == 1:
            seq = len(store.load(owner)) + 1
            store.append([made(f"consent-{number}", owner, seq, annotator=owner, payload=ConsentWithdrawn())])
    log, upto = list(store.scan()), store.position()
    order = [stream for stream, _ in store.shard_rows(0, 99, upto)]
    for after in range(upto + 1):
        new = {event.conversation_id for event in log if event.position > after}
        touched = {event.conversation_id for event in log if event.annotator_id in new}
        assert store.dirty_ordinals(after, upto) == {order.index(one) for one in new | touched if one in order}


def test_what_is_derived_follows_from_the_log(store: Store) -> None:
    mixed(store, votes("c1", 3), told_of("ann").consents().is_excluded().events, votes("c2", 2, annotator="bea"))
    store.append([made("late", "c1", 4, annotator="bea")])
    with store.database.writing() as connection:
        assert list(differences(connection)) == []
        rebuild(connection)
        assert list(differences(connection)) == []
    assert facts(store.load("c1"))[:3] == facts(votes("c1", 3))
