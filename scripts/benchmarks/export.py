"""Export of a simulated log, beside a bare copy of the same output rows, in the same run.

The bare copy is what one would write without deriving anything: the rows lie ready in SQLite, one JSON object each, are
parsed with orjson, built into columns (``from_pylist`` or by hand, whichever is faster here) and written with the same
pyarrow options into the same files and row groups. Every run is a process of its own, so that its peak memory is its
own. A log of a tenth of the size shows whether memory grows with the log, and one more late vote what the next export
costs.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import accumulate, chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from labeler.core.events import NewEvent
from labeler.core.folding import replay
from labeler.core.gestures import vote
from labeler.export.crews import crew_of
from labeler.export.exporter import export
from labeler.export.manifest import MANIFEST_PATH, Manifest
from labeler.export.row_groups import write_row_groups
from labeler.export.schemas import MESSAGES, schema
from labeler.export.shards import WRITER_OPTIONS
from labeler.ids import event_id
from labeler.simulate import simulate
from labeler.store import Store, event_of
from labeler.study import Study, load_study

FLOOR = 0.5
MEMORY_MB = 512
INCREMENT_SHARE = 0.05
STUDY = Path(__file__).parents[2] / "configs" / "local.yaml"
KEY = b"the key of the benchmark, 32 byte"
BATCH = 2000

Build = Callable[[list[dict[str, Any]], pa.Schema], pa.Table]


# ── what is measured ──


def run_export(folder: Path, package: Path, study: Study | None = None, workers: int = 1) -> int:
    with Store.open(url_of(folder)) as store:
        result = export(store, study or _study(), package, key=KEY, crew=crew_of(workers))
    return sum(sum(splits.values()) for splits in result.rows.values())


def run_copy(folder: Path, package: Path, build: Build) -> int:
    """Write every file of the reference package from its rows in SQLite."""
    total = 0
    with closing(sqlite3.connect(folder / "rows.db")) as connection:
        files = connection.execute("SELECT number, path, config, row_groups FROM files ORDER BY number").fetchall()
        for number, path, config, row_groups in files:
            shape, sizes = schema(config), json.loads(row_groups)
            (package / path).parent.mkdir(parents=True, exist_ok=True)
            cursor = connection.execute("SELECT body FROM rows WHERE file = ? ORDER BY rowid", (number,))
            with pq.ParquetWriter(package / path, shape, **WRITER_OPTIONS) as writer:
                parsed = [orjson.loads(body) for (body,) in cursor]
                write_row_groups(writer, build(parsed, shape), sizes)
            total += len(parsed)
    return total


def by_pylist(rows: list[dict[str, Any]], shape: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=shape)


def by_hand(rows: list[dict[str, Any]], shape: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays(
        [_column([row[field.name] for row in rows], field.type) for field in shape], schema=shape
    )


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    offsets = pa.array(list(accumulate(map(len, values), initial=0)), pa.int32())
    flat = list(chain.from_iterable(values))
    if kind != MESSAGES:
        return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.string()), type=kind)
    parts = [pa.array([each[name] for each in flat], pa.string()) for name in ("role", "content")]
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(parts, fields=list(kind.value_type)), type=kind)


WORKERS = {"export": 1, "two workers": 2}
WAYS = {"one process": "export", "two processes": "two workers"}
BUILDS: dict[str, Build] = {"from_pylist": by_pylist, "by hand": by_hand}


def run_again(folder: Path, package: Path) -> int:
    """One more vote, and the package brought up to date; only the second is measured."""
    with Store.open(url_of(folder)) as store:
        _vote_once(store)
        begin = time.perf_counter()
        result = export(store, _study(), package, key=KEY)
        print(json.dumps({"again": time.perf_counter() - begin, "written": result.shards_written}))
    return 0


def _vote_once(store: Store) -> None:
    """Cast a vote, or turn one round, in the first conversation behind the middle of the log that has an answer."""
    position = store.position()
    middle = store.conversation_count(position) // 2
    for conversation_id, rows in store.shard_rows(middle, middle + 100, position):
        conversation = replay(conversation_id, [event_of(conversation_id, row) for row in rows])
        answer = next((one for one in conversation.messages.values() if one.role == "assistant" and one.complete), None)
        if answer is not None:
            break
    assert answer is not None, "a hundred conversations without an answer"
    annotator = conversation.annotator_id
    value = -1 if conversation.vote_of(annotator, answer.id) == 1 else 1
    (payload,) = vote(conversation, annotator, answer.id, value)
    late = NewEvent(
        event_id=event_id(annotator, f"bench:{position}", 0),
        conversation_id=conversation.id,
        seq=conversation.seq + 1,
        at=conversation.changed_at,
        annotator_id=annotator,
        payload=payload,
    )
    store.append([late])


# ── what is prepared ──


def prepare(folder: Path, messages: int) -> None:
    """A log with at least that many messages, and the rows that its export yields as JSON in SQLite."""
    grow(folder, messages)
    if not (folder / "rows.db").exists():
        run_export(folder, folder / "reference")
        _lay_rows(folder)


def grow(folder: Path, messages: int) -> None:
    """A log with at least that many messages."""
    folder.mkdir(parents=True, exist_ok=True)
    with Store.open(url_of(folder)) as store:
        begun, per_conversation = store.conversation_count(store.position()), 5.5
        while (found := _messages(folder)) < messages:
            more = max(100, int((messages - found) / per_conversation))
            store.extend(simulate(range(begun, begun + more), study=_study(), seed=1))
            begun += more
            _say(f"simulated {begun:,} conversations")


def _messages(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "log.db")) as connection:
        kinds = "('message_sent', 'reply_started', 'answer_edited')"
        return int(connection.execute(f"SELECT count(*) FROM events WHERE kind IN {kinds}").fetchone()[0])


def _lay_rows(folder: Path) -> None:
    package = folder / "reference"
    manifest = Manifest.from_json((package / MANIFEST_PATH).read_text(encoding="utf-8"))
    draft = folder / "rows.part"
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft)) as connection, connection:
        connection.execute("CREATE TABLE files (number INTEGER PRIMARY KEY, path, config, row_groups)")
        connection.execute("CREATE TABLE rows (file INTEGER, body TEXT)")
        ordered = sorted(manifest.files, key=lambda file: (file.shard, file.path))
        for number, file in enumerate(ordered):
            sizes = json.dumps(_row_groups(package / file.path))
            connection.execute("INSERT INTO files VALUES (?, ?, ?, ?)", (number, file.path, file.config, sizes))
            connection.executemany("INSERT INTO rows VALUES (?, ?)", _bodies(number, package / file.path))
        connection.execute("CREATE INDEX by_file ON rows (file)")
    draft.rename(folder / "rows.db")


def _row_groups(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def _bodies(number: int, path: Path) -> Iterator[tuple[int, str]]:
    for batch in pq.ParquetFile(path).iter_batches(BATCH):
        for row in batch.to_pylist():
            yield number, orjson.dumps(row).decode()


def _study() -> Study:
    return load_study(STUDY)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'log.db'}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# ── how it is measured ──


def measured(folder: Path, what: str, package: Path | None = None) -> dict[str, float]:
    """Run one of the above in a process of its own: its rows, seconds (without imports) and peak memory."""
    with TemporaryDirectory(dir=folder) as scratch:
        out = package or Path(scratch) / "package"
        command = [sys.executable, "-m", "scripts.benchmarks.export", "--child", what, str(folder), str(out)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = {}
    for line in done.stdout.splitlines():
        figures |= json.loads(line)
    return figures


def child(what: str, folder: Path, package: Path) -> None:
    begin, begin_cpu = time.perf_counter(), time.process_time()
    if what in WORKERS:
        rows = run_export(folder, package, workers=WORKERS[what])
    elif what == "again":
        rows = run_again(folder, package)
    else:
        rows = run_copy(folder, package, BUILDS[what])
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """The peak memory of this process; ``ru_maxrss`` would count the parent's as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def compare(folder: Path, pairs: int) -> tuple[list[float], list[dict[str, float]]]:
    """Alternate export and bare copy, one process and two; print every pair, and return ratios and runs of one."""
    fastest = min(BUILDS, key=lambda name: measured(folder, name)["seconds"])
    print(f"bare copy: {fastest} is the faster way here")
    ratios, exports = [], []
    for number in range(pairs):
        runs = {name: measured(folder, what) for name, what in WAYS.items()} | {"bare": measured(folder, fastest)}
        rates = {name: run["rows"] / run["seconds"] for name, run in runs.items()}
        ratios.append({name: rate / rates["bare"] for name, rate in rates.items()})
        exports.append(runs["one process"])
        told = [f"{name} {rates[name]:,.0f} rows/s in {_told(run)}" for name, run in runs.items()]
        print(f"pair {number + 1}: {'; '.join(told)}", flush=True)
    for name in WAYS:
        floor = f" (floor {FLOOR})" if name == "one process" else ""
        print(f"export / bare copy, {name}: {median(one[name] for one in ratios):.2f}{floor}")
    return [one["one process"] for one in ratios], exports


