"""Small packages for the tests: real parquet files, a real manifest, a card with markers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labeler.export.manifest import MANIFEST_PATH, Manifest, ShardFile

Row = Mapping[str, Any]
Shards = Mapping[tuple[str, str, int], Sequence[Row]]
"""Rows by config, split and shard number."""

SCHEMAS = {
    "dpo": pa.schema([("record_id", pa.string()), ("chosen", pa.string()), ("rejected", pa.string())]),
    "votes": pa.schema([("event_id", pa.string()), ("vote", pa.int8())]),
}

CARD = """---
pretty_name: Votes
license: cc-by-4.0
configs:
{configs}
---

<!-- labeler:generated:start -->

# Votes

{rows} rows.

<!-- labeler:generated:end -->

Write here what no program can know.
"""


def dpo(*names: str) -> list[Row]:
    """Preference pairs, one a name."""
    return [{"record_id": name, "chosen": f"better {name}", "rejected": f"worse {name}"} for name in names]


def votes(*names: str) -> list[Row]:
    return [{"event_id": name, "vote": 1} for name in names]


def write_package(
    folder: Path,
    shards: Shards,
    *,
    source_id: str = "log-1",
    position: int = 10,
    compression: str = "zstd",
    options_digest: str = "0abc",
    card: str | None = None,
) -> Path:
    """Write a package of these rows. ``compression`` changes the bytes of the files and not a row."""
    files = []
    for (config, split, shard), rows in shards.items():
        if rows:
            files.append(_write_shard(folder, (config, split, shard), rows, compression))
    totals: dict[str, dict[str, int]] = {}
    for file in files:
        splits = totals.setdefault(file.config, {})
        splits[file.split] = splits.get(file.split, 0) + file.rows
    manifest = Manifest(
        source_id=source_id,
        study="votes",
        position=position,
        rules_version=1,
        options_digest=options_digest,
        pyarrow=f"26.0.1+{compression}",
        conversations_per_shard=2000,
        files=tuple(sorted(files, key=lambda file: file.path)),
        excluded={"split_conflict": 2},
        totals=totals,
    )
    (folder / MANIFEST_PATH).parent.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_PATH).write_text(manifest.to_json())
    (folder / "README.md").write_text(card or _card(totals))
    return folder


def manifest_of(folder: Path) -> Manifest:
    return Manifest.from_json((folder / MANIFEST_PATH).read_text())


def rows_in(files: Mapping[str, bytes]) -> dict[str, list[Row]]:
    """Every row of every parquet file, by config, in a fixed order."""
    found: dict[str, list[Row]] = {}
    for path, content in sorted(files.items()):
        if path.endswith(".parquet"):
            found.setdefault(path.split("/")[0], []).extend(pq.read_table(pa.BufferReader(content)).to_pylist())
    return {config: sorted(rows, key=repr) for config, rows in found.items()}


def rows_of(shards: Shards) -> dict[str, list[Row]]:
    """The rows a package was made of, as ``rows_in`` gives them."""
    found: dict[str, list[Row]] = {}
    for (config, _, _), rows in shards.items():
        if rows:
            found.setdefault(config, []).extend(dict(row) for row in rows)
    return {config: sorted(rows, key=repr) for config, rows in found.items()}


def _write_shard(folder: Path, key: tuple[str, str, int], rows: Sequence[Row], compression: str) -> ShardFile:
    config, split, shard = key
    digest = hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest()
    path = f"{config}/{split}-{shard:05d}-{digest[:12]}.parquet"
    (folder / config).mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[config])
    pq.write_table(table, folder / path, compression=compression, use_content_defined_chunking=True)
    content = (folder / path).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return ShardFile(path, config, split, shard, len(rows), len(content), sha256, digest)


def _card(totals: Mapping[str, Mapping[str, int]]) -> str:
    lines: list[str] = []
    for config, splits in sorted(totals.items()):
        lines += [f"- config_name: {config}", "  data_files:"]
        lines += [f"  - split: {split}\n    path: {config}/{split}-*.parquet" for split in sorted(splits)]
    rows = sum(count for splits in totals.values() for count in splits.values())
    return CARD.format(configs="\n".join(lines) or "- config_name: none", rows=rows)
