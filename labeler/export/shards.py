"""A shard: the rows of consecutive conversations, and the parquet files that hold them.

What stands in a file is a function of the rows, the terms and the pyarrow version alone: no time, no host and no path
goes into it, so the same log gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from labeler.core.records import Derived
from labeler.export import tallies
from labeler.export.columns import Terms, kto_order, reward_table, table_of
from labeler.export.digest import RowsDigest
from labeler.export.manifest import ShardFile
from labeler.export.row_groups import batches, row_groups, write_row_groups
from labeler.export.schemas import TRAINER_CONFIGS
from labeler.export.views import view_schema, viewed
from labeler.study import View

WRITER_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    "use_content_defined_chunking": True,  # a changed row then changes a few chunks of the file, not all after it
    "write_page_index": True,
}
DIGEST_CHARS = 12
DRAFT = ".draft-"
WAITING_BYTES = 48 * 1024 * 1024

RowsKey = tuple[str, str]
"""Config and split."""


@dataclass(slots=True)
class ShardRows:
    """What the conversations of one shard yield, by config and split; ``dpo`` stands for ``reward`` as well."""

    rows: dict[RowsKey, list[Any]] = field(default_factory=dict)
    ledger: list[Any] = field(default_factory=list)
    redacted: Counter[str] = field(default_factory=Counter)

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
        self.redacted.update(derived.redacted)


class Encoder:
    """One thread that encodes and writes tables while the next ones are being built.

    Building a table needs the interpreter, encoding one does not, so the two run side by side. What does need it, the
    digest of the rows for one, stays with the builder: a thread that asks for the interpreter often waits for it each
    time. Only so many bytes may wait, and what is written does not depend on when.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._waiting: deque[tuple[Future[None], int]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, file: _File, table: pa.Table) -> None:
        """Encode a table behind the others of its file, as row groups; waits while too much is waiting."""
        sizes = row_groups(table)
        shown = file.take(table)
        self._waiting.append((self._pool.submit(file.encode, shown, sizes), shown.nbytes))
        while len(self._waiting) > 1 and sum(size for _, size in self._waiting) > WAITING_BYTES:
            self._waiting.popleft()[0].result()

    def finish(self, file: _File, folder: Path) -> Future[ShardFile]:
        """Write the file behind its last table."""
        return self._pool.submit(file.write, folder)


class _File:
    """A parquet file in the making: in memory, and on disk once it is whole."""

    def __init__(self, config: str, split: str, ordinal: int, view: View) -> None:
        self._key, self._view = (config, split, ordinal), view
        self._sink = pa.BufferOutputStream()
        self._digest = RowsDigest(view_schema(config, view))
        self._rows = 0
        self._failure: Exception | None = None
        self._writer = pq.ParquetWriter(self._sink, view_schema(config, view), **WRITER_OPTIONS)

    def take(self, table: pa.Table) -> pa.Table:
        """Count the rows of one more table, given in the canonical form. Returns it in the form to encode."""
        table = viewed(self._key[0], table, self._view)
        self._digest.update(table)
        self._rows += table.num_rows
        return table

    def encode(self, table: pa.Table, sizes: Sequence[int]) -> None:
        """Append it to the file, in row groups of so many rows."""
        try:
            write_row_groups(self._writer, table, sizes)
        except Exception as error:
            self._failure = error
            raise

    def write(self, folder: Path) -> ShardFile:
        """Put it below ``folder``, under the name that its rows give it; not if one of its row groups failed."""
        if self._failure is not None:
            raise self._failure
        self._writer.close()
        content, rows_digest = self._sink.getvalue(), self._digest.hexdigest()
        config, split, ordinal = self._key
        path = f"{config}/{split}-{ordinal:05d}-{rows_digest[:DIGEST_CHARS]}.parquet"
        write_durably(folder / path, content)
        sha256 = hashlib.sha256(content).hexdigest()
        return ShardFile(path, config, split, ordinal, self._rows, len(content), sha256, rows_digest)


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard as it stands in a package."""

    ordinal: int
    files: tuple[ShardFile, ...]
    tally: tallies.Tally


@dataclass(frozen=True, slots=True)
class ShardOnItsWay:
    """A shard whose last files are still being encoded."""

    ordinal: int
    files: tuple[Future[ShardFile], ...]
    tally: tallies.Tally

    def arrived(self) -> Shard:
        """Wait for its files."""
        files = sorted((file.result() for file in self.files), key=lambda file: file.path)
        return Shard(self.ordinal, tuple(files), self.tally)


def write_shard(folder: Path, ordinal: int, shard: ShardRows, terms: Terms, encoder: Encoder) -> ShardOnItsWay:
    """Write the files of one shard below ``folder``; a config and split without rows has no file."""
    _learn_names(shard, terms)
    files: list[Future[ShardFile]] = []
    tally = tallies.of_ledger(shard.ledger) + tallies.of_redacted(shard.redacted)
    for (config, split), found in shard.rows.items():
        rows = kto_order(found, terms.names) if config == "kto" else found
        for written, file in _encode(config, (split, ordinal), rows, terms, encoder).items():
            files.append(encoder.finish(file, folder))
            tally[f"rows/{written}/{split}"] = len(rows)
            if written in TRAINER_CONFIGS:
                tally.update(tallies.of_records(written, split, rows, terms.names.annotators))
        tally.update(_extra(config, split, rows))
    return ShardOnItsWay(ordinal, tuple(files), tally)


def _encode(
    config: str, place: tuple[str, int], rows: Sequence[Any], terms: Terms, encoder: Encoder
) -> dict[str, _File]:
    """Have the rows encoded, batch by batch; those of ``dpo`` become ``reward`` as well."""
    files = {
        written: _File(written, *place, terms.view) for written in (("dpo", "reward") if config == "dpo" else (config,))
    }
    for batch in batches(config, rows):
        table = table_of(config, batch, terms)
        encoder.add(files[config], table)
        if config == "dpo":
            encoder.add(files["reward"], reward_table(table, batch, terms))
    return files


def _learn_names(shard: ShardRows, terms: Terms) -> None:
    """Name all conversations and messages of the shard at once, before anything asks for one of them."""
    messages = shard.rows.get(("messages", "train"), [])
    terms.names.conversations.learn(row.conversation_id for row in messages)
    terms.names.messages.learn(row.message_id for row in messages)


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
        case "comparisons":
            return tallies.of_comparisons(rows)
        case "messages":
            return tallies.of_messages(rows)
        case _:
            return tallies.Tally()


def write_durably(path: Path, content: bytes | pa.Buffer) -> None:
    """Write a new file and have it on disk: after a power cut a package has every byte that its manifest names.

    It appears whole: a worker that was taken for lost may still be writing when another has written the same file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
