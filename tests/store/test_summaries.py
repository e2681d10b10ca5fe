"""Sums that follow the log say what counting everything anew would, whatever happened and in which order."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.core.contributions import Key, contributions
from labeler.core.events import NewEvent
from labeler.core.folding import replay
from labeler.core.standing import standing_of
from labeler.store import Store, event_of, summaries
from labeler.store.erasing import erase
from labeler.store.projections import follow
from labeler.store.reviews import Rules
from labeler.store.summaries import Summary, summary
from tests.histories import histories
from tests.stories import Story, told, told_of


@contextmanager
def fresh() -> Iterator[Store]:
    """A log that a property test may have as often as it likes."""
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/log.db") as store:
        yield store


def now(store: Store) -> Summary:
    return summary(store, consent_needed=False)


def anew(store: Store) -> Counter[Key]:
    """The same sums by reading everything."""
    position = store.position()
    standing = standing_of(store.annotator_events(position), consent_needed=False)
    total: Counter[Key] = Counter()
    for conversation_id, rows in store.shard_rows(0, store.conversation_count(position), position):
        conversation = replay(conversation_id, (event_of(conversation_id, row) for row in rows))
        total.update(contributions(conversation, standing))
    return total


def add(store: Store, events: Iterable[NewEvent]) -> None:
    for event in events:
        store.append([event])


def judged(number: int, owner: str = "ann", by: str = "bob") -> Story:
    """Two answers, compared by who asked for them and by somebody else."""
    story = (
        told(owner, f"c{number}", mode="compare", model="red").asks_two("Why?").answers("One.").answers("Two, long.")
    )
    compared = story.chooses("a").conversation.comparisons[-1].compared
    assert compared is not None
    return story.by(by).adds(compared)


@given(data=st.data())
@settings(max_examples=40)
def test_following_in_pieces_says_what_counting_anew_says(data: st.DataObject) -> None:
    stories = [data.draw(histories(conversation_id=f"c{number}")) for number in range(3)]
    events = [event for story in stories for event in story.events]
    events += told_of("bob").is_excluded().events
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    with fresh() as store:
        for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
            add(store, events[start:end])
            assert now(store).sums == anew(store)
        assert now(store).position == store.position()


def test_what_is_taken_back_is_taken_out_of_the_sums(store: Store) -> None:
    add(store, told("ann").asks("Why?").answers("One.").likes().events)
    assert now(store).sums["thumb", "ann", "like"] == 1
    story = told("ann").asks("Why?").answers("One.").likes()
    add(store, story.withdraws().events[len(told("ann").asks("Why?").answers("One.").likes().events) :])
    assert now(store).sums == Counter()


def test_an_exclusion_takes_everything_of_an_annotator_out_and_inclusion_puts_it_back(store: Store) -> None:
    for number in range(3):
        add(store, judged(number).events)
    add(store, judged(3, "bob", "ann").events)
    before = now(store).sums
    assert before["between", "ann", "bob", "a", "a"] == 4
    out = told_of("bob").is_excluded()
    add(store, out.events)
    without = now(store).sums
    assert without == anew(store)
    assert not any("bob" in key for key in without)
    days = {key: times for key, times in without.items() if key[0] == "day"}
    assert days == {("day", "ann", "2026-11-22"): 3}
    add(store, out.is_included().events[1:])
    assert now(store).sums == before


def test_what_is_erased_is_in_the_tables_no_more(store: Store) -> None:
    add(store, judged(1).events)
    add(store, judged(2, "zeb").events)
    now(store)
    erase(store, "annotator", "zeb", at="2026-11-28T10:00:00.000000Z")
    sums = now(store).sums
    assert sums == anew(store)
    assert not any("zeb" in key for key in sums)
    with store.database.reading() as connection:
        kept = connection.exec_driver_sql("SELECT counts FROM summary_parts").scalars().all()
    assert len(kept) == 1
    assert "zeb" not in "".join(kept)


def test_whoever_has_to_consent_and_has_not_is_in_other_sums(store: Store) -> None:
    add(store, judged(1).events)
    add(store, told_of("ann").consents().events)
    assert now(store).sums["between", "ann", "bob", "a", "a"] == 1
    strict = summary(store, consent_needed=True).sums
    assert not any("bob" in key for key in strict)
    assert now(store).sums["between", "ann", "bob", "a", "a"] == 1


def test_following_that_was_broken_off_begins_again_and_counts_nothing_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        add(store, judged(number).events)
    monkeypatch.setattr("labeler.store.projections.AT_ONCE", 2)

    def broken(done: int, all_of_them: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summary(store, consent_needed=False, tell=broken)
    assert now(store).sums == anew(store)


def test_following_tells_how_far_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        add(store, judged(number).events)
    monkeypatch.setattr("labeler.store.projections.AT_ONCE", 2)
    heard: list[tuple[int, int]] = []
    summary(store, consent_needed=False, tell=lambda done, all_of_them: heard.append((done, all_of_them)))
    assert heard == [(2, 5), (4, 5), (5, 5)]
    heard.clear()
    add(store, judged(9).events)
    summary(store, consent_needed=False, tell=lambda done, all_of_them: heard.append((done, all_of_them)))
    assert heard == [(1, 1)]


def test_two_programs_that_follow_at_once_count_nothing_twice(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    with Store.open(url) as one, Store.open(url) as other:
        stories = [judged(number).events for number in range(40)]

        def write() -> None:
            for events in stories:
                one.append(events)

        def watch(store: Store) -> None:
            while any(thread.is_alive() for thread in writing):
                now(store)

        writing = [threading.Thread(target=write)]
        threads = [*writing, *(threading.Thread(target=watch, args=(store,)) for store in (one, other))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert now(one) == now(other)
        assert now(one).sums == anew(one)


def test_another_way_of_counting_counts_everything_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, judged(1).events)
    before = now(store)
    with store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE summary_sums SET times = 99")
    assert now(store).sums != before.sums
    monkeypatch.setattr(summaries, "VERSION", "another")
    assert now(store).sums == before.sums
    with store.database.reading() as connection:
        names = connection.exec_driver_sql("SELECT name FROM projections").scalars().all()
    assert names == ["summaries/another/0"]


def test_summaries_and_reviews_follow_side_by_side(store: Store) -> None:
    add(store, judged(1).events)
    now(store)
    follow(store, Rules(overlap=1).projection)
    assert now(store).sums == anew(store)
