"""Who is looking: found out once for every request, before anything else sees it.

Browsers    nobody signs in; every browser is an annotator of its own (a signed cookie)
SignedIn    a signed session cookie, for accounts with passwords and those of the Hub
Vouched     a proxy in front names the account in a header; only listed proxies are believed
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.accounts import Accounts, Sessions
from labeler.accounts.sessions import LIFETIME_SECONDS
from labeler.core.roles import Role, Visitor
from labeler.errors import AccountError, StoreError
from labeler.page.access import note_visitor
from labeler.page.identity import Identity, cookie, cookie_in

VISITOR = "labeler.visitor"
_LOG = logging.getLogger(__name__)


class Recognizer(Protocol):
    """One way to tell who sends a request. May raise StoreError."""

    @property
    def anybody(self) -> Role | None:
        """What everybody may do; None: nothing is for whoever is not recognised."""

    @property
    def sign_in(self) -> bool:
        """Whether whoever is not recognised can sign in on a page of ours."""

    def visitor(self, scope: Scope) -> Visitor | None:
        """Who sends this request, or None."""

    def welcome(self, scope: Scope) -> tuple[Visitor | None, bytes | None]:
        """Who opens a page, and the cookie to give them with it, if any."""

    def former(self, scope: Scope) -> str | None:
        """The annotator that this browser was when nobody had to sign in, if it was one."""


@dataclass(frozen=True, slots=True)
class Browsers:
    """Nobody signs in; ``anybody`` is what everybody may do."""

    identity: Identity
    anybody: Role
    sign_in: bool = False

    def visitor(self, scope: Scope) -> Visitor | None:
        annotator_id = self.identity.annotator_in(cookies_of(scope))
        return None if annotator_id is None else Visitor(annotator_id, self.anybody)

    def welcome(self, scope: Scope) -> tuple[Visitor | None, bytes | None]:
        visitor = self.visitor(scope) or Visitor(self.identity.newcomer(), self.anybody)
        return visitor, self.identity.set_cookie(visitor.annotator_id, scheme=scope["scheme"]).encode()

    def former(self, scope: Scope) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session cookie of ours."""

    sessions: Sessions
    cookie_name: str
    browsers: Identity
    anybody: Role | None = None
    sign_in: bool = True

    def visitor(self, scope: Scope) -> Visitor | None:
        token = self.token(scope)
        return None if token is None else self.sessions.visitor(token)

    def welcome(self, scope: Scope) -> tuple[Visitor | None, bytes | None]:
        token = self.token(scope)
        renewed = None if token is None else self.sessions.renewed(token)
        return self.visitor(scope), None if renewed is None else session_cookie(self.cookie_name, renewed, scope)

    def former(self, scope: Scope) -> str | None:
        return self.browsers.annotator_in(cookies_of(scope))

    def token(self, scope: Scope) -> str | None:
        return cookie_in(cookies_of(scope), self.cookie_name)


@dataclass(frozen=True, slots=True)
class Vouched:
    """The account that a trusted proxy names; ``header`` is in lower case."""

    accounts: Accounts
    header: bytes
    proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
    sign_up: bool
    browsers: Identity
    anybody: Role | None = None
    sign_in: bool = False

    def visitor(self, scope: Scope) -> Visitor | None:
        named = [value for name, value in scope["headers"] if name == self.header]
        if len(named) != 1 or not self._trusted(scope):
            return None
        try:
            account = self.accounts.arrived(named[0].decode("utf-8"), sign_up=self.sign_up)
        except (AccountError, UnicodeDecodeError) as error:
            _LOG.info("a proxy's word was not taken: %s", error)
            return None
        return Visitor(account.annotator_id, account.role, account.name)

    def welcome(self, scope: Scope) -> tuple[Visitor | None, bytes | None]:
        return self.visitor(scope), None

    def former(self, scope: Scope) -> str | None:
        return self.browsers.annotator_in(cookies_of(scope))

    def _trusted(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ipaddress.ip_address(client[0]) if client else None
        except ValueError:
            return False
        return address is not None and any(address in network for network in self.proxies)


@dataclass(frozen=True, slots=True)
class Recognition:
    """ASGI middleware that notes the visitor in the scope, for everything behind it."""

    app: ASGIApp
    recognizer: Recognizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            visitor = self._visitor(scope)
            scope = {**scope, VISITOR: visitor}
            if visitor is not None:
                note_visitor(scope, visitor.annotator_id)
        await self.app(scope, receive, send)

    def _visitor(self, scope: Scope) -> Visitor | None:
        try:
            return self.recognizer.visitor(scope)
        except StoreError as error:
            _LOG.warning("nobody is recognised: %s", error)
            return None


def visitor_in(scope: Any) -> Visitor | None:
    """Who sends this request, as noted in its scope."""
    visitor = scope.get(VISITOR)
    return visitor if isinstance(visitor, Visitor) else None


def cookies_of(scope: Scope) -> str:
    """The ``Cookie`` headers of a request as one."""
    return "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")


def session_cookie(name: str, token: str, scope: Scope, *, seconds: int | None = None) -> bytes:
    """The ``Set-Cookie`` header that keeps, or with 0 seconds drops, a session."""
    age = LIFETIME_SECONDS if seconds is None else seconds
    return cookie(name, token, age, scheme=scope["scheme"]).encode()
