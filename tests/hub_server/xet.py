"""Just enough of the Xet storage protocol to give a file back from what a client sent.

A *xorb* is a run of chunks, each with an eight-byte header and its own compression; a *shard* says, for every file,
which ranges of chunks of which xorbs make it up, and what its sha256 is. All numbers are little endian. Hashes are
written as four 64-bit words, so their hexadecimal name is not the plain hexadecimal of their bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

_SHARD_TAG = b"HFRepoMetaData\0"
_SHARD_HEADER = 48
_ROW = struct.Struct("<32s4I")
_LAST = b"\xff" * 32
_HAS_VERIFICATION = 1 << 31
_HAS_METADATA = 1 << 30
_XORB_END = b"XETBLOB"

NONE, LZ4, BYTE_GROUPED_LZ4 = 0, 1, 2


class Malformed(ValueError):
    """Bytes that are no shard or xorb, or that do not fit together."""


@dataclass(frozen=True)
class Term:
    """Chunks ``first`` up to, not including, ``end`` of one xorb; ``size`` is what they unpack to."""

    xorb: str
    size: int
    first: int
    end: int


@dataclass(frozen=True)
class FileRecipe:
    """How one file is put together. ``sha256`` is missing where the client sent none."""

    hash: str
    terms: tuple[Term, ...]
    sha256: str | None


def hash_name(raw: bytes) -> str:
    """The name of a 32-byte hash as it stands in URLs."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def read_shard(content: bytes) -> list[FileRecipe]:
    """The files that a shard describes."""
    if not content.startswith(_SHARD_TAG):
        raise Malformed("not a shard")
    return list(_files(_rows(content)))


def _rows(content: bytes) -> Iterator[tuple[bytes, int, int, int, int]]:
    for offset in range(_SHARD_HEADER, len(content) - _ROW.size + 1, _ROW.size):
        raw, a, b, c, d = _ROW.unpack_from(content, offset)
        yield raw, a, b, c, d
    raise Malformed("a shard without the end of its list of files")


def _files(rows: Iterator[tuple[bytes, int, int, int, int]]) -> Iterator[FileRecipe]:
    for raw, flags, count, _, _ in rows:
        if raw == _LAST:
            return
        terms = tuple(Term(hash_name(row[0]), *row[2:]) for row in (next(rows) for _ in range(count)))
        for _ in range(count if flags & _HAS_VERIFICATION else 0):
            next(rows)
        sha256 = hash_name(next(rows)[0]) if flags & _HAS_METADATA else None
        yield FileRecipe(hash_name(raw), terms, sha256)


def read_xorb(content: bytes) -> list[bytes]:
    """The unpacked chunks of a xorb, in order."""
    chunks, offset = [], 0
    while offset + 8 <= len(content) and content[offset : offset + 7] != _XORB_END:
        version, scheme = content[offset], content[offset + 4]
        packed = int.from_bytes(content[offset + 1 : offset + 4], "little")
        unpacked = int.from_bytes(content[offset + 5 : offset + 8], "little")
        if version != 0:
            raise Malformed(f"chunk version {version}")
        chunks.append(_unpack(content[offset + 8 : offset + 8 + packed], scheme, unpacked))
        offset += 8 + packed
    return chunks


def _unpack(packed: bytes, scheme: int, size: int) -> bytes:
    if scheme == NONE:
        chunk = packed
    elif scheme in (LZ4, BYTE_GROUPED_LZ4):
        chunk = bytes(pa.decompress(packed, decompressed_size=size, codec="lz4", asbytes=True))
    else:
        raise Malformed(f"compression {scheme}")
    if len(chunk) != size:
        raise Malformed("a chunk of another size than its header says")
    return _regroup(chunk) if scheme == BYTE_GROUPED_LZ4 else chunk


def _regroup(grouped: bytes) -> bytes:
    """Undo the grouping of every fourth byte: the first quarter holds bytes 0, 4, 8, and so on."""
    chunk, offset = bytearray(len(grouped)), 0
    for lane in range(4):
        length = len(range(lane, len(grouped), 4))
        chunk[lane::4] = grouped[offset : offset + length]
        offset += length
    return bytes(chunk)


def rebuild(recipe: FileRecipe, xorb: Callable[[str], list[bytes]]) -> bytes:
    """The file's bytes. ``xorb`` gives the unpacked chunks of a xorb by name, or raises KeyError."""
    parts = []
    for term in recipe.terms:
        try:
            part = b"".join(xorb(term.xorb)[term.first : term.end])
        except KeyError:
            raise Malformed(f"the shard names xorb {term.xorb}, which was never sent") from None
        if len(part) != term.size:
            raise Malformed("a term of another size than the shard says")
        parts.append(part)
    return b"".join(parts)
