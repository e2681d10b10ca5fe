"""Whether a package still names somebody or something that it must not name any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from labeler.export.manifest import Manifest
from labeler.export.schemas import CONFIGS

Kind = str
_COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "conversation": ("conversation_id",),
    "annotator": ("annotator_id", "annotator_ids"),
    "event": ("event_id", "event_ids"),
}


def traces(package: Path, manifest: Manifest, pseudonyms: Mapping[Kind, Set[str]]) -> Iterator[str]:
    """One line for each file with rows that hold one of the pseudonyms, given by kind: ``conversation``, ``annotator``,
    ``event``. Only the columns of ids are read."""
    for file in manifest.files:
        named = {column.name for column in CONFIGS.get(file.config, ())}
        for kind, names in pseudonyms.items():
            columns = [column for column in _COLUMNS[kind] if column in named]
            if names and columns and (found := _count(package / file.path, columns, names)):
                yield f"{file.path}: {found:,} values still name what was erased"


def _count(path: Path, columns: list[str], names: Set[str]) -> int:
    wanted, found = pa.array(sorted(names), pa.string()), 0
    for column in pq.read_table(path, columns=columns).columns:
        flat = column.combine_chunks()
        if pa.types.is_list(flat.type):
            flat = flat.flatten()
        found += pc.sum(pc.is_in(flat, value_set=wanted)).as_py() or 0
    return found
