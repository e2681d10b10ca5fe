"""The gate: which addresses there are for whom, before any page is drawn.

Whoever is not signed in gets the page to sign in on, not an error for programs; an address without its final slash
leads to the one with it; and a page that is not for a visitor's role says so. Behind the gate every page and every
use-case checks again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.doors import RETRY_SECONDS
from labeler.page.entrance import notice_page
from labeler.page.pages import Page, open_to
from labeler.page.recognition import Recognizer, untold_in, visitor_in

SIGN_IN = "/sign-in"
# What whoever is not signed in may reach: how to sign in, and whether the server lives.
OPEN = re.compile(
    r"/(sign-in(/huggingface)?|sign-out|healthz|metrics|api/alive|oauth/huggingface/(login|callback)|page/[^/]+/[^/]+)"
)
PULSE = "/api/alive"
NOT_SIGNED_IN = "You are not signed in. Load the page again."
NOT_VOUCHED = "The way here is through your organisation's own sign-in; it did not say who you are."
UNTOLD = "The database cannot be read just now, so nobody can tell who you are. Nothing is lost; try again in a moment."
OTHER_ROLE = "This page is not for your account's role. Ask whoever runs the study."


@dataclass(frozen=True, slots=True)
class Gate:
    """ASGI middleware."""

    app: ASGIApp
    pages: Sequence[Page]
    recognizer: Recognizer
    base: str

    @property
    def closed(self) -> bool:
        return self.recognizer.anybody is None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope) if scope["type"] == "http" else None
        await (answer or self.app)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        visitor = visitor_in(scope)
        if untold_in(scope) and (path == PULSE or not OPEN.fullmatch(path)):
            return self._untold(path)
        if scope["method"] in ("GET", "HEAD"):
            if any(page.path == f"{path}/" for page in self.pages):
                return RedirectResponse(f"{path.rpartition('/')[2]}/{_query(scope)}", 307)
            page = self._page(path)
            if page is not None or path == "/":
                return self._document(scope, page)
        if self.closed and visitor is None and not OPEN.fullmatch(path):
            return JSONResponse({"error": NOT_SIGNED_IN}, 401)
        below = next((page for page in self.pages if page.path != "/" and path.startswith(page.path)), None)
        if below is not None and visitor is not None and visitor.role not in below.roles:
            return JSONResponse({"error": OTHER_ROLE}, 403)
        return None

    def _page(self, path: str) -> Page | None:
        return next((page for page in self.pages if page.path == path), None)

    def _untold(self, path: str) -> Response:
        """Not the page to sign in on: whoever is signed in stays it."""
        page = self._page(path)
        if page is None and path != "/":
            return JSONResponse({"error": UNTOLD}, 503, {"Retry-After": str(RETRY_SECONDS)})
        return notice_page(UNTOLD, 503, (page.up if page else "") + self.base)

    def _document(self, scope: Scope, page: Page | None) -> Response | None:
        """What stands in the way of showing a page; at the root there may be none."""
        visitor = visitor_in(scope)
        if self.closed and visitor is None:
            return self._who(page)
        if page is None:
            offered = open_to(visitor, self.pages) if visitor else self.pages
            return RedirectResponse(offered[0].path[1:], 307) if offered else notice_page(OTHER_ROLE, 403, self.base)
        if visitor is not None and visitor.role not in page.roles:
            return notice_page(OTHER_ROLE, 403, page.up + self.base)
        return None

    def _who(self, page: Page | None) -> Response:
        up = page.up if page else ""
        if not self.recognizer.sign_in:
            return notice_page(NOT_VOUCHED, 401, up + self.base)
        return RedirectResponse(f"{up}{SIGN_IN[1:]}{f'?to={page.key}' if page else ''}", 303)


def _query(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return f"?{quote(query, safe='=&%')}" if query else ""
