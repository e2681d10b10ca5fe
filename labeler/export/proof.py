"""A package that can prove itself: every file is read again and compared with the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from labeler.errors import PackageError
from labeler.export.manifest import SHARD_PATH, Manifest, ShardFile
from labeler.export.package import CARD_PATH, read_manifest
from labeler.export.schemas import schema
from labeler.export.shards import read_rows_digest

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PackageReport:
    """What a package says it holds, and what is wrong with it: one line a problem."""

    manifest: Manifest
    problems: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.manifest.files)

    @property
    def ok(self) -> bool:
        return not self.problems


def verify_package(package: Path, *, report: Callable[[int], None] = lambda done: None) -> PackageReport:
    """Prove that a package's files are those of its manifest: bytes, rows, digests and columns, and none beside them.

    ``report`` is told of every file.

    Raises:
        PackageError: there is no package, or its manifest cannot be used.
    """
    manifest = read_manifest(package)
    if manifest is None:
        raise PackageError(f"{package}: there is no package here; labeler export makes one")
    return PackageReport(manifest, tuple(_problems(package, manifest, report)))


def _problems(package: Path, manifest: Manifest, report: Callable[[int], None]) -> Iterator[str]:
    for file in manifest.files:
        yield from (f"{file.path}: {problem}" for problem in _file_problems(package / file.path, file))
        report(1)
    named = {file.path for file in manifest.files}
    for path in sorted(package.rglob("*.parquet")):
        name = path.relative_to(package).as_posix()
        if SHARD_PATH.fullmatch(name) and name not in named:
            yield f"{name}: the manifest does not name it, and a loader would read its rows"
    if not (package / CARD_PATH).is_file():
        yield f"{CARD_PATH}: it is missing"


def _file_problems(path: Path, file: ShardFile) -> Iterator[str]:
    try:
        if (size := path.stat().st_size) != file.bytes:
            yield f"it has {size:,} bytes, the manifest says {file.bytes:,}"
        if _sha256(path) != file.sha256:
            yield "its sha256 is not the manifest's"
        yield from _row_problems(path, file)
    except FileNotFoundError:
        yield "it is missing"
    except (OSError, pa.ArrowException) as error:
        yield f"it cannot be read as parquet ({str(error).partition(chr(10))[0]})"


def _row_problems(path: Path, file: ShardFile) -> Iterator[str]:
    with pq.ParquetFile(path) as parquet:
        columns, rows = parquet.schema_arrow, parquet.metadata.num_rows
    if not columns.equals(schema(file.config)):
        yield f"its columns are not those of '{file.config}'"
        return
    if rows != file.rows:
        yield f"it has {rows:,} rows, the manifest says {file.rows:,}"
    if read_rows_digest(path) != file.rows_digest:
        yield "its rows digest is not the manifest's"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
