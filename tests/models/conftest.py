"""A scripted server, and models that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

from labeler.models import ChatModel, open_models
from labeler.study import OpenAIModel
from tests.model_server import ModelServer

Ask = Callable[..., ChatModel]


@pytest.fixture(autouse=True)
def _own_hub_client() -> Iterator[None]:
    """A process has one client of the Hub, which opening a model may change: other tests get the first one back."""
    yield
    set_client_factory(default_client_factory)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def asking(server: ModelServer) -> Iterator[Ask]:
    """``asking(**spec)`` opens an OpenAI-compatible model on the scripted server; ``environ`` may hold its key."""
    with ExitStack() as opened:

        def ask(*, environ: Mapping[str, str] | None = None, **spec: Any) -> ChatModel:
            whole = {"kind": "openai", "name": "fox", "base_url": server.base_url, "model": "fox-1b", **spec}
            models = opened.enter_context(open_models([OpenAIModel(**whole)], environ or {}))
            return models[str(whole["name"])]

        yield ask


def said(text: str) -> list[dict[str, str]]:
    """A conversation of one user message."""
    return [{"role": "user", "content": text}]


def answer(model: ChatModel, text: str, *, seed: int = 1) -> str:
    """The whole text of one answer."""
    return "".join(chunk.text for chunk in model.stream(said(text), model.sampling(seed)))
