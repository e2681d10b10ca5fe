"""Who is looking: found out once for every request, before anything else sees it.

Browsers    nobody signs in; every browser is an annotator of its own (a signed cookie)
SignedIn    a signed session cookie, for accounts with passwords and those of the Hub
Vouched     a proxy in front names the account in a header; only listed proxies are believed
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from labeler.accounts import Accounts, Sessions
from labeler.accounts.sessions import LIFETIME_SECONDS
from labeler.core.roles import Role, Visitor
from labeler.errors import AccountError, StoreError
from labeler.page.access import note_visitor
from labeler.page.identity import Identity, cookie, cookie_in

VISITOR = "labeler.visitor"
UNTOLD = "labeler.untold"
# Who sends a request is looked up by so many threads of its own: a database that hangs must take no others with it.
LOOK_UPS = 8
_LOG = logging.getLogger(__name__)


class Recognizer(Protocol):
    """One way to tell who sends a request. May raise StoreError."""

    @property
    def anybody(self) -> Role | None:
        """What everybody may do; None: nothing is for whoever is not recognised."""

    @property
    def sign_in(self) -> bool:
        """Whether whoever is not recognised can sign in on a page of ours."""

    def at_hand(self, scope: Scope) -> bool:
        """Whether ``visitor`` needs not ask the database."""

    def visitor(self, scope: Scope) -> Visitor | None:
        """Who sends this request, or None."""

    def welcome(self, scope: Scope, visitor: Visitor | None) -> tuple[Visitor | None, bytes | None]:
        """Who opens a page, if it was this one who asked for it, and the cookie to give them with it, if any."""

    def former(self, scope: Scope) -> str | None:
        """The annotator that this browser was when nobody had to sign in, if it was one."""


@dataclass(frozen=True, slots=True)
class Browsers:
    """Nobody signs in; ``anybody`` is what everybody may do."""

    identity: Identity
    anybody: Role
    sign_in: bool = False

    def at_hand(self, scope: Scope) -> bool:
        return True

    def visitor(self, scope: Scope) -> Visitor | None:
        annotator_id = self.identity.annotator_in(cookies_of(scope))
        return None if annotator_id is None else Visitor(annotator_id, self.anybody)

    def welcome(self, scope: Scope, visitor: Visitor | None) -> tuple[Visitor | None, bytes | None]:
        visitor = visitor or Visitor(self.identity.newcomer(), self.anybody)
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

    def at_hand(self, scope: Scope) -> bool:
        token = self.token(scope)
        return token is None or self.sessions.at_hand(token) is not None

    def visitor(self, scope: Scope) -> Visitor | None:
        token = self.token(scope)
        return None if token is None else self.sessions.visitor(token)

    def welcome(self, scope: Scope, visitor: Visitor | None) -> tuple[Visitor | None, bytes | None]:
        token = self.token(scope)
        renewed = None if token is None else self.sessions.renewed(token)
        return visitor, None if renewed is None else session_cookie(self.cookie_name, renewed, scope)

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

    def at_hand(self, scope: Scope) -> bool:
        return self._named(scope) is None

    def visitor(self, scope: Scope) -> Visitor | None:
        named = self._named(scope)
        if named is None:
            return None
        try:
            account = self.accounts.arrived(named.decode("utf-8"), sign_up=self.sign_up)
        except (AccountError, UnicodeDecodeError) as error:
            _LOG.info("a proxy's word was not taken: %s", error)
            return None
        return Visitor(account.annotator_id, account.role, account.name)

    def welcome(self, scope: Scope, visitor: Visitor | None) -> tuple[Visitor | None, bytes | None]:
        return visitor, None

    def former(self, scope: Scope) -> str | None:
        return self.browsers.annotator_in(cookies_of(scope))

    def _named(self, scope: Scope) -> bytes | None:
        """Whom a proxy names that is believed, and names once."""
        named = [value for name, value in scope["headers"] if name == self.header]
        return named[0] if len(named) == 1 and self._trusted(scope) else None

    def _trusted(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ipaddress.ip_address(client[0]) if client else None
        except ValueError:
            return False
        return address is not None and any(address in network for network in self.proxies)


@dataclass(frozen=True, slots=True)
class Recognition:
    """ASGI middleware that notes the visitor in the scope, for everything behind it; or that nobody can tell now."""

    app: ASGIApp
    recognizer: Recognizer
    look_ups: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LOOK_UPS, "look-up"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            visitor, untold = await self._visitor(scope)
            scope = {**scope, VISITOR: visitor, UNTOLD: untold}
            if visitor is not None:
                note_visitor(scope, visitor.annotator_id)
        await self.app(scope, receive, send)

    async def _visitor(self, scope: Scope) -> tuple[Visitor | None, bool]:
        try:
            if self.recognizer.at_hand(scope):
                return self.recognizer.visitor(scope), False
            looked_up = asyncio.get_running_loop().run_in_executor(self.look_ups, self.recognizer.visitor, scope)
            return await looked_up, False
        except StoreError as error:
            _LOG.warning("nobody is recognised: %s", error)
            return None, True


def visitor_in(scope: Any) -> Visitor | None:
    """Who sends this request, as noted in its scope."""
    visitor = scope.get(VISITOR)
    return visitor if isinstance(visitor, Visitor) else None


def untold_in(scope: Any) -> bool:
    """Whether it cannot be told now who sends this request."""
    return bool(scope.get(UNTOLD, False))


def cookies_of(scope: Scope) -> str:
    """The ``Cookie`` headers of a request as one."""
    return "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")


def session_cookie(name: str, token: str, scope: Scope, *, seconds: int | None = None) -> bytes:
    """The ``Set-Cookie`` header that keeps, or with 0 seconds drops, a session."""
    age = LIFETIME_SECONDS if seconds is None else seconds
    return cookie(name, token, age, scheme=scope["scheme"]).encode()
