"""Where a shard's rows are cut: into batches that bound memory, and those into the row groups of a parquet file.

A vote that comes late changes or adds one row. All columns of a row group lie side by side in the file, so the change
stays within a fraction of it, provided that the groups behind still begin at the same rows: borders are found by what
stands in a row, as content-defined chunking finds them by bytes, never by its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from labeler.export.schemas import TRAINER_CONFIGS, key_column

BATCH_CHARACTERS = 32 * 1024 * 1024  # the viewer of the Hub reads at most 300 MB of a row group
FACT_CHARACTERS = 256  # a vote or a comparison, roughly
GROUP_ROWS = 512
"""The least that a row group holds, unless it ends its batch: every group costs a footer entry for each column."""

# The id in which a border shows, and how that ends: one of 256 hexadecimal hashes, one of 1,024 pseudonyms in base32.
_ENDINGS = {"record_id": "00", "event_id": "aa", "message_id": "aa"}


def row_groups(table: pa.Table) -> list[int]:
    """Rows in each row group of a table in the canonical form."""
    key, borders = key_column(table.schema), [0]
    for place in pc.indices_nonzero(pc.ends_with(table[key], _ENDINGS[key])).to_pylist():
        if place - borders[-1] >= GROUP_ROWS:
            borders.append(place)
    return [end - begin for begin, end in pairwise([*borders, table.num_rows])]


def write_row_groups(writer: pq.ParquetWriter, table: pa.Table, sizes: Sequence[int]) -> None:
    """Append a table to a file in row groups of so many rows; together they are all of its rows."""
    for begin, end in pairwise(accumulate(sizes, initial=0)):
        writer.write_table(table.slice(begin, end - begin), row_group_size=end - begin)


def batches(config: str, rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Rows in consecutive batches of at most ``BATCH_CHARACTERS``, or of one row that is larger by itself."""
    begin, held = 0, 0
    for place, size in enumerate(_sizes(config, rows)):
        if place > begin and held + size > BATCH_CHARACTERS:
            yield rows[begin:place]
            begin, held = place, 0
        held += size
    if begin < len(rows):
        yield rows[begin:]


def _sizes(config: str, rows: Sequence[Any]) -> list[int]:
    """How many characters each row holds, next to nothing apart."""
    if config == "messages":
        return [len(row.content) for row in rows]
    if config not in TRAINER_CONFIGS:
        return [FACT_CHARACTERS] * len(rows)
    prompts = {id(row.prompt): row.prompt.messages for row in rows}
    sizes = {key: sum([len(message["content"]) for message in messages]) for key, messages in prompts.items()}
    if config == "dpo":
        return [sizes[id(row.prompt)] + len(row.chosen.content) + len(row.rejected.content) for row in rows]
    return [sizes[id(row.prompt)] + len(row.completion.content) for row in rows]
