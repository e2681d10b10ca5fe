"""What is done with accounts: made, listed, changed by who runs the study; signed in to by who annotates."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import NoReturn

from labeler.accounts.passwords import Passwords
from labeler.accounts.throttle import Throttle
from labeler.core.roles import Role
from labeler.durations import later
from labeler.errors import AccountError, SignInRefused
from labeler.ids import new_id
from labeler.store import Store, utc_now
from labeler.store.accounts import (
    Account,
    account_at,
    account_named,
    add_account,
    all_accounts,
    change_account,
    end_account_sessions,
    note_failure,
)

LONGEST_NAME = 128
FAILURES = 10  # in a row
LOCK_SECONDS = 15 * 60.0
TRIES, TRY_SECONDS = 20, 60.0  # from one place
NO_FIT = (
    "That did not work: the name or the password is wrong, or the account is locked after too many tries"
    " (then wait 15 minutes, or ask for a new password)."
)
DISABLED = "This account is disabled. Ask whoever runs the study."
NOT_LISTED = "There is no account for you in this study. Ask whoever runs it."


def checked_name(name: str) -> str:
    """An account's name in the one form in which it is kept: NFC, caseless.

    Raises:
        AccountError: it is empty, too long, or holds spaces or control characters.
    """
    kept = unicodedata.normalize("NFC", name).casefold()
    if not 0 < len(kept) <= LONGEST_NAME or any(one.isspace() or not one.isprintable() for one in kept):
        raise AccountError(f"{name!r} is no name for an account: 1 to {LONGEST_NAME} characters, and no spaces")
    return kept


class Accounts:
    """The accounts of a study. Safe to call from any thread; every method may raise StoreError."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], str] = utc_now,
        ids: Callable[[], str] = new_id,
        passwords: Passwords | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._passwords = passwords or Passwords()
        self._throttle = throttle or Throttle(TRIES, TRY_SECONDS)

    # ── who runs the study ──

    def add(self, name: str, role: Role, password: str | None = None) -> Account:
        """Make an account. Without a password it waits for who comes through a proxy or the Hub under this name.

        Raises:
            AccountError: the name is taken or is none, or the password is too short.
        """
        kept = checked_name(name)
        hashed = None if password is None else self._passwords.hashed(password)
        account = Account(kept, self._ids(), role, self._clock(), hashed)
        if not add_account(self._store, account):
            raise AccountError(f"{kept}: there is an account of this name already; see labeler users list")
        return account

    def listed(self) -> list[Account]:
        """All accounts, by name."""
        return all_accounts(self._store)

    def reset(self, name: str, password: str) -> None:
        """Give an account another password; unlock it, and end its sessions. Raises AccountError."""
        hashed = self._passwords.hashed(password)
        fresh = {"password": hashed, "failures": 0, "locked_until": None}
        self._found(end_account_sessions(self._store, checked_name(name), **fresh), name)

    def disable(self, name: str) -> None:
        """Keep an account from signing in, and end its sessions; what it gave stays. Raises AccountError."""
        self._found(end_account_sessions(self._store, checked_name(name), disabled=True), name)

    def enable(self, name: str) -> None:
        """Let a disabled account sign in again. Raises AccountError."""
        self._found(change_account(self._store, checked_name(name), disabled=False), name)

    def set_role(self, name: str, role: Role) -> None:
        """Give an account another role. Raises AccountError."""
        self._found(change_account(self._store, checked_name(name), role=role), name)

    @staticmethod
    def _found(there: bool, name: str) -> None:
        if not there:
            raise AccountError(f"{name}: there is no account of this name; see labeler users list")

    # ── who annotates ──

    def sign_in(self, name: str, password: str, *, place: str) -> Account:
        """The account of this name and password. ``place`` is where the try comes from (an address).

        Raises:
            SignInRefused: they do not fit, the account is locked or disabled, or this place tries too often. The line
                does not tell which names exist, and a wrong name takes as long as a wrong password.
        """
        if wait := self._throttle.wait(place):
            raise SignInRefused("Too many tries from here. Wait a minute, then try again.", wait)
        account = self._by_name(name)
        now = self._clock()
        locked = account is not None and (account.locked_until or "") > now
        hashed = None if account is None or locked else account.password
        fits = self._passwords.fits(hashed, password)
        if account is None or locked or not fits:
            self._refuse(account, counted=not locked)
        self._throttle.forgive(place)  # an office may sign in at nine, all from one address
        if account.disabled:  # told to who knows the password, and to nobody else
            raise SignInRefused(DISABLED)
        if account.failures or account.locked_until:
            change_account(self._store, account.name, failures=0, locked_until=None)
        if account.password is not None and self._passwords.outdated(account.password):
            change_account(self._store, account.name, password=self._passwords.hashed(password))
        return account

    def _by_name(self, name: str) -> Account | None:
        try:
            return account_named(self._store, checked_name(name))
        except AccountError:
            return None

    def _refuse(self, account: Account | None, *, counted: bool) -> NoReturn:
        if account is not None and counted:
            until = later(self._clock(), LOCK_SECONDS)
            note_failure(self._store, account.name, most=FAILURES, locked_until=until)
        raise SignInRefused(NO_FIT)

    def arrived(self, name: str, *, subject: str | None = None, sign_up: bool) -> Account:
        """The account of somebody whom another service vouches for.

        ``subject`` is what that service calls them for ever; the first to arrive under a name that was added without
        one takes that account. Who has none gets one, as an annotator, if ``sign_up`` says so.

        Raises:
            SignInRefused: the account is disabled, belongs to somebody else there, or there is none.
            AccountError: the name is none.
        """
        account = self._vouched(checked_name(name), subject)
        if account is None and sign_up:
            account = Account(checked_name(name), self._ids(), "annotator", self._clock(), subject=subject)
            if not add_account(self._store, account):  # another request was first
                account = self._vouched(account.name, subject)
        if account is None:
            raise SignInRefused(NOT_LISTED)
        if account.disabled:
            raise SignInRefused(DISABLED)
        return account

    def _vouched(self, name: str, subject: str | None) -> Account | None:
        if subject is None:
            return account_named(self._store, name)
        known = account_at(self._store, subject)
        if known is not None:
            return known
        waiting = account_named(self._store, name)
        if waiting is None:
            return None
        if waiting.subject is not None or waiting.password is not None:
            raise SignInRefused(f"The name {name} belongs to another account here. Ask whoever runs the study.")
        change_account(self._store, name, subject=subject)
        return account_at(self._store, subject)
