"""No reader ever skips an event that commits late, and nobody has to wait for anybody to write one."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import Connection

from labeler.errors import SeqConflict
from labeler.store import Store
from labeler.store.index import differences
from labeler.store.positions import append_rows
from labeler.store.rows import drafts_of
from labeler.store.transfer import dump, load
from labeler.store.verify import verify_log
from tests.store.conftest import Place
from tests.store.made import ids, made, votes

pytestmark = pytest.mark.databases("postgresql")


class Reader:
    """Reads on from where it came to the last time, as exports, pushers and summaries do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read: list[str] = []
        self.seqs: Counter[str] = Counter()
        self.position = 0

    def go_on(self) -> None:
        for event in self._store.scan(after=self.position):
            assert event.position == self.position + 1, "positions have no gap"
            assert event.seq == self.seqs[event.conversation_id] + 1, "nobody reads an event before the one before it"
            self.position = event.position
            self.seqs[event.conversation_id] += 1
            self.read.append(event.event_id)


@contextmanager
def slow(store: Store, *streams: str) -> Iterator[Connection]:
    """A transaction that has appended to some streams, and takes its time to commit."""
    with store.database.appending() as connection:
        for stream in streams:
            append_rows(connection, drafts_of(votes(stream, 1)))
        yield connection


def test_an_event_that_commits_late_is_read_late_and_not_skipped(store: Store) -> None:
    reader = Reader(store)
    with slow(store, "slow"):
        store.append(votes("quick", 3))
        reader.go_on()
        assert len(reader.read) == 1, "what was stored meanwhile may not come before what is not there yet"
        assert ids(store.load("quick")) == ["quick-1", "quick-2", "quick-3"], (
            "whoever has the page open sees it at once"
        )
    reader.go_on()
    assert reader.read[1:] == ["slow-1", "quick-1", "quick-2", "quick-3"]


def test_a_transaction_that_fails_late_leaves_no_gap(store: Store) -> None:
    reader = Reader(store)
    with suppress(ZeroDivisionError), slow(store, "slow"):
        store.append(votes("quick", 2))
        raise ZeroDivisionError
    reader.go_on()
    assert reader.read[1:] == ["quick-1", "quick-2"]


def test_a_writer_waits_for_no_other(store: Store) -> None:
    with slow(store, "one"), slow(store, "two"):
        store.append(votes("three", 2))
    assert store.position() == 5


def test_a_position_stays_once_it_is_given(store: Store) -> None:
    store.append(votes("c1", 3))
    before = list(store.scan())
    with slow(store, "slow"):
        store.append(votes("c2", 3))
        assert list(store.scan()) == before
    assert list(store.scan())[: len(before)] == before


def test_who_began_first_and_wrote_second_does_not_tear_a_stream(store: Store) -> None:
    """The older transaction stores what follows an event of the younger one."""
    reader = Reader(store)
    with slow(store, "other") as old:
        store.append(votes("shared", 1))
        append_rows(old, drafts_of(votes("shared", 2)[1:]))
    reader.go_on()
    assert reader.read[1:] == ["other-1", "shared-1", "shared-2"]


def test_nor_does_a_third_who_is_still_at_it(store: Store) -> None:
    """The follower could be numbered by its own transaction, its predecessor not yet."""
    reader = Reader(store)
    with ExitStack() as stack:
        old = stack.enter_context(slow(store, "old"))
        with slow(store, "third"):
            store.append(votes("shared", 1))
            append_rows(old, drafts_of(votes("shared", 2)[1:]))
            stack.close()
            reader.go_on()
            assert "shared-2" not in reader.read
    reader.go_on()
    assert reader.read.index("shared-1") < reader.read.index("shared-2")


@pytest.mark.parametrize("seed", range(12))
def test_whatever_overlaps_every_reader_reads_everything_once_and_in_order(store: Store, seed: int, file: Path) -> None:
    chance = random.Random(seed)
    readers = [Reader(store) for _ in range(3)]
    running: list[ExitStack] = []
    connections: dict[int, Connection] = {}
    last: Counter[str] = Counter()
    holder: dict[str, int] = {}  # which running transaction has a stream's last event
    for step in range(80):
        what = chance.random()
        if what < 0.2 and len(running) < 4:
            stack = ExitStack()
            connection = stack.enter_context(store.database.appending())
            connections[id(stack)] = connection
            running.append(stack)
            connection.exec_driver_sql("SELECT pg_current_xact_id()")
        elif what < 0.6 and running:
            stack = chance.choice(running)
            stream = f"c{chance.randrange(5)}"
            if holder.get(stream, id(stack)) == id(stack):
                last[stream] += 1
                append_rows(connections[id(stack)], drafts_of(votes(stream, last[stream])[-1:]))
                holder[stream] = id(stack)
        elif what < 0.8 and running:
            stack = running.pop(chance.randrange(len(running)))
            stack.close()
            holder = {stream: one for stream, one in holder.items() if one != id(stack)}
        else:
            readers[step % len(readers)].go_on()
    for stack in running:
        stack.close()
    for reader in readers:
        reader.go_on()
        assert reader.seqs.items() >= last.items()
        assert reader.read == readers[0].read
    with store.database.reading() as connection:
        assert list(differences(connection)) == []
    with file.open("wb") as out:
        dump(store, out)
    with Store.open(f"sqlite:///{file}.db") as copy:
        load(copy, file)
        assert dumped(copy) == dumped(store)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def dumped(store: Store) -> bytes:
    out = BytesIO()
    dump(store, out)
    return out.getvalue()


def test_what_another_server_stored_is_numbered_here(store: Store) -> None:
    """A database restored from a dump of its tables has transactions that this server has not come to."""
    store.append(votes("c1", 3))
    with store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE events SET tx = '9000000000000' WHERE position IS NULL")
    assert [event.event_id for event in store.scan(after=1)] == ["c1-1", "c1-2", "c1-3"]
    store.append(votes("c2", 1))
    assert store.position() == 5


def test_many_readers_number_side_by_side(place: Place) -> None:
    with place.open() as store:
        store.extend(votes(f"c{number}", 4) for number in range(300))
        found: list[list[str]] = []

        def read() -> None:
            with place.open() as other:
                found.append(ids(list(other.scan())))

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 6
        assert all(one == found[0] for one in found)
        assert len(found[0]) == 1 + 300 * 4
        with store.database.reading() as connection:
            assert list(differences(connection)) == []


def test_servers_that_write_into_the_same_streams_end_each_others_transactions_at_no_cost(place: Place) -> None:
    """Groups that touch the same streams in other orders would wait for each other for ever."""
    with place.open() as one, place.open() as other:
        stored: list[str] = []

        def write(store: Store, name: str, streams: list[str]) -> None:
            for number in range(40):
                submitted = []
                for stream in streams:
                    event = made(f"{name}-{stream}-{number}", stream, store.last_seq(stream) + 1)
                    submitted.append((event, store.submit([event])))
                for event, outcome in submitted:
                    if outcome.exception() is None:
                        stored.append(event.event_id)
                    else:
                        assert isinstance(outcome.exception(), SeqConflict), outcome.exception()

        streams = [f"s{number}" for number in range(6)]
        threads = [
            threading.Thread(target=write, args=(one, "one", streams)),
            threading.Thread(target=write, args=(other, "other", streams[::-1])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ids(list(one.scan(after=1)))) == sorted(stored)
        assert len(stored) >= 240
        assert verify_log(one).problems != (), "made events are no conversations"
        with one.database.reading() as connection:
            assert list(differences(connection)) == []
