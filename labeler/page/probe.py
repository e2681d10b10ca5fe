"""What machines ask: whether the page works, and how it fares.

``/healthz`` answers everybody. ``/metrics`` answers this machine, and who has the token. A request that came through a
proxy needs the token: its address is the proxy's, or what somebody wrote into a header.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from labeler.doors import line_of
from labeler.errors import StoreError
from labeler.hosts import is_loopback
from labeler.page.routes import answer, refused

Openness = Literal["loopback", "token", "off"]
VIA_PROXY = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
NOT_FOR_YOU = (
    "Metrics are for this machine, and for who sends the token of LABELER_METRICS_TOKEN (Authorization: Bearer)."
)


@dataclass(frozen=True, slots=True)
class Scraping:
    """Metrics, and who may see them. ``token`` None: there is none, and nobody has it."""

    exposition: Callable[[], bytes]
    openness: Openness = "loopback"
    token: str | None = None

    def allows(self, client: str | None, headers: Any) -> bool:
        """Whether whoever asks from an address (None: unknown) with these headers may see them."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if self.token and scheme.lower() == "bearer":
            return hmac.compare_digest(given.strip().encode(), self.token.encode())
        through_proxy = any(name in headers for name in VIA_PROXY)
        return self.openness == "loopback" and not through_proxy and is_loopback(client)


@dataclass(frozen=True, slots=True)
class Probe:
    """The routes for machines. ``health`` raises StoreError where the log cannot be read."""

    study: str
    health: Callable[[], dict[str, Any]]
    scraping: Scraping | None = None

    def add_to(self, app: FastAPI) -> None:
        app.add_route("/healthz", self.healthz)
        if self.scraping is not None and self.scraping.openness != "off":
            app.add_route("/metrics", self.metrics)

    def healthz(self, request: Request) -> Response:
        """Whether the log can be read, how far it goes, and what else the study wants to be known."""
        try:
            return answer({"status": "ok", "study": self.study, **self.health()})
        except StoreError as error:
            return answer({"status": "unavailable", "study": self.study, "error": line_of(error)}, 503)

    def metrics(self, request: Request) -> Response:
        """The metrics as text. It waits for the database, so it runs on a thread of its own."""
        assert self.scraping is not None
        if not self.scraping.allows(request.client.host if request.client else None, request.headers):
            response = refused(401, NOT_FOR_YOU)
            response.headers["www-authenticate"] = "Bearer"
            return response
        body = self.scraping.exposition()
        return Response(body, headers={"content-type": TEXT_FORMAT, "cache-control": "no-store"})
