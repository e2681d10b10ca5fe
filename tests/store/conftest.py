"""Where the logs of these tests are. Everything else asks for ``place`` or ``store`` and knows no database by name.

Every test that asks runs on SQLite and on PostgreSQL; what is about one of them says so with ``databases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labeler.store import Store
from tests.postgres_server import PostgresServer

DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Place:
    """A place for one log; ``open`` makes it, or opens it again."""

    url: str

    def open(self, **options: Any) -> Store:
        return Store.open(self.url, **options)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("databases")
        metafunc.parametrize("kind", DATABASES if marker is None else marker.args, scope="function")


@pytest.fixture
def new_place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Makes places, each for a log of its own."""
    with ExitStack() as stack:

        def make(name: str) -> Place:
            if kind == "sqlite":
                return Place(f"sqlite:///{tmp_path}/logs/{name}.db")
            server: PostgresServer = request.getfixturevalue("postgres")
            return Place(server.url(stack.enter_context(server.database())))

        yield make


@pytest.fixture
def place(new_place: Callable[[str], Place]) -> Place:
    return new_place("study")


@pytest.fixture
def other_place(new_place: Callable[[str], Place]) -> Place:
    return new_place("other")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened
