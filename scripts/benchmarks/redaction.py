"""What redaction adds to an export: the first one scans every text, later ones find the spans in the log's database.

Beside it, in the same run, the same export without redaction. Every run is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from labeler.study import load_study
from scripts.benchmarks.export import STUDY, grow, run_export

PLAIN, SCANNING = "without", "with"


def seconds_of(folder: Path, way: str) -> float:
    """A whole export, in seconds without imports."""
    command = [sys.executable, "-m", "scripts.benchmarks.redaction", "--child", way, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["seconds"])


def child(way: str, folder: Path) -> None:
    plain = load_study(STUDY)
    study = plain.model_copy(update={"redaction": {"policy": "replace"}}) if way == SCANNING else plain
    study = type(study).model_validate(study.model_dump())
    with TemporaryDirectory(dir=folder) as scratch:
        begin = time.perf_counter()
        run_export(folder, Path(scratch) / "package", study)
        print(json.dumps({"seconds": time.perf_counter() - begin}))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench redaction", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.child:
        child(chosen.child[0], Path(chosen.child[1]))
        return 0
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        grow(folder, chosen.messages)
        plain, first, later = (seconds_of(folder, way) for way in (PLAIN, SCANNING, SCANNING))
    print(f"export without redaction: {plain:.1f} s")
    each = (first - plain) * 1000 / chosen.messages
    print(f"first export with it: {first:.1f} s, {first / plain:.1f} times; {each:.2f} ms a text")
    print(f"later exports with it: {later:.1f} s, {later / plain:.2f} times")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
