"""What all tests share: property tests that never fail for being slow on a busy machine, and a PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres_server import QUICK, PostgresServer

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests that ask for one; each takes databases of its own from it."""
    with PostgresServer(*QUICK) as server:
        yield server
