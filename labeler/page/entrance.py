"""Signing in and out: plain documents that need no script, and the routes behind them."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs, urlencode

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from labeler.accounts import Accounts, Sessions
from labeler.doors import line_of
from labeler.errors import AccountError, SignInRefused, StoreError
from labeler.page.assets import Assets
from labeler.page.pages import Page
from labeler.page.recognition import SignedIn, session_cookie, visitor_in

# As the pages' own, but forms may be sent, to here.
POLICY = (
    "default-src 'self'; style-src 'self'; img-src 'self' data:; script-src 'none'; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
LONGEST_FORM = 16 * 1024
NO_HUB = "The Hub did not say who you are. Try again."


class HubSignIn(Protocol):
    """Signing in with an account of the Hub."""

    def attach(self, app: FastAPI) -> None:
        """Add its routes, ``/oauth/huggingface/login`` and ``.../callback``."""

    def who(self, request: Request) -> tuple[str, str] | None:
        """The name and the lasting id of who came back from the Hub, once; None if nobody did."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """The sign-in page of a study. With ``hub`` people sign in there, else with a password."""

    title: str
    accounts: Accounts
    sessions: Sessions
    recognizer: SignedIn
    pages: Sequence[Page]
    sign_up: bool = False
    hub: HubSignIn | None = None

    def add_to(self, app: FastAPI, assets: Assets) -> None:
        show = _Show(self.title, assets.base, hub=self.hub is not None)
        app.add_route("/sign-in", self._shown(show), methods=["GET"])
        app.add_route("/sign-out", self.sign_out, methods=["POST"])
        if self.hub is None:
            app.add_route("/sign-in", self._signed_in(show), methods=["POST"])
        else:
            self.hub.attach(app)
            app.add_route("/sign-in/huggingface", self._returned(show), methods=["GET"])

    # ── routes ──

    def _shown(self, show: _Show) -> Callable[[Request], Response]:
        def shown(request: Request) -> Response:
            to = request.query_params.get("to", "")
            if visitor_in(request.scope) is not None:
                return RedirectResponse(self._target(to), 303)
            problem = NO_HUB if request.query_params.get("problem") == "hub" else ""
            return show(to, line=problem, status=401 if problem else 200)

        return shown

    def _signed_in(self, show: _Show) -> Callable[[Request], Awaitable[Response]]:
        async def signed_in(request: Request) -> Response:
            form = await _form(request)
            to, name = form.get("to", ""), form.get("name", "")
            place = request.client.host if request.client else ""
            try:
                account = await asyncio.to_thread(self.accounts.sign_in, name, form.get("password", ""), place=place)
            except SignInRefused as error:
                answer = show(to, name=name, line=str(error), status=429 if error.retry_in else 401)
                if error.retry_in:
                    answer.headers["retry-after"] = str(int(error.retry_in) + 1)
                return answer
            except StoreError as error:
                return show(to, name=name, line=line_of(error), status=503)
            return self._begun(request, self.sessions.begin(account), self._target(to))

        return signed_in

    def _returned(self, show: _Show) -> Callable[[Request], Response]:
        def returned(request: Request) -> Response:
            to = request.query_params.get("to", "")
            assert self.hub is not None
            who = self.hub.who(request)
            if who is None:
                return show(to, line=NO_HUB, status=401, up="../")
            name, subject = who
            try:
                account = self.accounts.arrived(name, subject=subject, sign_up=self.sign_up)
            except AccountError as error:
                return show(to, line=str(error), status=403, up="../")
            return self._begun(request, self.sessions.begin(account), f"../{self._target(to)}")

        return returned

    def sign_out(self, request: Request) -> Response:
        """End the session, and send whoever was signed in to the sign-in page."""
        token = self.recognizer.token(request.scope)
        if token is not None:
            self.sessions.end(token)
        return _sent_on("sign-in", session_cookie(self.recognizer.cookie_name, "", request.scope, seconds=0))

    def _begun(self, request: Request, token: str, target: str) -> Response:
        return _sent_on(target, session_cookie(self.recognizer.cookie_name, token, request.scope))

    def _target(self, to: str) -> str:
        """Where to go: a page of ours that is named by its key, and nothing else that an address may say."""
        path = next((page.path for page in self.pages if page.key == to), "/")
        return f".{path}"


def _sent_on(target: str, cookie: bytes) -> Response:
    answer = RedirectResponse(target, 303)
    answer.raw_headers.append((b"set-cookie", cookie))
    return answer


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; an overlong or unreadable one has none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            return {}
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


# ── what is shown ──


@dataclass(frozen=True, slots=True)
class _Show:
    """Draws the sign-in page of a study."""

    title: str
    base: str
    hub: bool

    def __call__(self, to: str, *, name: str = "", line: str = "", status: int = 200, up: str = "") -> Response:
        alert = f'<p role="alert" id="problem">{html.escape(line)}</p>' if line else ""
        body = alert + (self._door(to, up) if self.hub else _fields(to, name))
        heading = f"<h1>{html.escape(self.title)}</h1>"
        return _document(f"Sign in · {self.title}", heading + body, f"{up}{self.base}", status)

    def _door(self, to: str, up: str) -> str:
        back = f"/sign-in/huggingface?{urlencode({'to': to})}"
        address = f"{up}oauth/huggingface/login?{urlencode({'_target_url': back})}"
        return f'<p><a class="button" href="{html.escape(address)}">Sign in with Hugging Face</a></p>'


def _fields(to: str, name: str) -> str:
    again = " autofocus" if name else ""
    first = "" if name else " autofocus"
    return f"""
<form method="post" action="sign-in">
<input type="hidden" name="to" value="{html.escape(to)}">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required
 value="{html.escape(name)}"{first}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{again}>
<button type="submit">Sign in</button>
</form>"""


def notice_page(line: str, status: int, base: str) -> Response:
    """A document that says one thing; ``base`` leads from it to the assets."""
    start = base.rpartition("page/")[0] or "./"
    body = f'<h1>Labeler</h1><p>{html.escape(line)}</p><p><a href="{start}">Go to the start</a></p>'
    return _document("Labeler", body, base, status)


def _document(title: str, body: str, base: str, status: int) -> Response:
    document = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" type="image/svg+xml" href="{base}/mark.svg">
<link rel="stylesheet" href="{base}/entrance.css">
</head>
<body><main>{body}</main></body>
</html>
"""
    return HTMLResponse(document, status, headers={"cache-control": "no-store", "content-security-policy": POLICY})
