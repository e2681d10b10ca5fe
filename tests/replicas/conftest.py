"""Two real servers on one log, and a real nginx before them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.conftest import browser, new_chat, study_of
from tests.replicas.proxy import Proxy
from tests.served import Served

__all__ = ["browser", "new_chat"]
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


@pytest.fixture(scope="package")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="package")
def running(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Set]:
    folder = tmp_path_factory.mktemp("replicas")
    study = study_of(model, modes=["chat", "review"])
    with (
        QuickServed(folder, study) as first,
        QuickServed(folder, study) as second,
        Proxy(folder / "nginx", [first.address, second.address]) as proxy,
    ):
        yield Set([first, second], proxy)


@pytest.fixture
def replicas(running: Set) -> Set:
    """The set, with both replicas alive."""
    running.mend()
    return running
