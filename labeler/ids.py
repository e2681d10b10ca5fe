"""Identifiers and digests: the only place that shapes them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import b32encode
from collections.abc import Iterable

EVENT_ID_HEX = 32
PSEUDONYM_CHARS = 26


def uuid7(milliseconds: int, randomness: bytes) -> str:
    """A version 7 UUID (RFC 9562) from a Unix time and ten random bytes: sorted by time, made on the server only."""
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(randomness[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_id() -> str:
    """A fresh UUIDv7."""
    return uuid7(time.time_ns() // 1_000_000, secrets.token_bytes(10))


def event_id(annotator_id: str, nonce: str, index: int) -> str:
    """The id of the ``index``-th event of a gesture: delivered twice, a gesture yields the same ids."""
    return sha256_hex(annotator_id, nonce, str(index))[:EVENT_ID_HEX]


def sha256_hex(*parts: str) -> str:
    """SHA-256 over the parts, each preceded by its length so that no two lists of parts collide."""
    encoded = [part.encode("utf-8") for part in parts]
    framed = [piece for one in encoded for piece in (len(one).to_bytes(8, "big"), one)]
    return hashlib.sha256(b"".join(framed)).hexdigest()


def text_sha256(text: str) -> str:
    """Plain SHA-256 of a text, as others would compute it."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digest_of(lines: Iterable[bytes]) -> str:
    """SHA-256 over length-prefixed byte strings, in the order given."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(len(line).to_bytes(8, "big"))
        digest.update(line)
    return digest.hexdigest()


def pseudonym(key: bytes, purpose: str, value: str) -> str:
    """A keyed, one-way name for an id in published data: 26 base32 characters of HMAC-SHA256.

    ``purpose`` (annotator, conversation, message, event) and the data set keep names from being linked across columns
    and data sets; without the key nobody can recompute them, and destroying the key makes them anonymous.
    """
    mac = hmac.new(key, f"{purpose}\0{value}".encode(), hashlib.sha256).digest()
    return b32encode(mac).decode("ascii")[:PSEUDONYM_CHARS].lower()
