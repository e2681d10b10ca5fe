"""Where the logs of these tests are. Everything else asks for ``place`` or ``store`` and knows no database by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
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
def place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/logs/study.db")


@pytest.fixture
def other_place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/logs/other.db")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened
