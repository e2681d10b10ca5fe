"""The door of the API: tokens, keys, bodies and refusals. It stands before the page and shares nothing with it.

It speaks ASGI and not the framework: what stands between a request and its commit is what a request costs.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.accounts import Tokens
from labeler.api.document import document
from labeler.api.post import Post
from labeler.api.routes import ROUTES, Call, Route
from labeler.api.shapes import ID_PATTERN, KEY_PATTERN
from labeler.chat import Intake, Teller
from labeler.doors import line_of, retry_after, status_of, whole_body
from labeler.errors import LabelerError, TokenRefused

PREFIX = "/api/v1"
BEARER = re.compile(rb"[Bb]earer +([A-Za-z0-9._~+/=-]{1,512})")
KEY = re.compile(KEY_PATTERN)
ID = re.compile(ID_PATTERN)

NOTHING_HERE = "There is nothing here. /api/v1/openapi.json says what there is."
NO_TOKEN = "Send a token of this study in the header Authorization: Bearer TOKEN."
NO_KEY = "Send a header Idempotency-Key: 8 to 64 letters, digits, dashes and underscores, new for each new gesture."
NOT_JSON = "Send JSON, and the header Content-Type: application/json."
TOO_LONG = "That body is too long: at most {:,} bytes fit."
LATE = "The rest of the body did not come. Send it again."
TOO_OFTEN = "That is too often. Wait as long as Retry-After says."
BROKEN = "Something went wrong on the server. Send it again."
HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_LOG = logging.getLogger(__name__)

# In how many seconds a token may come again; nothing if it may come now.
Limiter = Callable[[str], float | None]


def unlimited(token_id: str) -> float | None:
    """For a study without limits."""
    return None


def nobody_waits(scope: Scope) -> float | None:
    """For a door at which no crowd comes."""
    return None


class Refusal(Exception):
    """Something at the door: a status, a line, and headers."""

    def __init__(self, status: int, line: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(line)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Api:
    """ASGI middleware: takes what is under ``/api/v1``, and lets everything else pass.

    Args:
        limiter: for each token.
        crowd: for each address, before its token is looked at: whoever guesses tokens asks in vain, and seldom.
        body_seconds: a request's body has to be there by then.
    """

    app: ASGIApp
    intake: Intake
    tokens: Tokens
    limiter: Limiter = unlimited
    crowd: Callable[[Scope], float | None] = nobody_waits
    body_seconds: float = 20.0
    _post: Post = field(default_factory=Post)
    _document: bytes = field(default_factory=lambda: orjson.dumps(document(PREFIX, ROUTES)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _ours(scope["path"]):
            await self.app(scope, receive, send)
            return
        headers: tuple[tuple[bytes, bytes], ...] = ()
        try:
            status, body = 200, await self._answer(scope, receive)
        except Refusal as refusal:
            status, body, headers = refusal.status, _error(str(refusal)), refusal.headers
        except LabelerError as error:
            status, body = status_of(error), _error(line_of(error))
            headers = _said_with(status)
        except Exception:  # noqa: BLE001 - a defect must not look like a refusal: whoever tells it tries again
            _LOG.exception("a call of the API failed")
            status, body, headers = 503, _error(BROKEN), _said_with(503)
        own = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [*HEADERS, own, *headers]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        path, method = scope["path"][len(PREFIX) :], scope["method"]
        if path == "/openapi.json":
            return self._document if method in ("GET", "HEAD") else _not_allowed("GET")
        self._seldom(self.crowd(scope))
        found, conversation_id = _place(path)
        headers = {name: value for name, value in scope["headers"]}
        token_id = await self._bearer(headers)
        route = found.get("GET" if method == "HEAD" else method)
        if route is None:
            return _not_allowed(*found)
        self._seldom(self.limiter(token_id))
        said = await self._said(route, scope, receive, headers)
        call = Call(self.intake, self._post, Teller(token_id), said, _key(route, headers), conversation_id)
        return orjson.dumps(await route.handle(call))

    def _seldom(self, wait: float | None) -> None:
        if wait is not None:
            raise Refusal(429, TOO_OFTEN, (b"retry-after", b"%d" % max(1, ceil(wait))))

    async def _bearer(self, headers: Mapping[bytes, bytes]) -> str:
        given = BEARER.fullmatch(headers.get(b"authorization", b""))
        if given is None:
            raise TokenRefused(NO_TOKEN)
        token = given[1].decode("ascii")
        row = self.tokens.at_hand(token)
        if row is None:
            row = await asyncio.to_thread(self.tokens.bearer, token)
        return row.token_id

    async def _said(self, route: Route, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        if route.method == "GET":
            return _checked(route.takes, lambda shape: shape.model_validate(_query(scope)))
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise Refusal(415, NOT_JSON)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > route.max_body:
            raise Refusal(413, TOO_LONG.format(route.max_body))
        try:
            async with asyncio.timeout(self.body_seconds):
                body = await whole_body(receive, route.max_body)
        except TimeoutError:
            raise Refusal(408, LATE, (b"connection", b"close")) from None
        if body is None:
            raise Refusal(413, TOO_LONG.format(route.max_body))
        return _checked(route.takes, lambda shape: shape.model_validate_json(body))


def _ours(path: str) -> bool:
    return path.startswith(PREFIX) and (len(path) == len(PREFIX) or path[len(PREFIX)] == "/")


def _places() -> dict[tuple[str, ...], dict[str, Route]]:
    """The routes by the words of their paths, what stands for an id as an empty one."""
    places: dict[tuple[str, ...], dict[str, Route]] = {}
    for route in ROUTES:
        words = tuple("" if word.startswith("{") else word for word in route.path.split("/")[1:])
        places.setdefault(words, {})[route.method] = route
    return places


PLACES = _places()


def _place(path: str) -> tuple[dict[str, Route], str]:
    """The routes of a path by method, and the id that it names."""
    words = path.split("/")[1:]
    named = words[1] if len(words) > 1 else ""
    found = PLACES.get((*words[:1], *("" for _ in words[1:2]), *words[2:]))
    if found is None or (len(words) > 1 and not ID.fullmatch(named)):
        raise Refusal(404, NOTHING_HERE)
    return found, named


def _key(route: Route, headers: Mapping[bytes, bytes]) -> str:
    if not route.keyed:
        return ""
    key = headers.get(b"idempotency-key", b"").decode("latin-1")
    if not KEY.fullmatch(key):
        raise Refusal(422, NO_KEY)
    return key


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _checked(shape: type[BaseModel] | None, read: Callable[[type[BaseModel]], BaseModel]) -> BaseModel | None:
    if shape is None:
        return None
    try:
        return read(shape)
    except ValidationError as error:
        raise Refusal(422, _line(error)) from error
    except (ValueError, RecursionError) as error:  # digits or depths beyond what the parser takes
        raise Refusal(422, f"The body cannot be read: {error}.") from error


def _line(error: ValidationError) -> str:
    """The first thing that is wrong, where and what, without what was sent."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:200]
    said = " ".join(str(first["msg"]).removeprefix("Value error, ").split())[:300]
    return f"{place}: {said}." if place else f"{said}."


def _error(line: str) -> bytes:
    return orjson.dumps({"error": line.encode("utf-8", "replace").decode()})


def _said_with(status: int) -> tuple[tuple[bytes, bytes], ...]:
    seconds = retry_after(status)
    if seconds is not None:
        return ((b"retry-after", b"%d" % seconds),)
    return ((b"www-authenticate", b"Bearer"),) if status == 401 else ()


def _not_allowed(*methods: str) -> bytes:
    allowed = ", ".join(methods)
    raise Refusal(405, f"Here is only {allowed}.", (b"allow", allowed.encode()))
