"""Keys that all replicas of a study must share, and how one that has another key is found out."""

from __future__ import annotations

import hashlib

from labeler.errors import AccountError
from labeler.store import Store
from labeler.store.keys import mark_of_key, note_key

VARIABLE = "LABELER_KEY"
COOKIES = "cookies"
PSEUDONYMS = "pseudonyms"
WITHOUT_IT = {
    COOKIES: "whoever is signed in would have to sign in again, and a browser without an account would be somebody new",
    PSEUDONYMS: "what is pushed from here would bear other pseudonyms",
}
FILES = {COOKIES: ".labeler/secret", PSEUDONYMS: ".labeler/key"}
KEY_BYTES, MARK_BYTES = 32, 8


def cookie_key(stated: str) -> bytes:
    """The key for cookies that follows from what LABELER_KEY says."""
    return _stretched(stated.encode("utf-8"), b"labeler cookies", KEY_BYTES)


def check_key(store: Store, name: str, key: bytes, *, new_key: bool = False) -> None:
    """See that this process has the key that the log was begun with; with ``new_key`` it is this one from now on.

    Raises:
        AccountError: it is another one.
    """
    # Short and slow to make: whoever reads the database must not learn from it which of many guesses the key is.
    mark = _stretched(key, f"mark\0{name}\0{store.source_id}".encode(), MARK_BYTES).hex()
    if mark_of_key(store, name, mark) == mark:
        return
    if not new_key:
        raise AccountError(
            f"this log was begun with another key for {name}: {WITHOUT_IT[name]}; give this process the {VARIABLE} or"
            f" the {FILES[name]} that the others have, or say --new-key if that key is lost"
        )
    note_key(store, name, mark)


def _stretched(key: bytes, salt: bytes, size: int) -> bytes:
    """Made of a key, at a cost that makes guessing one slow."""
    return hashlib.scrypt(key, salt=salt, n=2**14, r=8, p=1, dklen=size)
