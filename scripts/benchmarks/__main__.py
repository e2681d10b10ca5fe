"""One entry to all measurements: names the machine, then runs each in a process of its own.

Every figure is a ratio to something bare that is measured in the same run, so that it means the same on every machine;
the exit code is 1 when a floor is not held.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks.machine import described

FOLDER = Path(__file__).parent
NOT_MEASUREMENTS = {"__main__", "machine"}


def measurements() -> list[str]:
    """What can be measured: the modules beside this one."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NOT_MEASUREMENTS)


def chosen(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The measurements that are named, all if none is, and the options that go to each of them."""
    first = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return list(arguments[:first]) or measurements(), list(arguments[first:])


def main(arguments: Sequence[str]) -> int:
    names, options = chosen(arguments)
    if unknown := sorted(set(names) - set(measurements())):
        print(f"bench: there is no '{unknown[0]}'; there are {', '.join(measurements())}", file=sys.stderr)
        return 2
    print(described(), flush=True)
    missed = []
    for name in names:
        print(f"\n## {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"scripts.benchmarks.{name}", *options], check=False).returncode:
            missed.append(name)
    if missed:
        print(f"\nbench: not held or not measured: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `scripts/bench --help | head` ends as `cat | head` does
    sys.exit(main(sys.argv[1:]))
