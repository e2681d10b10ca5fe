"""Simulated logs: how fast they are made and stored, and how fast and in how much memory `labeler stats` reads them.

No floor hangs on these; they say how long a demonstration of a given size takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from labeler.simulate import simulate
from labeler.stats import statistics
from labeler.store import Store
from labeler.study import load_study

STUDY = load_study(Path(__file__).parents[2] / "configs" / "local.yaml")
MESSAGES_A_CONVERSATION = 5.6


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench logs", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    conversations = round(chosen.messages / MESSAGES_A_CONVERSATION)
    if chosen.child:
        what, url = chosen.child
        print(json.dumps({"simulate": _made, "store": _stored, "stats": _read}[what](url, conversations)))
        return 0
    with TemporaryDirectory() as folder:
        for what in ("simulate", "store", "stats"):
            figures = _measured(what, f"sqlite:///{folder}/log.db", chosen.messages)
            events, seconds, peak = figures["events"], figures["seconds"], figures["peak_mb"]
            rates = f"{events / seconds:,.0f} events or {chosen.messages / seconds:,.0f} messages a second"
            print(f"{what}: {events:,.0f} events in {seconds:.1f} s, {rates}, peak {peak:.0f} MB")
    return 0


def _measured(what: str, url: str, messages: int) -> dict[str, float]:
    """One of the three in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-m", "scripts.benchmarks.logs", "--messages", str(messages), "--child", what, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _made(url: str, conversations: int) -> dict[str, float]:
    begin = time.perf_counter()
    events = sum(len(gesture) for gesture in simulate(conversations, study=STUDY))
    return _figures(events, begin)


def _stored(url: str, conversations: int) -> dict[str, float]:
    begin = time.perf_counter()
    with Store.open(url) as store:
        store.extend(simulate(conversations, study=STUDY))
        return _figures(store.position(), begin)


def _read(url: str, conversations: int) -> dict[str, float]:
    begin = time.perf_counter()
    with Store.open(url) as store:
        return _figures(statistics(store, STUDY)["position"], begin)


def _figures(events: int, begin: float) -> dict[str, float]:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return {"events": events, "seconds": time.perf_counter() - begin, "peak_mb": peak}


if __name__ == "__main__":
    sys.exit(main())
