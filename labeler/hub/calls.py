"""How this room calls the Hub: every HTTP request has a timeout, is tried once, and is counted.

``huggingface_hub`` shares one HTTP client between all code of a process. It has no timeout, and some of its calls are
tried again inside, up to five times, waiting for as long as a ``Retry-After`` says. That is too patient for a push,
which has a patience of its own and must go back to the head of the repo after a failure, not send the same request
again.

So the shared client gets two hooks, once, when the first ``DatasetRepo`` is made (never at import). They do nothing
outside ``one_call``: whatever else the process does with ``huggingface_hub`` goes on as before, through the client
factory that was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils import _http, hf_raise_for_status

CONNECT_SECONDS = 10.0
TRY_LATER = frozenset({408, 429, 500, 502, 503, 504})


class TriedBefore(Exception):
    """The client library was about to repeat a request that got no answer."""


@dataclass(slots=True)
class Call:
    """One call of the client library. ``sent`` counts the bytes of file content that it put on the wire."""

    timeout: float
    sent: int = 0
    tried: set[tuple[str, str]] = field(default_factory=set)


_CALL: ContextVar[Call | None] = ContextVar("labeler_hub_call", default=None)


@contextmanager
def one_call(timeout: float) -> Iterator[Call]:
    """What is requested inside has ``timeout`` seconds to answer, and fails instead of being tried again."""
    call = Call(timeout)
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)


@dataclass(frozen=True, slots=True)
class HookedClients:
    """A client factory that adds the hooks to whatever another factory makes."""

    former: Callable[[], httpx2.Client]

    def __call__(self) -> httpx2.Client:
        client = self.former()
        client.event_hooks = {
            "request": [*client.event_hooks["request"], _before],
            "response": [*client.event_hooks["response"], _after],
        }
        return client


def hook_in() -> None:
    """Put the hooks into the shared client, unless they are there. Closes the connections it had open."""
    # There is no public way to ask for the present factory, and one that a host program has set must not be lost.
    former = getattr(_http, "_GLOBAL_CLIENT_FACTORY", _http.default_client_factory)
    if not isinstance(former, HookedClients):
        set_client_factory(HookedClients(former))


def _before(request: httpx2.Request) -> None:
    call = _CALL.get()
    if call is None:
        return
    attempt = (request.method, str(request.url))
    if attempt in call.tried:
        raise TriedBefore(request.url.path)
    call.tried.add(attempt)
    limits = httpx2.Timeout(call.timeout, connect=min(call.timeout, CONNECT_SECONDS)).as_dict()
    given = {name: limit for name, limit in request.extensions.get("timeout", {}).items() if limit is not None}
    request.extensions = {**request.extensions, "timeout": {**limits, **given}}
    if request.method == "PUT":  # only file content is put; everything else is posted
        call.sent += int(request.headers.get("content-length", 0))


def _after(response: httpx2.Response) -> None:
    if _CALL.get() is not None and response.status_code in TRY_LATER:
        response.read()
        hf_raise_for_status(response)
