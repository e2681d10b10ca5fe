"""The digest of rows: what they say, whichever pyarrow wrote them and however it cut them into pages and groups.

Each column is hashed apart, as three streams (which values are null, how long they are, what they hold), so the digest
is the same whether rows come in one batch or in many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labeler.ids import digest_of


class RowsDigest:
    """A running digest over the batches of one table."""

    def __init__(self, schema: pa.Schema) -> None:
        self._names = [name.encode() for name in schema.names]
        self._streams: dict[str, hashlib._Hash] = {}
        self._rows = 0

    def update(self, batch: pa.Table) -> None:
        """Take the next rows in."""
        self._rows += batch.num_rows
        for field in batch.schema:
            column = batch.column(field.name).combine_chunks()
            for stream, content in _streams(field.name, column, field.nullable):
                self._streams.setdefault(stream, hashlib.sha256()).update(content)

    def hexdigest(self) -> str:
        parts = [*self._names, str(self._rows).encode()]
        for stream, digest in self._streams.items():
            parts += [stream.encode(), digest.digest()]
        return digest_of(parts)


def _streams(path: str, array: pa.Array, nullable: bool) -> Iterator[tuple[str, bytes | memoryview]]:
    """The streams of one column and, if it is nested, of what is inside it."""
    if nullable:
        yield f"{path}?", _numbers(array.is_null(), "u1")
    if pa.types.is_list(array.type):
        yield f"{path}#", _numbers(pc.list_value_length(array), "<i4")
        yield from _streams(f"{path}[]", array.flatten(), nullable=False)
    elif pa.types.is_struct(array.type):
        for field in array.type:
            yield from _streams(f"{path}.{field.name}", array.field(field.name), field.nullable)
    elif pa.types.is_string(array.type):
        filled = array.fill_null("") if array.null_count else array
        yield f"{path}#", _numbers(pc.binary_length(filled), "<i4")
        yield path, _text(filled)
    else:
        yield path, _numbers(array, "<f8" if pa.types.is_floating(array.type) else "<i4")


def _numbers(array: pa.Array, form: str) -> bytes:
    filled = array.fill_null(False if pa.types.is_boolean(array.type) else 0) if array.null_count else array
    content: bytes = filled.to_numpy(zero_copy_only=False).astype(form).tobytes()
    return content


def _text(array: pa.StringArray) -> memoryview:
    """The characters of all values, one after the other."""
    _, offsets, characters = array.buffers()
    if characters is None:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return memoryview(characters)[bounds[0] : bounds[-1]]
