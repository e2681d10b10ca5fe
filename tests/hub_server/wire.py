"""Requests and responses, and the JSON and headers that every endpoint shares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.hub_server.state import Account, Refused


@dataclass(frozen=True)
class Request:
    """One HTTP request, read whole. ``base`` is the server's own address as the client wrote it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str
    account: Account | None
    groups: Mapping[str, str]

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refused(400, "the body is not JSON") from None


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """A JSON answer."""
        return cls(status, json.dumps(tree).encode(), {"Content-Type": "application/json", **(headers or {})})


def refusal(status: int, message: str, code: str | None, extra: Mapping[str, str] | None = None) -> Response:
    """An error as the Hub words it: in the headers, which decide the client's exception, and in the body."""
    headers = {"X-Error-Message": message.encode("ascii", "replace").decode(), **(extra or {})}
    if code is not None:
        headers["X-Error-Code"] = code
    return Response.of({"error": message}, status, headers)
