"""What all tests share: property tests that never fail for being slow on a busy machine, and places for logs.

Whoever asks for ``new_url`` (or for what is made of it) is run on SQLite and on PostgreSQL; what is about one of them
says so with ``@pytest.mark.databases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres_server import QUICK, PostgresServer

DATABASES = ("sqlite", "postgresql")

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("databases")
        metafunc.parametrize("database_kind", DATABASES if marker is None else marker.args, scope="function")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests that ask for one; each takes databases of its own from it."""
    with PostgresServer(*QUICK) as server:
        yield server


@pytest.fixture
def new_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Gives database URLs, each for a log of its own, by a name."""
    with ExitStack() as stack:

        def make(name: str) -> str:
            if database_kind == "sqlite":
                return f"sqlite:///{tmp_path}/logs/{name}.db"
            server: PostgresServer = request.getfixturevalue("postgres")
            return server.url(stack.enter_context(server.database()))

        yield make
