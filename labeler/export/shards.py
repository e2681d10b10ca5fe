"""A shard: the rows of consecutive conversations, and the parquet files that hold them.

What stands in a file is a function of the rows, the terms and the pyarrow version alone: no time, no host and no path
goes into it, so the same log gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labeler.core.records import Derived
from labeler.export import tallies
from labeler.export.columns import Terms, kto_order, table_of
from labeler.export.digest import RowsDigest
from labeler.export.manifest import ShardFile
from labeler.export.schemas import TRAINER_CONFIGS, schema

# Row groups are cut by what they hold, not by a number of rows: the viewer reads at most 300 MB at once, and borders
# that depend on row numbers would move with every row that joins. Most shards are one group.
GROUP_CHARACTERS = 32 * 1024 * 1024

WRITER_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "use_content_defined_chunking": True,  # a changed row then changes a few chunks of the file, not all after it
    "write_page_index": True,
}
DIGEST_CHARS = 12

RowsKey = tuple[str, str]
"""Config and split."""


@dataclass(slots=True)
class ShardRows:
    """What the conversations of one shard yield, by config and split; ``dpo`` stands for ``reward`` as well."""

    rows: dict[RowsKey, list[Any]] = field(default_factory=dict)
    ledger: list[Any] = field(default_factory=list)

    def add(self, derived: Derived) -> None:
        """Take one conversation's yield in."""
        for pair in derived.pairs:
            self.rows.setdefault(("dpo", pair.prompt.split), []).append(pair)
        for unpaired in derived.unpaired:
            self.rows.setdefault(("kto", unpaired.prompt.split), []).append(unpaired)
        for shown in derived.demonstrations:
            self.rows.setdefault(("sft", shown.prompt.split), []).append(shown)
        for config, raw in (
            ("votes", derived.votes),
            ("comparisons", derived.comparisons),
            ("messages", derived.messages),
        ):
            if raw:
                self.rows.setdefault((config, "train"), []).extend(raw)
        self.ledger.extend(derived.ledger)


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard as it was written."""

    ordinal: int
    files: tuple[ShardFile, ...]
    tally: tallies.Tally


def write_shard(folder: Path, ordinal: int, shard: ShardRows, terms: Terms) -> Shard:
    """Write the files of one shard below ``folder``; a config and split without rows has no file."""
    files: list[ShardFile] = []
    tally = tallies.of_ledger(shard.ledger)
    annotators = terms.names.annotators
    for (config, split), rows in shard.rows.items():
        if config == "kto":
            rows = kto_order(rows, terms.names)
        for written in ("dpo", "reward") if config == "dpo" else (config,):
            files.append(_write(folder, (written, split, ordinal), rows, terms))
            tally[f"rows/{written}/{split}"] = len(rows)
            if written in TRAINER_CONFIGS:
                tally.update(tallies.of_records(written, split, rows, annotators))
        tally.update(_extra(config, split, rows))
    return Shard(ordinal, tuple(sorted(files, key=lambda file: file.path)), tally)


def _extra(config: str, split: str, rows: list[Any]) -> tallies.Tally:
    """What is counted of one config only."""
    match config:
        case "dpo":
            return tallies.of_pairs(rows)
        case "kto":
            return tallies.of_unpaired(split, rows)
        case "sft":
            return tallies.of_demonstrations(rows)
        case "votes":
            return tallies.of_votes(rows)
        case "messages":
            return tallies.of_messages(rows)
        case _:
            return tallies.Tally()


def _write(folder: Path, key: tuple[str, str, int], rows: Sequence[Any], terms: Terms) -> ShardFile:
    """One parquet file, made in memory, named by what it holds and on disk when this returns."""
    config, split, ordinal = key
    sink, digest = pa.BufferOutputStream(), RowsDigest(schema(config))
    with pq.ParquetWriter(sink, schema(config), **WRITER_OPTIONS) as writer:
        for group in groups(config, rows):
            table = table_of(config, group, terms)
            digest.update(table)
            writer.write_table(table, row_group_size=len(group))
    content = sink.getvalue()
    rows_digest = digest.hexdigest()
    path = f"{config}/{split}-{ordinal:05d}-{rows_digest[:DIGEST_CHARS]}.parquet"
    write_durably(folder / path, content)
    return ShardFile(
        path=path,
        config=config,
        split=split,
        shard=ordinal,
        rows=len(rows),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        rows_digest=rows_digest,
    )


def groups(config: str, rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Rows in consecutive groups of at most ``GROUP_CHARACTERS``, or of one row that is larger by itself."""
    begin, held = 0, 0
    for place, size in enumerate(map(_SIZES.get(config, _few), rows)):
        if held and held + size > GROUP_CHARACTERS:
            yield rows[begin:place]
            begin, held = place, 0
        held += size
    if begin < len(rows):
        yield rows[begin:]


def _prompt_size(row: Any) -> int:
    return sum([len(message["content"]) for message in row.prompt.messages])


def _pair_size(row: Any) -> int:
    return _prompt_size(row) + len(row.chosen.content) + len(row.rejected.content)


def _single_size(row: Any) -> int:
    return _prompt_size(row) + len(row.completion.content)


def _message_size(row: Any) -> int:
    return len(row.content)


def _few(row: Any) -> int:
    return 256


_SIZES = {
    "dpo": _pair_size,
    "reward": _pair_size,
    "kto": _single_size,
    "sft": _single_size,
    "messages": _message_size,
}


def write_durably(path: Path, content: bytes | pa.Buffer) -> None:
    """Write a new file and have it on disk: after a power cut a package has every byte that its manifest names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_rows_digest(path: Path) -> str:
    """The rows digest of a parquet file, worked out anew from its rows."""
    with pq.ParquetFile(path) as file:
        digest = RowsDigest(file.schema_arrow)
        for number in range(file.num_row_groups):
            digest.update(file.read_row_group(number))
    return digest.hexdigest()


def read_schemas(paths: Iterable[Path]) -> Iterator[tuple[Path, pa.Schema]]:
    """The schema that each file declares."""
    for path in paths:
        yield path, pq.read_schema(path)
