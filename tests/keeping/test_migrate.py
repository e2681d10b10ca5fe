"""The contract of a move: all of it, proven equal, and nothing while somebody writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labeler.core.events import ConsentGiven, NewEvent
from labeler.errors import LogError, StoreError
from labeler.keeping import migrate
from labeler.store import Store
from labeler.store.accounts import change_account
from labeler.store.schema import accounts
from labeler.store.verify import verify_log
from tests.export import exported, files_of, study_of
from tests.keeping import a_log, fill, state_of
from tests.keeping.test_backup import ACCOUNT
from tests.store.conftest import Place
from tests.store.made import made
from tests.stories import told


def test_what_was_moved_is_the_same_to_the_byte_and_so_is_what_is_exported(
    place: Place, other_place: Place, tmp_path: Path
) -> None:
    with place.open() as old, other_place.open() as new:
        a_log(old)
        fill(old, accounts, [ACCOUNT])
        manifest, report = migrate(old, new)
        assert state_of(old) == state_of(new) == manifest.tables
        assert list(old.scan()) == list(new.scan())
        assert verify_log(old) == verify_log(new) == report
        exported(old, study_of(), tmp_path / "old")
        exported(new, study_of(), tmp_path / "new")
        assert files_of(tmp_path / "old") == files_of(tmp_path / "new") != {}


def test_positions_and_seqs_go_on_where_they_were(place: Place, other_place: Place) -> None:
    with place.open() as old, other_place.open() as new:
        story = told().asks("Why?").answers("So.")
        old.append(story.events)
        migrate(old, new)
        new.append(story.likes().events[-1:])
        assert new.position() == old.position() + 1


def test_a_database_that_is_not_empty_is_refused_and_left_as_it_is(place: Place, other_place: Place) -> None:
    with place.open() as old, other_place.open() as new:
        a_log(old)
        new.append([made("e1", "c1")])
        before = state_of(new)
        with pytest.raises(StoreError, match=r"not empty .* name one that is"):
            migrate(old, new)
        assert state_of(new) == before


def consented(annotator: str, number: int) -> NewEvent:
    payload = ConsentGiven(consent_version=f"{number}", text_sha256="0" * 64)
    return made(f"{annotator}-{number}", annotator, number, payload=payload, annotator=annotator)


@contextmanager
def somebody_gives(place: Place) -> Iterator[None]:
    """Somebody else's gestures arrive, one after the other, as long as this lasts; one is there when it begins."""
    ended, begun = threading.Event(), threading.Event()

    def give() -> None:
        with place.open() as store:
            number = 0
            while not ended.is_set():
                number += 1
                store.append([consented("late", number)])
                begun.set()

    giver = threading.Thread(target=give)
    giver.start()
    begun.wait(10)
    try:
        yield
    finally:
        ended.set()
        giver.join()


def test_nothing_is_moved_while_somebody_writes_to_the_old_database(place: Place, other_place: Place) -> None:
    with place.open() as old, other_place.open() as new:
        old.extend([consented("ann", number)] for number in range(1, 2001))
        with somebody_gives(place), pytest.raises(StoreError, match="is being written to: it was copied at position"):
            migrate(old, new)
        assert new.position() == 1


def test_an_account_that_changed_after_the_copy_is_seen_though_the_log_stands_still(
    place: Place, other_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeler import keeping  # noqa: PLC0415

    with place.open() as old, other_place.open() as new:
        a_log(old)
        fill(old, accounts, [ACCOUNT])
        written = keeping.write_archive

        def and_then_somebody_is_disabled(store: Store, *args: object, **options: object) -> object:
            manifest = written(store, *args, **options)  # type: ignore[arg-type]
            assert change_account(store, "ann", disabled=True)
            return manifest

        monkeypatch.setattr(keeping, "write_archive", and_then_somebody_is_disabled)
        with pytest.raises(StoreError, match="is being written to"):
            migrate(old, new)
        assert new.position() == 1


def test_a_log_that_is_not_sound_is_named_by_the_database_that_holds_it(place: Place, other_place: Place) -> None:
    with place.open() as old, other_place.open() as new:
        old.append([made("e1", "c1")])  # a conversation that never began
        with pytest.raises(LogError, match=r"the log is not sound: conversation c1: .*; run labeler verify") as refused:
            migrate(old, new)
        assert str(refused.value).startswith(f"{old.name}: nothing was moved, ")
        assert new.position() == 1
