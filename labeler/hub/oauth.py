"""Signing in with an account of the Hub, by ``huggingface_hub``'s own helpers.

Their public entry mocks the sign-in everywhere but on Spaces, so the routes that it adds on Spaces are added here; and
its session cookie would be sent to every site that embeds the page, so ours stands in its place. The cookie lives for
as long as somebody is away at the Hub: it holds an access token, which nobody here has a use for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from httpx2 import HTTPError
from huggingface_hub import constants, parse_huggingface_oauth
from huggingface_hub._oauth import _add_oauth_routes
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.errors import HubError

AWAY_SECONDS = 15 * 60
ROUTES = "/oauth/huggingface/"
RETURN = "/sign-in/huggingface"
FAILED = "/sign-in?problem=hub"
SCOPES = "openid profile"


def hub_sign_in(secret: bytes, environ: Mapping[str, str]) -> HubOAuth:
    """Signing in as the application that ``OAUTH_CLIENT_ID`` and ``OAUTH_CLIENT_SECRET`` name.

    On Spaces they are set where ``hf_oauth: true`` stands in the README; elsewhere they are those of an application
    registered at the Hub that may send people back to ``https://HOST/oauth/huggingface/callback``.

    Raises:
        HubError: they are not set, or the packages that this needs are not installed.
    """
    for name in ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET"):
        if not environ.get(name):
            raise HubError(
                f"auth: huggingface needs {name}; on a Space set hf_oauth: true, else register an application"
            )
    try:
        import authlib.integrations.starlette_client  # noqa: F401, PLC0415 - an extra
        import itsdangerous  # noqa: F401, PLC0415
    except ImportError as error:
        raise HubError("auth: huggingface needs more packages: pip install 'labeler[oauth]'") from error
    # The library reads them when it is imported, and has no defaults for the last two.
    constants.OAUTH_CLIENT_ID = environ["OAUTH_CLIENT_ID"]
    constants.OAUTH_CLIENT_SECRET = environ["OAUTH_CLIENT_SECRET"]
    constants.OAUTH_SCOPES = environ.get("OAUTH_SCOPES") or SCOPES
    constants.OPENID_PROVIDER_URL = (environ.get("OPENID_PROVIDER_URL") or constants.ENDPOINT).rstrip("/")
    return HubOAuth(hashlib.sha256(b"oauth\0" + secret).hexdigest())


class HubOAuth:
    """The way to the Hub and back."""

    def __init__(self, session_key: str) -> None:
        self._session_key = session_key

    def attach(self, app: FastAPI) -> None:
        """Add the routes that lead to the Hub and take who comes back."""
        from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415 - an extra
        from starlette.middleware.sessions import SessionMiddleware  # noqa: PLC0415

        app.add_middleware(
            SessionMiddleware,
            secret_key=self._session_key,
            session_cookie="labeler_oauth",
            max_age=AWAY_SECONDS,
            same_site="lax",
        )
        app.add_middleware(_OwnTargets)
        _add_oauth_routes(app, route_prefix="/")
        for kind in (AuthlibBaseError, HTTPError):
            app.add_exception_handler(kind, _failed)

    def who(self, request: Request) -> tuple[str, str] | None:
        """The name and the lasting id of who came back from the Hub; None if nobody did. Told once."""
        known = parse_huggingface_oauth(request)
        request.session.clear()
        if known is None or not known.user_info.sub or not known.user_info.preferred_username:
            return None
        return known.user_info.preferred_username, f"huggingface:{known.user_info.sub}"


def _failed(request: Request, error: Exception) -> Response:
    """The Hub cannot be reached, or did not let somebody in."""
    return RedirectResponse(FAILED, 303)


class _OwnTargets:
    """Whoever comes back from the Hub goes on to our own route and nowhere else, whatever the address said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: Any = self._app
        if scope["type"] == "http" and scope["path"].startswith(ROUTES):
            targets = parse_qs(scope["query_string"].decode("latin-1")).get("_target_url", [])
            if any(target.partition("?")[0] != RETURN for target in targets):
                app = JSONResponse({"error": "That leads elsewhere."}, 400)
        await app(scope, receive, send)
