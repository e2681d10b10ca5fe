"""Two real servers on one log, and a real nginx before them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser

from tests.model_server import ModelServer
from tests.nginx import Proxy
from tests.nursery import QuickServed
from tests.page.conftest import chromium, new_chat, study_of
from tests.postgres_server import PostgresServer
from tests.served import Served

__all__ = ["new_chat"]
WAIT = 30.0


@dataclass
class Set:
    """What an operator runs: two replicas and the proxy, whose address is the one that people know."""

    replicas: list[Served]
    proxy: Proxy

    @property
    def address(self) -> str:
        return self.proxy.address

    @property
    def database(self) -> str:
        return self.replicas[0].database

    def serving(self, boot: str) -> Served:
        """The replica of a boot id."""
        return next(one for one in self.replicas if alive(one) and boot_of(one.address) == boot)

    def mend(self) -> None:
        """Have all of them running again, and the proxy know it."""
        for one in self.replicas:
            if not alive(one):
                one.start()


def alive(served: Served) -> bool:
    return served.process is not None and served.process.poll() is None


def boot_of(address: str, cookie: str = "") -> str:
    """Which process answers there."""
    answer = httpx.get(f"{address}/api/alive", headers={"cookie": cookie} if cookie else {}, timeout=10)
    boot: str = answer.raise_for_status().json()["boot"]
    return boot


def eventually(true: Callable[[], bool], seconds: float = WAIT) -> None:
    """Wait until it is so, or fail."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All of it on PostgreSQL, where several machines can share a log, and what is marked so on one file as well."""
    if "engine" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("databases")
        metafunc.parametrize("engine", ("postgresql",) if marker is None else marker.args, scope="package")


@pytest.fixture(scope="package")
def running(
    engine: str, model: ModelServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Set]:
    folder = tmp_path_factory.mktemp("replicas")
    study = study_of(model, limits={"gestures_per_minute": None, "turns_per_minute": None})
    with ExitStack() as stack:
        url = f"sqlite:///{folder}/log.db"
        if engine == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            url = server.url(stack.enter_context(server.database()))
        pair = [stack.enter_context(QuickServed(folder, study, url=url)) for _ in range(2)]
        proxy = stack.enter_context(Proxy(folder / "nginx", [one.address.removeprefix("http://") for one in pair]))
        yield Set(list[Served](pair), proxy)


@pytest.fixture
def replicas(running: Set) -> Set:
    """The set, with both replicas alive."""
    running.mend()
    return running
