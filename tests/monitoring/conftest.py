"""A served page that somebody else runs: its journal is read, its metrics are scraped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.model_server import ModelServer
from tests.nursery import QuickServed

TOKEN = "scrapers-own-t0ken"
SECONDS = 20.0
Line = dict[str, Any]


class Monitored(QuickServed):
    """A page that writes a JSON journal and knows a token for scrapers."""

    def _environ(self) -> dict[str, str]:
        return super()._environ() | {"LABELER_METRICS_TOKEN": TOKEN}

    def lines(self) -> list[Line]:
        """The journal so far; every line of stderr is one of it."""
        return [json.loads(line) for line in list(self.errors)]

    def line(self, fits: Callable[[Line], object]) -> Line:
        """The first line that fits, as soon as it is there."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for line in self.lines():
                if fits(line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no such line among {len(self.errors)}: {''.join(self.errors)[-2000:]}")


def study_of(model: ModelServer, **more: Any) -> dict[str, object]:
    spec = {"name": "scripted", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
    study = {"name": "watched", "models": [spec], "vote_reasons": ["Helpful", "Wrong"], "log": "json"}
    return study | more


@pytest.fixture(scope="package")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def watched(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with Monitored(tmp_path_factory.mktemp("watched"), study_of(model)) as served:
        assert os.path.exists(served.config)
        yield served
