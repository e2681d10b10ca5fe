"""Taking in other people's data sets to be reviewed: JSON Lines, parquet, or a data set on the Hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from labeler.core.events import NewEvent
from labeler.core.imports import Misfit, events_of, imported
from labeler.errors import LabelerError
from labeler.store import Store
from labeler.study import Study

EXAMPLES = 20

Rows = Iterator[tuple[str, Mapping[str, Any]]]
"""Each row with its place, in words."""


@dataclass(slots=True)
class RowsResult:
    """What became of a source's rows. ``known`` were there before; ``examples`` are the first refusals and places."""

    source: str
    known: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def refuse(self, place: str, reason: str) -> None:
        self.tell(self.refused, place, reason)

    def tell(self, counts: Counter[str], place: str, reason: str) -> None:
        """Count a row that came to nothing, and keep it as an example."""
        counts[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{place}: {reason}")


@dataclass(slots=True)
class ImportResult(RowsResult):
    """The same of rows that are taken in."""

    taken: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: a file, or a data set on the Hub. ``name`` names it in the log."""

    place: str
    name: str
    config: str | None = None
    split: str = "train"


def import_rows(
    store: Store, study: Study, source: Source, *, at: str, gold: bool = False, report: Callable[[int], None]
) -> ImportResult:
    """Append the rows as conversations to be reviewed; what was taken in before is passed over.

    ``gold``: all of them are gold. ``report`` is told of every row that was read.

    Raises:
        LabelerError: the source cannot be read.
        StoreError: the log cannot be written; what was taken in before it failed stays, and the same call goes on.
    """
    result = ImportResult(source.name)
    seen: set[str] = set()

    def gestures() -> Iterator[list[NewEvent]]:
        for place, row in rows_of(source):
            report(1)
            try:
                read = imported({**row, "gold": True} if gold else row)
            except Misfit as error:
                result.refuse(place, str(error))
                continue
            events = events_of(read, source=source.name, study=study.name, at=at)
            first = events[0].event_id
            if first in seen or store.find(first) is not None:
                result.known += 1
                continue
            seen.add(first)
            result.taken += 1
            yield events

    store.extend(gestures())
    return result


def rows_of(source: Source) -> Rows:
    """The rows of a source, one by one. Raises LabelerError."""
    path = Path(source.place)
    if path.is_file():
        readers = {".parquet": _parquet, ".txt": _lines}
        return readers.get(path.suffix, _json_lines)(path)
    if path.exists() or source.place.count("/") != 1 or source.place.startswith((".", "/")):
        raise LabelerError(f"{source.place}: no such file; name a .jsonl or .parquet file, or OWNER/NAME on the Hub")
    return _hub(source)


def _lines(path: Path) -> Rows:
    """A prompt a line."""
    with path.open(encoding="utf-8", errors="strict") as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"line {number}", {"prompt": line.strip()}
        except UnicodeDecodeError as error:
            raise LabelerError(f"{path}: this is not UTF-8 text; write one prompt a line") from error


def _json_lines(path: Path) -> Rows:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise LabelerError(f"{path}, line {number}: this is not JSON; write one object a line") from error
            if not isinstance(row, dict):
                raise LabelerError(f"{path}, line {number}: this is no JSON object; write one object a line")
            yield f"line {number}", row


def _parquet(path: Path) -> Rows:
    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=500):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (pa.ArrowInvalid, OSError) as error:
        raise LabelerError(f"{path}: this is not a parquet file that can be read; check it") from error


def _hub(source: Source) -> Rows:
    try:
        rows = datasets.load_dataset(source.place, source.config, split=source.split, streaming=True)
        for number, row in enumerate(rows, 1):
            yield f"row {number}", row
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise LabelerError(f"{source.place}: cannot be read from the Hub ({reason})") from error
