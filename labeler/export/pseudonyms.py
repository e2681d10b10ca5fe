"""Published names for ids, fast enough for millions: ``labeler.ids.pseudonym``, bound to one data set."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from labeler.ids import PSEUDONYM_CHARS

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_TWO = [a + b for a in _ALPHABET for b in _ALPHABET]
_BLOCK = 64
_BITS = 5 * PSEUDONYM_CHARS
_BYTES = (_BITS + 7) // 8
_SHIFTS = range(_BITS - 10, -1, -10)


class Names(dict[str, str]):
    """From one kind of id to its pseudonyms: ``names[id]``, worked out once.

    The two halves of HMAC-SHA256 over the key and the purpose are kept ready, so that a name costs two short hashes.
    """

    def __init__(self, key: bytes, purpose: str) -> None:
        padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + f"{purpose}\0".encode())
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def __missing__(self, value: str) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value.encode())
        outer.update(inner.digest())
        number = int.from_bytes(outer.digest()[:_BYTES], "big") >> (8 * _BYTES - _BITS)
        name = self[value] = "".join([_TWO[number >> shift & 1023] for shift in _SHIFTS])
        return name


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
