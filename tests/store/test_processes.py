"""What real processes do to a log: die in the middle of it, and write into it side by side."""

from __future__ import annotations

import random
import subprocess
import sys
import time

from labeler.store import Store
from labeler.store.index import differences
from tests.store.conftest import Place
from tests.store.made import made

ROUNDS = 10


def writing(place: Place, name: str, streams: int, events: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.writing", place.url, name, str(streams), str(events)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged_by(process: subprocess.Popen[str]) -> dict[str, int]:
    """Event ids and positions, as the process was told; 0: it was told none."""
    told, _ = process.communicate(timeout=60)
    return {event_id: int(position) for event_id, position in map(str.split, told.splitlines())}


def assert_told_rightly(told: dict[str, int], found: dict[str, int]) -> None:
    """What was acknowledged is there, and where it was said to be, if that was said."""
    assert told.keys() <= found.keys()
    assert {one: found[one] for one, position in told.items() if position} == {
        one: position for one, position in told.items() if position
    }


def assert_sound(store: Store) -> None:
    """Positions and seqs without gaps, and what is derived is what the log says."""
    log = list(store.scan())
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    seqs: dict[str, int] = {}
    for event in log:
        assert event.seq == seqs.get(event.conversation_id, 0) + 1
        seqs[event.conversation_id] = event.seq
    with store.database.reading() as connection:
        assert list(differences(connection)) == []


def test_whatever_was_acknowledged_before_a_kill_is_there_exactly_once(place: Place) -> None:
    acknowledged: dict[str, int] = {}
    chance = random.Random(1)
    for _ in range(ROUNDS):
        process = writing(place, "c", streams=16, events=1_000_000)
        assert process.stdout is not None
        first = process.stdout.readline().split()
        time.sleep(chance.uniform(0.0, 0.2))
        process.kill()
        acknowledged |= {first[0]: int(first[1])} | acknowledged_by(process)
        with place.open() as store:
            found = [(event.event_id, event.position) for event in store.scan()]
            assert len({event_id for event_id, _ in found}) == len(found)
            assert_told_rightly(acknowledged, dict(found))
            assert_sound(store)
    assert len(acknowledged) > ROUNDS


def test_processes_append_side_by_side_to_a_log_that_both_begin(place: Place) -> None:
    processes = [writing(place, name, streams=4, events=50) for name in "ab"]
    told = [acknowledged_by(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [len(acknowledged) for acknowledged in told] == [200, 200]
    with place.open() as store:
        assert_sound(store)
        positions = {event.event_id: event.position for event in store.scan(after=1)}
        assert positions.keys() == told[0].keys() | told[1].keys()
        assert_told_rightly(told[0] | told[1], positions)


def test_one_log_opened_twice_in_a_process_is_one_log(place: Place) -> None:
    with place.open() as one, place.open() as other:
        for number in range(1, 21):
            writer = one if number % 2 else other
            writer.append([made(f"e{number}", seq=number)])
        assert list(one.scan()) == list(other.scan())
        assert_sound(one)
