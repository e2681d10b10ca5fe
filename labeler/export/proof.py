"""Proof of a package: its files are those of its manifest, its rows keep the laws, and ``datasets`` can load it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import IterableDataset, load_dataset

from labeler.errors import PackageError
from labeler.export.digest import RowsDigest
from labeler.export.laws import Laws
from labeler.export.manifest import SHARD_PATH, Manifest, ShardFile
from labeler.export.package import read_manifest
from labeler.export.schemas import CONFIGS
from labeler.export.views import known_view, view_schema

PROBLEMS_KEPT = 100
_CHUNK = 1 << 20
_LOADED_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Proof:
    """What a package holds and what is wrong with it, at most a hundred problems, one line each."""

    manifest: Manifest
    problems: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.manifest.files)


def verify_package(package: Path, *, report: Callable[[int], None] = lambda rows: None) -> Proof:
    """Read every file again. ``report`` is told how many rows each one held.

    Raises:
        PackageError: there is no package, or its manifest cannot be used.
    """
    manifest = read_manifest(package)
    if manifest is None:
        raise PackageError(f"{package}: holds no package; run labeler export first")
    problems = islice(_problems(package, manifest, report), PROBLEMS_KEPT)
    return Proof(manifest, tuple(problems))


def _problems(package: Path, manifest: Manifest, report: Callable[[int], None]) -> Iterator[str]:
    whole, laws = True, Laws(manifest.view)
    for file in manifest.files:
        damage = damage_of(package / file.path, file)
        if damage:
            whole = False
            yield f"{file.path}: {damage}"
        else:
            yield from row_problems(package / file.path, file, laws)
        report(file.rows)
    named = {file.path for file in manifest.files}
    for path in sorted(package.glob("*/*.parquet")):
        name = path.relative_to(package).as_posix()
        if name not in named and (path.parent.name in CONFIGS or SHARD_PATH.fullmatch(name)):
            yield f"{name}: the manifest does not name it, but readers would load it"
    if whole:
        yield from loading_problems(package, manifest)


def damage_of(path: Path, file: ShardFile) -> str | None:
    """Whether the bytes are those that the manifest states."""
    try:
        with path.open("rb") as content:
            digest, size = hashlib.sha256(), 0
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if size != file.bytes:
        return f"has {size:,} bytes, the manifest says {file.bytes:,}"
    return None if digest.hexdigest() == file.sha256 else "has other content than the manifest says"


def row_problems(path: Path, file: ShardFile, laws: Laws) -> Iterator[str]:
    """Whether the rows are those that the manifest states, under the schema of their config, and keep the laws."""
    if file.config not in CONFIGS:
        yield f"{file.path}: no config of this labeler is called '{file.config}'"
        return
    with pq.ParquetFile(path) as parquet:
        found, wanted = parquet.schema_arrow, view_schema(file.config, laws.view)
        if not (found.equals(wanted) and found.metadata == wanted.metadata):
            yield f"{file.path}: its columns are not those of {file.config}"
            return
        digest, rows = RowsDigest(parquet.schema_arrow), 0
        for number in range(parquet.num_row_groups):
            table: pa.Table = parquet.read_row_group(number)
            digest.update(table)
            rows += table.num_rows
            yield from laws.broken_by(file, table)
    if (rows, digest.hexdigest()) != (file.rows, file.rows_digest):
        yield f"{file.path}: its rows are not those that the manifest states"


def loading_problems(package: Path, manifest: Manifest) -> Iterator[str]:
    """Whether ``load_dataset`` finds every config and split through the card, with the columns of its schema."""
    for config, splits in manifest.totals.items():
        try:
            with _silent_loading():
                loaded = load_dataset(str(package), config, streaming=True)
                found = {split: _columns(rows) for split, rows in loaded.items()}
        except Exception as error:  # noqa: BLE001 - a loader may fail in any way, and each is a finding
            yield f"{config}: load_dataset fails: {str(error).partition(chr(10))[0]}"
            continue
        if set(found) != set(splits):
            yield f"{config}: load_dataset finds the splits {sorted(found)}, the manifest has {sorted(splits)}"
        if any(columns != view_schema(config, known_view(manifest.view)).names for columns in found.values()):
            yield f"{config}: load_dataset gives other columns than the schema has"


def _columns(rows: IterableDataset) -> list[str]:
    """The columns of a split, of which one file is read to its end: what reads ahead in it is over then. Were it not,
    it could want the interpreter back at the end of the process, and abort it."""
    one_file = rows.shard(num_shards=rows.num_shards, index=0).with_format("arrow")
    tables = [table.column_names for table in one_file.iter(batch_size=_LOADED_ROWS)]
    return list(tables[0])


@contextmanager
def _silent_loading() -> Iterator[None]:
    """What fails is raised, too; nobody needs it in the log of the library as well."""
    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
