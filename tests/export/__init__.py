"""What the tests of exports share: stores with told logs, studies, and rows read back from parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labeler.core.bodies import body_json
from labeler.core.events import Event
from labeler.core.records import MessageRow
from labeler.export.exporter import ExportResult, export
from labeler.export.manifest import MANIFEST_PATH, Manifest
from labeler.simulate import simulate
from labeler.store import Store
from labeler.store.transfer import line_of
from labeler.study import Study, parse_study
from tests.stories import Story, told

KEY = b"a key of the tests, 32 bytes long"


def study_of(**keys: Any) -> Study:
    """A study with three conversations a shard and half of the openers in the test split."""
    dataset = {"conversations_per_shard": 3, "test_percent": 50, "license": "cc-by-4.0", **keys.pop("dataset", {})}
    tree = {"name": "stories", "models": [{"name": "small", "kind": "local"}], "dataset": dataset, **keys}
    return parse_study(tree)


def open_store(folder: Path, name: str = "log") -> Store:
    return Store.open(f"sqlite:///{folder / name}.db")


def tell(store: Store, *streams: Sequence[Event] | Any) -> Store:
    """Append streams of events, gesture after gesture, as they were told."""
    for stream in streams:
        store.append(stream.events if hasattr(stream, "events") else stream)
    return store


def dumped(events: Iterable[Event], path: Path) -> Path:
    """A dump of a log that holds these events."""
    with path.open("wb") as out:
        for event in events:
            body, payload = body_json(event.payload), event.payload
            ids = (event.event_id, event.conversation_id, event.seq)
            out.write(line_of((event.position, *ids, payload.kind, event.at, event.annotator_id, body)))
    return path


def simulated(store: Store, conversations: int, study: Study, seed: int = 1) -> Store:
    store.extend(simulate(conversations, study=study, seed=seed))
    return store


def judged(number: int, annotator_id: str = "ann") -> Story:
    """A conversation with something for every config."""
    story = told(annotator_id, f"c{number}", system_prompt="Be kind.", language="en")
    story.asks(f"Question {number}?").answers(f"First answer {number}.").dislikes().explains("Wrong", comment="no")
    story.retries(f"Second answer {number}, which is longer.").better().likes()
    return story.asks("And then?").answers(f"Then {number}.").edits(f"What really happens then is number {number}.")


def message(text: str, number: int = 0) -> MessageRow:
    return MessageRow("c", f"m{number}", None, "user", text, "user", "complete", "2026-11-22", None)


def exported(store: Store, study: Study, out: Path, key: bytes = KEY) -> ExportResult:
    return export(store, study, out, key=key)


def manifest_of(package: Path) -> Manifest:
    return Manifest.from_json((package / MANIFEST_PATH).read_text(encoding="utf-8"))


def files_of(package: Path) -> dict[str, bytes]:
    """Every file of a package, by its path."""
    return {
        path.relative_to(package).as_posix(): path.read_bytes() for path in sorted(package.rglob("*")) if path.is_file()
    }


def table_of(package: Path, config: str, split: str | None = None) -> pa.Table:
    """All rows of a config as they stand in the files."""
    paths = sorted((package / config).glob(f"{split or '*'}-*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths])


def rows_of(package: Path, config: str, split: str | None = None) -> list[dict[str, Any]]:
    if not list((package / config).glob(f"{split or '*'}-*.parquet")):
        return []
    rows: list[dict[str, Any]] = table_of(package, config, split).to_pylist()
    return rows


def every_row(package: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(config, split, row) over the whole package."""
    for file in manifest_of(package).files:
        for row in pq.read_table(package / file.path).to_pylist():
            yield file.config, file.split, row
