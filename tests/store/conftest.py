"""Where the logs of these tests are. Everything else asks for ``place`` or ``store`` and knows no database by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from labeler.store import Store


@dataclass(frozen=True)
class Place:
    """A place for one log; ``open`` makes it, or opens it again."""

    url: str

    def open(self, **options: Any) -> Store:
        return Store.open(self.url, **options)


@pytest.fixture
def place(new_url: Callable[[str], str]) -> Place:
    return Place(new_url("study"))


@pytest.fixture
def other_place(new_url: Callable[[str], str]) -> Place:
    return Place(new_url("other"))


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened
