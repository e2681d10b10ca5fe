"""Who is signed in: a signed token that the browser keeps, and what makes it end before its time."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from labeler.core.roles import Visitor
from labeler.durations import later
from labeler.errors import StoreError
from labeler.signing import Signer
from labeler.store import Store
from labeler.store.accounts import Account, account_of, end_session, session_ended

LIFETIME_SECONDS = 14 * 24 * 3600
RENEW_SECONDS = 24 * 3600
TRUSTED_SECONDS = 2.0  # how long another process's word (disabled, reset, another role) may take to be heard
# While the accounts cannot be read, the last word on a session counts for so long: nothing can be stored then.
UNREAD_SECONDS = 600.0
KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says. ``expires_at`` is UTC as events have it."""

    annotator_id: str
    epoch: int
    id: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the accounts said of a token: when, and until when nobody asks again. In monotonic seconds."""

    visitor: Visitor
    at: float
    trusted: float


class Sessions:
    """Gives out tokens and tells who a token stands for. Safe to call from any thread.

    Args:
        key: signs; whoever has it can be anybody.
        clock: UTC now, as events have it.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        *,
        clock: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._signer = Signer(key, f"session\0{store.source_id}\0")
        self._known: OrderedDict[str, _Heard] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, account: Account) -> str:
        """A token for somebody who has just signed in."""
        return self._token(account.annotator_id, account.epoch, secrets.token_hex(8))

    def renewed(self, token: str) -> str | None:
        """The same session for its full time again, if a day of it has passed; else None."""
        session = self._read(token)
        if session is None or session.expires_at > later(self._clock(), LIFETIME_SECONDS - RENEW_SECONDS):
            return None
        return self._token(session.annotator_id, session.epoch, session.id)

    def at_hand(self, token: str) -> Visitor | None:
        """As ``visitor``, from memory; None: the accounts have to be read."""
        heard = self._known.get(token)
        return heard.visitor if heard is not None and heard.trusted > self._monotonic() else None

    def visitor(self, token: str) -> Visitor | None:
        """Who a token stands for, or None: it is forged, over, or its account is disabled or was reset.

        Raises:
            StoreError: the accounts cannot be read, and have not been for long, or nothing was heard of this session.
        """
        known = self.at_hand(token)
        if known is not None:
            return known
        session = self._read(token)
        if session is None:
            return None
        try:
            visitor = self._looked_up(session)
        except StoreError:
            heard = self._known.get(token)
            if heard is None or heard.at + UNREAD_SECONDS < self._monotonic():
                raise
            self._keep(token, heard.visitor, heard.at)
            return heard.visitor
        self._keep(token, visitor, self._monotonic())
        return visitor

    def _looked_up(self, session: Session) -> Visitor | None:
        if session_ended(self._store, session.id):
            return None
        account = account_of(self._store, session.annotator_id)
        if account is None or account.disabled or account.epoch != session.epoch:
            return None
        return Visitor(account.annotator_id, account.role, account.name)

    def end(self, token: str) -> None:
        """Sign out: the token is good for nothing from now on, wherever it was copied to."""
        session = self._read(token)
        if session is not None:
            # A renewal may have made a younger token of the same session.
            until = later(self._clock(), LIFETIME_SECONDS)
            end_session(self._store, session.id, now=self._clock(), until=until)
        with self._lock:
            for key in [key for key in self._known if session and key.split(".")[2] == session.id]:
                del self._known[key]

    def _keep(self, token: str, visitor: Visitor | None, at: float) -> None:
        with self._lock:
            if visitor is None:
                self._known.pop(token, None)
                return
            self._known[token] = _Heard(visitor, at, trusted=self._monotonic() + TRUSTED_SECONDS)
            self._known.move_to_end(token)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)

    def _token(self, annotator_id: str, epoch: int, session: str) -> str:
        expires_at = later(self._clock(), LIFETIME_SECONDS)
        said = f"{annotator_id}.{epoch}.{session}.{_digits(expires_at)}"
        return f"{said}.{self._signer.mark(said)}"

    def _read(self, token: str) -> Session | None:
        """What a genuine token says that has not run out."""
        said, _, mac = token.rpartition(".")
        if not self._signer.genuine(said, mac):
            return None
        annotator_id, epoch, session, expires = said.split(".")
        if expires < _digits(self._clock()):
            return None
        at = f"{expires[:4]}-{expires[4:6]}-{expires[6:8]}T{expires[8:10]}:{expires[10:12]}:{expires[12:14]}.000000Z"
        return Session(annotator_id, int(epoch), session, at)


def _digits(at: str) -> str:
    """A time to the second without punctuation, so that it sorts and stands in a cookie."""
    return "".join(character for character in at[:19] if character.isdigit())
