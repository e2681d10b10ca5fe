"""Passwords: hashed with Argon2id as its library recommends (RFC 9106's second profile), never kept."""

from __future__ import annotations

import secrets
import string
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from labeler.errors import AccountError

LEAST_PASSWORD = 10
MOST_PASSWORD = 1000  # characters: hashing time and memory follow them
MADE_CHARS = 16
AT_ONCE = 2  # a hash takes 64 MiB; many sign-ins at once must not take the page's memory
_ALPHABET = string.ascii_lowercase + string.digits


def new_password() -> str:
    """A password that nobody guesses: 16 letters and digits, 82 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(MADE_CHARS))


class Passwords:
    """Makes and checks hashes. Safe to call from any thread."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = threading.Semaphore(AT_ONCE)
        self._nobodys = self._hasher.hash(secrets.token_hex())

    def hashed(self, password: str) -> str:
        """The hash to keep.

        Raises:
            AccountError: the password is too short or too long.
        """
        if len(password) < LEAST_PASSWORD:
            raise AccountError(f"a password has at least {LEAST_PASSWORD} characters; choose a longer one")
        if len(password) > MOST_PASSWORD:
            raise AccountError(f"a password has at most {MOST_PASSWORD:,} characters; choose a shorter one")
        with self._turn:
            return self._hasher.hash(password)

    def fits(self, hashed: str | None, password: str) -> bool:
        """Whether the hash is this password's. Without a hash it takes as long, and nothing fits."""
        if len(password) > MOST_PASSWORD:
            return False
        try:
            with self._turn:
                self._hasher.verify(hashed or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Whether a hash was made with weaker parameters than new ones are."""
        return self._hasher.check_needs_rehash(hashed)
