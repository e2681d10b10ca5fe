"""What has changed between two states of a package: rows that joined, left or became others, by the rule behind them.

Shards whose rows digests agree hold the same rows and are not read. In the others rows are matched by their id,
wherever they lie: a row that only moved to another shard has not changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from labeler.errors import PackageError
from labeler.export.copies import Copy
from labeler.export.manifest import ShardFile
from labeler.export.schemas import CONFIGS, key_column

Change = Literal["added", "removed", "changed"]
Report = Callable[[int, int], None]
"""Told how many files have been read, of how many."""

Row = dict[str, Any]

_BATCH_ROWS = 2_000
_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row that joined, left or became another. ``columns``: which ones differ, if it became another."""

    change: Change
    config: str
    split: str
    id: str
    source: str
    columns: tuple[str, ...] = ()


@dataclass(slots=True)
class ConfigChanges:
    """The rows of one config, counted by the rule that made them (``source``; empty where no rule makes rows).

    ``columns``: how many rows became others in each column. A changed row counts under its new rule.
    """

    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    same: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def sources(self) -> list[str]:
        return sorted(self.added.keys() | self.removed.keys() | self.changed.keys())

    def by_kind(self) -> list[tuple[Change, Counter[str]]]:
        return [("added", self.added), ("removed", self.removed), ("changed", self.changed)]

    def as_text(self) -> str:
        """One line: ``3 added, 1 removed, 2 changed (weight 2), 120 the same``."""
        parts = [f"{count.total():,} {kind}" for kind, count in self.by_kind() if count]
        if self.columns:
            parts[-1] += f" ({', '.join(f'{name} {rows:,}' for name, rows in self.columns.most_common())})"
        return ", ".join([*parts, f"{self.same:,} the same"])

    def as_json(self) -> dict[str, Any]:
        return {kind: dict(count) for kind, count in self.by_kind()} | {
            "columns": dict(self.columns),
            "same": self.same,
        }


@dataclass(frozen=True, slots=True)
class Differences:
    """All that turns the rows of one copy into those of another. ``rows`` are the first so many changes."""

    configs: dict[str, ConfigChanges]
    rows: tuple[RowChange, ...]

    def __bool__(self) -> bool:
        return any(self.configs.values())

    def as_json(self) -> dict[str, Any]:
        configs = {name: changes.as_json() for name, changes in self.configs.items()}
        return {"configs": configs, "rows": [asdict(row) for row in self.rows]}


def differences(old: Copy, new: Copy, *, rows_named: int = 0, report: Report = lambda done, total: None) -> Differences:
    """What turned ``old`` into ``new``.

    Raises:
        PackageError: a file is not there, or is no parquet file with the columns that rows are told by.
    """
    return _Comparison(old, new, rows_named, report).run()


@dataclass(frozen=True, slots=True)
class _Seen:
    split: str
    source: str
    digest: bytes


@dataclass(slots=True)
class _Comparison:
    old: Copy
    new: Copy
    rows_named: int
    report: Report
    total: int = 0
    done: int = 0
    named: list[RowChange] = field(default_factory=list)

    def run(self) -> Differences:
        pairs = _unlike(self.old, self.new)
        self.total = sum(len(before) + len(after) for before, after in pairs.values())
        configs = {config: self._compared(config, *files) for config, files in pairs.items()}
        return Differences(configs, tuple(self.named))

    def _compared(self, config: str, before: list[ShardFile], after: list[ShardFile]) -> ConfigChanges:
        gone = dict(self._read(self.old, before))
        changes, others = ConfigChanges(), set()
        rows_now = sum(self.new.manifest.totals.get(config, {}).values())
        changes.same = rows_now - sum(file.rows for file in after)
        for key, seen in self._read(self.new, after):
            was = gone.pop(key, None)
            if was is None:
                changes.added[seen.source] += 1
                self._name(RowChange("added", config, seen.split, key, seen.source))
            elif (was.digest, was.split) == (seen.digest, seen.split):
                changes.same += 1
            else:
                changes.changed[seen.source] += 1
                others.add(key)
        for key, seen in gone.items():
            changes.removed[seen.source] += 1
            self._name(RowChange("removed", config, seen.split, key, seen.source))
        for row in _changed_rows(config, others, (self.old, before), (self.new, after)):
            changes.columns.update(row.columns)
            self._name(row)
        return changes

    def _read(self, copy: Copy, files: list[ShardFile]) -> Iterator[tuple[str, _Seen]]:
        for file in files:
            yield from _seen(copy, file)
            self.done += 1
            self.report(self.done, self.total)

    def _name(self, row: RowChange) -> None:
        if len(self.named) < self.rows_named:
            self.named.append(row)


def _unlike(old: Copy, new: Copy) -> dict[str, tuple[list[ShardFile], list[ShardFile]]]:
    """By config, in the order of the schemas: the files of each side whose rows the other does not hold as a file."""
    held = [{(file.key, file.rows_digest) for file in copy.manifest.files} for copy in (old, new)]
    both = held[0] & held[1]
    names = {file.config for copy in (old, new) for file in copy.manifest.files}
    order = [*(name for name in CONFIGS if name in names), *sorted(names - CONFIGS.keys())]

    def files(copy: Copy, config: str) -> list[ShardFile]:
        unlike = (file for file in copy.manifest.files if (file.key, file.rows_digest) not in both)
        return [file for file in unlike if file.config == config]

    return {config: (files(old, config), files(new, config)) for config in order}


def _seen(copy: Copy, file: ShardFile) -> Iterator[tuple[str, _Seen]]:
    for key, row in _rows(copy, file):
        content = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
        yield key, _Seen(file.split, str(row.get("source", "")), digest)


def _changed_rows(
    config: str, keys: set[str], old: tuple[Copy, list[ShardFile]], new: tuple[Copy, list[ShardFile]]
) -> Iterator[RowChange]:
    """The rows that are in both and differ, with the columns they differ in. Reads the files a second time, since only
    now it is known which rows those are."""
    if not keys:
        return
    copy, files = old
    before = {key: row | {"split": file.split} for file in files for key, row in _rows(copy, file) if key in keys}
    copy, files = new
    for file in files:
        for key, row in _rows(copy, file):
            if key in keys:
                was, now = before[key], row | {"split": file.split}
                columns = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
                yield RowChange("changed", config, file.split, key, str(row.get("source", "")), tuple(columns))


def _rows(copy: Copy, file: ShardFile) -> Iterator[tuple[str, Row]]:
    with copy.opened(file) as path:
        try:
            with pq.ParquetFile(path) as parquet:
                key = key_column(parquet.schema_arrow)
                for batch in parquet.iter_batches(_BATCH_ROWS):
                    for row in batch.to_pylist():
                        yield row[key], row
        except FileNotFoundError as error:
            raise PackageError(f"{copy.name}: {file.path} is not there; export again") from error
        except (OSError, pa.ArrowException, LookupError) as error:
            why = str(error).partition("\n")[0]
            raise PackageError(f"{copy.name}: {file.path} cannot be read ({why}); export again") from error
