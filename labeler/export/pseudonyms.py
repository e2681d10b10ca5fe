"""Published names for ids, fast enough for millions: ``labeler.ids.pseudonym``, bound to one data set."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labeler.ids import PSEUDONYM_CHARS

_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
_PLACES = np.array([16, 8, 4, 2, 1], np.uint8)
_BLOCK = 64


class Names(dict[str, str]):
    """From one kind of id to its pseudonyms: ``names[id]``, worked out once.

    The two halves of HMAC-SHA256 over the key and the purpose are kept ready, so that a name costs two short hashes,
    and many names at once (``learn``) share the cost of their base 32.
    """

    def __init__(self, key: bytes, purpose: str) -> None:
        padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + f"{purpose}\0".encode())
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def learn(self, ids: Iterable[str]) -> None:
        """Work out the names of these ids, those that are not known yet, all at once."""
        unknown = [one for one in set(ids) if one not in self]
        if unknown:
            self.update(zip(unknown, _base32([self._mac(one) for one in unknown]), strict=True))

    def __missing__(self, one: str) -> str:
        self.learn([one])
        return self[one]

    def _mac(self, one: str) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(one.encode())
        outer.update(inner.digest())
        return outer.digest()


def _base32(macs: list[bytes]) -> list[str]:
    """The first characters of each in lower-case base 32."""
    octets = np.frombuffer(b"".join(macs), np.uint8).reshape(len(macs), -1)
    bits = np.unpackbits(octets, axis=1)[:, : 5 * PSEUDONYM_CHARS].reshape(len(macs), PSEUDONYM_CHARS, 5)
    text = _LETTERS[bits @ _PLACES].tobytes().decode("ascii")
    return [text[start : start + PSEUDONYM_CHARS] for start in range(0, len(text), PSEUDONYM_CHARS)]


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The names of one data set's ids, each kind under a purpose of its own so that no two columns can be linked."""

    conversations: Names
    messages: Names
    events: Names
    annotators: Names

    @classmethod
    def of(cls, key: bytes, dataset: str) -> Pseudonyms:
        kinds = ("conversation", "message", "event", "annotator")
        return cls(*(Names(key, purpose(dataset, kind)) for kind in kinds))


def purpose(dataset: str, kind: str) -> str:
    """What a pseudonym is for: one kind of id in one data set."""
    return f"{dataset}/{kind}"


def key_print(key: bytes, dataset: str) -> str:
    """Tells whether two packages were named under the same key, and nothing else about it."""
    return hmac.digest(key, purpose(dataset, "key").encode(), "sha256").hex()[:16]