def _told(run: dict[str, float]) -> str:
    return f"{run['seconds']:.1f} s ({run['cpu']:.1f} CPU, {run['peak_mb']:.0f} MB)"


def run(folder: Path, messages: int, pairs: int) -> bool:
    """Measure all of it; print what the floors are held against, and return whether they hold."""
    small = folder / "tenth"
    prepare(folder, messages)
    grow(small, messages // 10)
    print(f"log: {_messages(folder):,} messages")
    ratios, exports = compare(folder, pairs)
    full = median(run["seconds"] for run in exports)
    peak, less = max(run["peak_mb"] for run in exports), measured(small, "export")["peak_mb"]
    again = measured(folder, "again", folder / "reference")
    share = again["again"] / full
    print(f"peak memory: {peak:.0f} MB, {less:.0f} MB for a tenth of the log (at most {MEMORY_MB})")
    print(f"again after one vote: {again['again']:.2f} s, {share:.1%} of {full:.1f} s (at most {INCREMENT_SHARE:.0%})")
    return median(ratios) >= FLOOR and peak <= MEMORY_MB and share <= INCREMENT_SHARE


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench export", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder for the simulated log, to be used again by a later run")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.child:
        what, folder, package = chosen.child
        child(what, Path(folder), Path(package))
        return 0
    with TemporaryDirectory() as scratch:
        folder = (chosen.keep or Path(scratch)).resolve()
        return 0 if run(folder, chosen.messages, chosen.pairs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
