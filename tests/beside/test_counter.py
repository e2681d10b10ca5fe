"""Statistics counted in a process beside the page: never waited for, never stale for long, never the page's trouble."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labeler.beside import CounterBeside, counter
from labeler.chat import Count
from labeler.core.wishes import Wishes
from labeler.insights.report import report
from labeler.store import Store
from labeler.store.summaries import summary
from tests.export import tell
from tests.stories import told

PATIENCE = 60.0
LENGTH = Wishes(("length",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/log.db") as store:
        tell(store, told("ann").asks("Why?").answers("One.").likes())
        yield store


@pytest.fixture
def counting(store: Store) -> Iterator[CounterBeside]:
    counting = CounterBeside(store.url, store.position, consent_needed=False)
    yield counting
    counting.end()


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has grown is counted again at once."""
    monkeypatch.setattr(counter, "REST_SECONDS", 0.0)
    monkeypatch.setattr(counter, "REST_SHARE", 0.0)


def until(look: Callable[[], Count], wanted: Callable[[Count], bool]) -> Count:
    deadline = time.monotonic() + PATIENCE
    while not wanted(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def counted(counting: CounterBeside, wishes: Wishes = Wishes(), *, upto: int = 1) -> Count:  # noqa: B008 - frozen
    return until(lambda: counting(wishes), lambda count: not count.running and count.position >= upto)


def test_the_first_question_is_answered_at_once_and_the_document_follows(counting: CounterBeside, store: Store) -> None:
    start = time.monotonic()
    first = counting(Wishes())
    assert time.monotonic() - start < 0.5
    assert (first.running, first.document, first.position) == (True, None, 0)
    found = counted(counting)
    assert found.position == store.position()
    assert found.document == report(summary(store, consent_needed=False).sums)


def test_what_is_up_to_date_is_not_counted_again(counting: CounterBeside) -> None:
    found = counted(counting)
    time.sleep(counter.REST_SECONDS + 0.5)
    assert counting(Wishes()) is found


@pytest.mark.usefixtures("restless")
def test_a_log_that_grew_is_counted_again_and_the_old_count_stands_until_then(
    counting: CounterBeside, store: Store
) -> None:
    old = counted(counting)
    tell(store, told("bob", "c2").asks("How?").answers("So.").dislikes())
    between = counting(Wishes())
    assert (between.running, between.document) == (True, old.document)
    new = counted(counting, upto=store.position())
    assert new.document is not None
    assert [one["annotator"] for one in new.document["raters"]] == ["ann", "bob"]


def test_a_busy_log_is_not_counted_all_the_time(
    counting: CounterBeside, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter, "REST_SECONDS", 3600.0)
    old = counted(counting)
    tell(store, told("bob", "c2").asks("How?").answers("So.").dislikes())
    assert counting(Wishes()) == old


def test_other_wishes_have_other_documents(counting: CounterBeside) -> None:
    plain, controlled = counted(counting), counted(counting, LENGTH)
    assert plain.document is not None
    assert controlled.document is not None
    assert plain.document["leaderboard"]["controls"] == []
    assert controlled.document["leaderboard"]["controls"] == ["length"]


@pytest.mark.usefixtures("restless")
def test_a_process_that_is_killed_is_told_of_and_replaced(counting: CounterBeside, store: Store) -> None:
    before = counted(counting)
    process = counting._process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    tell(store, told("bob", "c2").asks("How?").answers("So.").dislikes())
    told_of_it = until(
        lambda: counting(Wishes()), lambda count: bool(count.trouble) or count.position > before.position
    )
    assert told_of_it.trouble == counter.DIED
    assert told_of_it.document == before.document
    after = counted(counting, upto=store.position())
    assert after.trouble == ""


def test_a_log_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    counting = CounterBeside(f"sqlite:///{broken}", lambda: 5, consent_needed=False)
    try:
        found = until(lambda: counting(Wishes()), lambda count: bool(count.trouble))
    finally:
        counting.end()
    assert str(broken) in found.trouble
    assert "\n" not in found.trouble
    assert found.document is None


def test_end_ends_the_process_and_the_thread_whatever_they_are_at(store: Store) -> None:
    counting = CounterBeside(store.url, store.position, consent_needed=False)
    counting(Wishes())
    time.sleep(0.3)
    counting.end()
    process = counting._process
    assert process is None or not process.is_alive()
    assert not any(thread.name == "labeler-counter-watch" for thread in threading.enumerate())
    assert not counting(Wishes()).document


@pytest.mark.usefixtures("restless")
def test_a_process_that_cannot_begin_is_told_of_and_tried_again(
    counting: CounterBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = counting._begin

    def out_of_processes() -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(counting, "_begin", out_of_processes)
    found = until(lambda: counting(Wishes()), lambda count: bool(count.trouble))
    assert found.trouble == f"Counting cannot begin ({os.strerror(errno.EAGAIN)})."
    monkeypatch.setattr(counting, "_begin", begin)
    assert counted(counting).trouble == ""


def test_who_asked_nothing_began_nothing(store: Store) -> None:
    counting = CounterBeside(store.url, store.position, consent_needed=False)
    assert counting._process is None
    counting.end()


def test_a_process_that_nobody_asks_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "IDLE_SECONDS", 0.5)
    counting = CounterBeside(store.url, store.position, consent_needed=False)
    try:
        counted(counting)
        process = counting._process
        assert process is not None
        deadline = time.monotonic() + PATIENCE
        while process.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        tell(store, told("bob", "c2").asks("How?").answers("So.").dislikes())
        time.sleep(counter.REST_SECONDS)
        assert counted(counting, upto=store.position()).trouble == ""
    finally:
        counting.end()


def test_many_threads_may_ask_at_once(counting: CounterBeside, store: Store) -> None:
    found: list[Count] = []

    def ask() -> None:
        found.append(counted(counting))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {count.position for count in found} == {store.position()}
