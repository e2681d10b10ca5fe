"""Places for logs in every kind of database, and for two logs in every two kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from labeler.store import Store
from tests.conftest import DATABASES
from tests.postgres_server import PostgresServer
from tests.store.conftest import Place

MakePlace = Callable[[str, str], Place]


@pytest.fixture
def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePlace]:
    """Makes a place for a log of its own, in a kind of database."""
    with ExitStack() as stack:

        def make(kind: str, name: str) -> Place:
            if kind == "sqlite":
                return Place(f"sqlite:///{tmp_path}/logs/{name}.db")
            server: PostgresServer = request.getfixturevalue("postgres")
            return Place(server.url(stack.enter_context(server.database())))

        yield make


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, place_of: MakePlace) -> Place:
    return place_of(request.param, "study")


@pytest.fixture(params=DATABASES)
def other_place(request: pytest.FixtureRequest, place_of: MakePlace) -> Place:
    return place_of(request.param, "other")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened
