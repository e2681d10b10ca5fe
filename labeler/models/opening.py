"""From the study file to models that answer, and back to nothing when the page ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

from labeler.errors import ModelError
from labeler.models.client import ChatModel, Endpoint
from labeler.models.faults import place
from labeler.models.local import LocalServer, open_local
from labeler.study import HuggingFaceModel, LocalModel, ModelSpec, OpenAIModel

TOKEN_ENV = "HF_TOKEN"
HUB_SECONDS = 30.0
USAGE = {"stream_options": {"include_usage": True}}


@contextmanager
def open_models(specs: Sequence[ModelSpec], environ: Mapping[str, str]) -> Iterator[dict[str, ChatModel]]:
    """Every model of the study, by name and in its order; local servers run for as long as this is open.

    Local servers are started side by side. Whatever goes wrong, none is left behind. Remote servers are not called
    yet: one that is down at the start may be up at the first question.

    Raises:
        ModelError: a local model cannot be started, or the variable that holds a key is not set.
    """
    with ExitStack() as servers:
        remote = {spec.name: _remote(spec, environ) for spec in specs if not isinstance(spec, LocalModel)}
        local = [LocalServer(spec, _without_keys(specs, environ)) for spec in specs if isinstance(spec, LocalModel)]
        for server in local:
            servers.callback(server.close)
        opened = remote | {model.name: model for model in _all_started(local)}
        yield {spec.name: opened[spec.name] for spec in specs}


def _without_keys(specs: Sequence[ModelSpec], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for local servers, which read what strangers write and need nobody's key."""
    keys = {TOKEN_ENV, *(spec.key_env for spec in specs if isinstance(spec, OpenAIModel))}
    return {variable: value for variable, value in environ.items() if variable not in keys}


def _all_started(servers: Sequence[LocalServer]) -> list[ChatModel]:
    with ThreadPoolExecutor(max(len(servers), 1)) as starters:
        try:
            return list(starters.map(open_local, servers))
        except BaseException:  # Ctrl-C as well: nobody waits until the others are loaded
            for server in servers:
                server.close()
            raise


def _remote(spec: OpenAIModel | HuggingFaceModel, environ: Mapping[str, str]) -> ChatModel:
    endpoint = _openai(spec, environ) if isinstance(spec, OpenAIModel) else _huggingface(spec, environ)
    return ChatModel(spec, lambda: endpoint, model_id=spec.model, revision=spec.revision)


def _openai(spec: OpenAIModel, environ: Mapping[str, str]) -> Endpoint:
    return Endpoint(
        url=spec.base_url,
        model=spec.model,
        where=_shown(spec),
        key=_key(spec.name, spec.key_env, environ) if spec.key_env else None,
        key_env=spec.key_env,
        extras=({**USAGE, "cache_prompt": False}, USAGE, {}),  # llama.cpp takes the first, OpenAI the second
    )


def _shown(spec: OpenAIModel) -> str:
    try:
        return place(str(httpx2.URL(spec.base_url)))
    except (httpx2.InvalidURL, ValueError) as error:
        raise ModelError(f"model '{spec.name}': its base_url is no address; correct it in the study file") from error


def _huggingface(spec: HuggingFaceModel, environ: Mapping[str, str]) -> Endpoint:
    if spec.provider not in (None, "auto"):
        _bound_hub_calls()
    return Endpoint(
        url=None,
        model=spec.model,
        where=f"Hugging Face ({spec.provider or 'auto'})",
        provider=spec.provider,
        key=_key(spec.name, TOKEN_ENV, environ),
        key_env=TOKEN_ENV,
        headers={"x-use-cache": "false"},
        extras=(USAGE, {}),
    )


def _key(name: str, variable: str, environ: Mapping[str, str]) -> str:
    key = environ.get(variable, "").strip()
    if not key:
        raise ModelError(
            f"model '{name}' needs a key: put it into the environment variable {variable}, then start again"
        )
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"model '{name}': what {variable} holds is no key; it has characters that no header can carry")
    return key


def _bound_hub_calls() -> None:
    """Give a timeout to the call that asks the Hub for a provider's name of the model; it has none by default."""
    set_client_factory(_bounded_client)


def _bounded_client() -> httpx2.Client:
    client = default_client_factory()
    client.timeout = httpx2.Timeout(HUB_SECONDS)
    return client
