"""Each text is scanned once, whoever asks and however often; and the memory keeps no text, nor what was erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler.core.redaction import Span
from labeler.redaction import Finder, Scanner
from labeler.store import Store
from labeler.store.erasing import erase
from tests.export import open_store, tell
from tests.stories import told


class Counting:
    """A finder that counts, and takes every ``x`` for a hit."""

    def __init__(self, version: str = "1") -> None:
        self.asked: list[str] = []
        self.finder = Finder(version, self.find)

    def find(self, text: str) -> tuple[Span, ...]:
        self.asked.append(text)
        return tuple(Span(place, place + 1, "X") for place, character in enumerate(text) if character == "x")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_a_text_is_scanned_once_in_one_scanner_and_in_the_next(store: Store) -> None:
    counting = Counting()
    first = Scanner(store, counting.finder)
    assert first.find(["axb", "axb", "none", ""]) == {"axb": (Span(1, 2, "X"),), "none": (), "": ()}
    assert first.find(["none"]) == {"none": ()}
    first.save()
    second = Scanner(store, counting.finder)
    assert second.find(["axb", "none"]) == {"axb": (Span(1, 2, "X"),), "none": ()}
    assert counting.asked == ["axb", "none"]
    assert (first.scanned, second.scanned) == (2, 0)


def test_another_version_looks_for_itself(store: Store) -> None:
    old, new = Counting("1"), Counting("2")
    for counting in (old, new):
        scanner = Scanner(store, counting.finder)
        scanner.find(["x"])
        scanner.save()
    assert (old.asked, new.asked) == (["x"], ["x"])


def test_two_that_scan_the_same_do_not_stand_in_each_others_way(store: Store) -> None:
    one, other = Scanner(store, Counting().finder), Scanner(store, Counting().finder)
    for scanner in (one, other):
        scanner.find(["x", "y"])
    one.save()
    other.save()
    assert Scanner(store, Counting().finder).find(["x"]) == {"x": (Span(0, 1, "X"),)}


def test_thousands_of_texts_are_looked_up_at_once(store: Store) -> None:
    texts = [f"{'x' * (number % 3)}{number}" for number in range(2500)]
    counting = Counting()
    scanner = Scanner(store, counting.finder)
    scanner.find(texts)
    scanner.save()
    again = Scanner(store, counting.finder)
    assert {text: len(found) for text, found in again.find(texts).items()} == {t: t.count("x") for t in texts}
    assert len(counting.asked) == 2500


def test_the_memory_holds_no_text(store: Store, tmp_path: Path) -> None:
    scanner = Scanner(store, Counting().finder)
    scanner.find(["a secret: xyzzy"])
    scanner.save()
    store.close()
    assert not any(b"xyzzy" in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


def test_what_was_erased_is_forgotten_here_too(store: Store) -> None:
    tell(store, told("ann", "c1").asks("ax").answers("bx"), told("bob", "c2").asks("cx").answers("dx"))
    counting = Counting()
    scanner = Scanner(store, counting.finder)
    scanner.find(["ax", "bx", "cx", "dx"])
    scanner.save()
    erase(store, "conversation", "c1", at="2026-01-01T00:00:00.000000Z")
    Scanner(store, counting.finder).find(["ax", "bx", "cx", "dx"])
    assert counting.asked == ["ax", "bx", "cx", "dx", "ax", "bx"]
