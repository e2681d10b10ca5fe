"""A large log, exported by two workers of a Dask cluster of which one is killed midway, held against one process alone.

``scripts/lose-a-worker --messages 5000000`` simulates the log first, unless ``--keep`` names a folder that holds one.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from labeler.export.crews import cluster, in_process
from labeler.export.exporter import ExportResult, export
from labeler.export.manifest import MANIFEST_PATH, Manifest
from labeler.store import Store
from labeler.study import load_study
from scripts.benchmarks.export import KEY, STUDY, grow, url_of
from tests.export.clusters import cluster_of

ALONE = "alone"


def in_the_cluster(folder: Path, package: Path, config: Path) -> ExportResult:
    """Two workers; when half of the shards are there, one is killed as the kernel kills when memory is out."""
    with cluster_of(2, folder / "dask") as dask, Store.open(url_of(folder)) as store:
        lost = False

        def lose(done: int, total: int) -> None:
            nonlocal lost
            if not lost and 2 * done >= total:
                lost = True
                dask.lose(0)
                say(f"  a worker was killed after {done} of {total} shards")

        result = export(store, load_study(config), package, key=KEY, crew=cluster(dask.address), report=lose)
        if not lost:
            raise AssertionError("no worker was killed: the log is too small")
        return result


def alone(folder: Path, package: Path, config: Path) -> None:
    """In this process; tells its peak memory."""
    with Store.open(url_of(folder)) as store:
        export(store, load_study(config), package, key=KEY, crew=in_process())
    say(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def differing(one: Path, other: Path) -> list[str]:
    """The files that two packages do not hold byte for byte alike, by the digests that their manifests state."""
    texts = [(package / MANIFEST_PATH).read_text(encoding="utf-8") for package in (one, other)]
    files = [{file.path: file.sha256 for file in Manifest.from_json(text).files} for text in texts]
    paths = files[0].keys() | files[1].keys()
    return sorted(path for path in paths if files[0].get(path) != files[1].get(path))


def run(folder: Path, messages: int, config: Path = STUDY) -> int:
    """Both exports of one log. Returns the exit code."""
    grow(folder, messages)
    with Store.open(url_of(folder)) as store:
        position = store.position()
        say(f"log: {store.conversation_count(position):,} conversations, {position:,} events")
    with TemporaryDirectory(dir=folder) as scratch:
        begun = time.monotonic()
        result = in_the_cluster(folder, Path(scratch) / "cluster", config)
        rows = sum(sum(splits.values()) for splits in result.rows.values())
        say(f"two workers, one of them lost: {rows:,} rows in {time.monotonic() - begun:.0f} s")
        begun = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "tests.export.losing",
            "--alone",
            str(folder),
            str(Path(scratch) / ALONE),
            str(config),
        ]
        subprocess.run(command, check=True)
        say(f"one process: {time.monotonic() - begun:.0f} s")
        apart = differing(Path(scratch) / "cluster", Path(scratch) / ALONE)
    if apart:
        say(f"NOT the same: {len(apart)} files, {apart[0]} for one")
        return 1
    say("the same bytes in every file")
    return 0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/lose-a-worker", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--keep", type=Path, help="folder for the simulated log, to be used again by a later run")
    parser.add_argument("--alone", nargs=3, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.alone:
        alone(*asked.alone)
        return 0
    with TemporaryDirectory() as scratch:
        return run((asked.keep or Path(scratch)).resolve(), asked.messages)


if __name__ == "__main__":
    raise SystemExit(main())
