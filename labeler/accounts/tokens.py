"""Tokens: which other programs may speak to the API, each for annotators of its own.

A token is shown once, when it is made; what is kept is its SHA-256. It holds 256 random bits, so a plain digest gives
nothing away.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from labeler.durations import later
from labeler.errors import AccountError, TokenRefused
from labeler.ids import new_id, text_sha256
from labeler.store import Store, utc_now
from labeler.store.tokens import TokenRow, add_token, change_token, token_with, tokens_of

PREFIX = "lbl_"
TOKEN_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
DAY_SECONDS = 86_400.0
MOST_DAYS = 36_500
# For so long an answer of the store is believed: a revoked token is refused after that at the latest.
BELIEVED_SECONDS = 2.0
BELIEVED = 10_000

UNKNOWN = "That token opens nothing here. labeler tokens add makes one."
REVOKED = "That token was revoked. labeler tokens renew makes another one."
OVER = "That token's time is over. labeler tokens renew makes another one."


@dataclass(frozen=True, slots=True)
class _Seen:
    row: TokenRow
    at: float


class Tokens:
    """The tokens of one study. Safe to call from any thread; methods may raise StoreError."""

    def __init__(
        self,
        store: Store,
        study: str,
        *,
        clock: Callable[[], str] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._study = study
        self._clock = clock
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    # ── for who runs the study ──

    def add(self, name: str, days: int | None = None) -> str:
        """Let a program of this name in. Returns its token, which nobody can read again.

        Raises:
            AccountError: the name cannot be one, or is taken; the days are none.
        """
        if not NAME.fullmatch(name):
            raise AccountError(f"{name!r} is no name for a token: up to 63 letters, digits, dots, dashes")
        now, token = self._clock(), _new_token()
        row = TokenRow(new_id(), self._study, name, text_sha256(token), now, _until(now, days))
        if not add_token(self._store, row):
            raise AccountError(f"there is a token named {name} already; labeler tokens renew gives it another one")
        return token

    def renew(self, name: str, days: int | None = None) -> str:
        """Give a program another token; the one before opens nothing from now on, and what was told stays its own."""
        now, token = self._clock(), _new_token()
        self._change(name, digest=text_sha256(token), until=_until(now, days), revoked_at=None)
        return token

    def revoke(self, name: str) -> None:
        """Let a program in no more. What it told stays."""
        self._change(name, revoked_at=self._clock())

    def listed(self) -> list[TokenRow]:
        """All of them, by name."""
        return tokens_of(self._store, self._study)

    def named(self, name: str) -> TokenRow:
        """Raises AccountError: there is none of this name."""
        found = next((row for row in self.listed() if row.name == name), None)
        if found is None:
            raise AccountError(_nobody(name))
        return found

    def _change(self, name: str, **values: object) -> None:
        if not change_token(self._store, self._study, name, **values):
            raise AccountError(_nobody(name))

    # ── for who comes with one ──

    def at_hand(self, token: str) -> TokenRow | None:
        """As ``bearer``, from memory; None: the store has to be asked."""
        seen = self._seen.get(text_sha256(token))
        if seen is None or self._monotonic() - seen.at >= BELIEVED_SECONDS:
            return None
        return self._open(seen.row)

    def bearer(self, token: str) -> TokenRow:
        """Whose token it is.

        Raises:
            TokenRefused: nobody's, or it opens nothing any more.
        """
        digest, at = text_sha256(token), self._monotonic()
        row = token_with(self._store, digest)
        if row is None:  # what nobody was given is looked up each time, and fills no memory
            raise TokenRefused(UNKNOWN)
        with self._lock:
            if len(self._seen) >= BELIEVED:
                self._seen.clear()
            self._seen[digest] = _Seen(row, at)
        return self._open(row)

    def _open(self, row: TokenRow) -> TokenRow:
        if row.study != self._study:
            raise TokenRefused(UNKNOWN)
        if row.revoked_at is not None:
            raise TokenRefused(REVOKED)
        if row.until is not None and row.until <= self._clock():
            raise TokenRefused(OVER)
        return row


def _new_token() -> str:
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def _until(now: str, days: int | None) -> str | None:
    if days is None:
        return None
    if not 1 <= days <= MOST_DAYS:
        raise AccountError(f"a token lasts 1 to {MOST_DAYS:,} days, not {days:,}")
    return later(now, days * DAY_SECONDS)


def _nobody(name: str) -> str:
    return f"there is no token named {name}; labeler tokens list shows all"
