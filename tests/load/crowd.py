"""A crowd at work: browser-like annotators on two replicas behind nginx, one PostgreSQL, and a model that is scripted.

    scripts/load --annotators 500 --seconds 300

Each annotator makes a gesture every 10 s and a turn of the conversation every 60 s. A hundredth of all calls goes to a
bare handler in the same processes, which does one durable append and no more. Told in the end: whether every gesture
that was acknowledged is in the log exactly once (``labeler verify``, and the annotators' own record); how long a vote
took beside a bare append; whether memory stayed flat. Everything is on loopback, bounded, and ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import fmean

from labeler.store import Store
from scripts.benchmarks.machine import described
from tests.load.annotator import Annotator, Pace, Tally
from tests.load.record import Record, Verdict, judge, read
from tests.load.servers import ROOT, Servers, cpu_of, rss_of
from tests.load.wire import Lost

BARE_SHARE = 0.01
SLOWEST_RATIO = 1.5
MOST_GROWTH = 1.10
WARM_SHARE = 0.2
LOOK_SECONDS = 1.0
GOODBYE_SECONDS = 0.2  # until the loop has let go of what was closed
DRAIN_SECONDS = 90.0
VERIFY_SECONDS = 300.0


@dataclass(eq=False)
class Crowd:
    """So many annotators who arrive one after the other in the first ``ramp`` seconds."""

    port: int
    record: Record
    number: int
    pace: Pace
    seed: int = 0
    ramp: float = 5.0
    tally: Tally = field(default_factory=Tally)
    annotators: list[Annotator] = field(default_factory=list)
    undelivered: int = 0

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """They work while this is entered; on leaving they are given time to have everything delivered."""
        make = (
            Annotator(self.port, self.record, self.tally, self.pace, f"{self.seed}:{n}") for n in range(self.number)
        )
        self.annotators = list(make)
        tasks = [
            asyncio.create_task(annotator.live(self.ramp * place / self.number))
            for place, annotator in enumerate(self.annotators)
        ]
        try:
            yield
            for annotator in self.annotators:
                annotator.stop()
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            self.undelivered = len(late)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for annotator in self.annotators:
                annotator.browser.close()
            await asyncio.sleep(GOODBYE_SECONDS)
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end

    def calls(self) -> int:
        """How many requests they have made so far."""
        return self.tally.calls + sum(annotator.browser.asked for annotator in self.annotators)

    async def call_bare(self) -> None:
        """Have a hundredth of all calls go to the bare handler, through the browsers of annotators drawn at random."""
        chance, made = random.Random(self.seed), count(1)
        async with asyncio.TaskGroup() as group:
            for number in made:
                while number > BARE_SHARE * self.calls():
                    await asyncio.sleep(0.01)
                group.create_task(self._bare(chance.choice(self.annotators)))

    async def _bare(self, annotator: Annotator) -> None:
        begin = self.tally.now()
        try:
            answer = await annotator.browser.ask("POST", "/bare", {})
        except Lost:
            self.tally.see("a bare call that failed")
            return
        if answer.status == 200:
            self.tally.bare.append((begin, self.tally.now() - begin))
        else:
            self.tally.see(f"a bare call with {answer.status}")


@dataclass(eq=False)
class Memory:
    """What each process holds, in KB, and the processor seconds it has taken, over time."""

    looks: list[tuple[float, dict[int, int]]] = field(default_factory=list)
    busy: list[tuple[float, dict[int, float]]] = field(default_factory=list)

    async def watch(self, pids: Sequence[int], tally: Tally) -> None:
        while True:
            self.looks.append((tally.now(), dict(await asyncio.to_thread(rss_of, pids))))
            self.busy.append((tally.now(), {pid: cpu_of(pid) for pid in pids}))
            await asyncio.sleep(LOOK_SECONDS)

    def between(self, pid: int, begin: float, end: float) -> float:
        """The mean of a span, in MB."""
        return fmean(held[pid] for at, held in self.looks if begin <= at <= end and pid in held) / 1024

    def cores(self, pid: int, begin: float) -> float:
        """How much of a core a process has taken since then."""
        (first, before), (last, after) = next(one for one in self.busy if one[0] >= begin), self.busy[-1]
        return (after[pid] - before[pid]) / (last - first) if last > first else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured after the warm-up: milliseconds; MB of each replica then and in the last fifth; parts of a core
    that each took; calls of a second."""

    votes: int
    vote_p50: float
    vote_p99: float
    bares: int
    bare_p50: float
    bare_p99: float
    memory: tuple[tuple[float, float], ...]
    cores: tuple[float, ...]
    calls: float

    @property
    def ratio(self) -> float:
        return self.vote_p99 / self.bare_p99

    @property
    def growth(self) -> float:
        return max(last / first for first, last in self.memory)


@dataclass(frozen=True, slots=True)
class Load:
    """What one run gave. ``proof`` is what ``labeler verify`` said, ``proven`` whether it was content."""

    verdict: Verdict
    proven: bool
    proof: str
    figures: Figures
    seen: Counter[str]
    undelivered: int
    tracebacks: Sequence[str]

    @property
    def exactly_once(self) -> bool:
        return self.proven and self.verdict.ok and self.verdict.open == 0 and self.undelivered == 0


def run(folder: Path, *, annotators: int, seconds: float, pace: Pace, seed: int) -> Load:
    """One run in an empty folder."""
    path = folder / "record.jsonl"
    with Servers(folder, "tests.load.replica") as servers:
        servers.serve([servers.url] * 2)
        port = servers.open_doors([replica.port for replica in servers.replicas])
        with Record(path) as record:
            crowd = Crowd(port, record, annotators, pace, seed, ramp=seconds * WARM_SHARE / 2)
            memory = asyncio.run(_worked(crowd, seconds, [replica.pid for replica in servers.replicas]))
        pids = [replica.pid for replica in servers.replicas]
        assert servers.end() == [0, 0]
        (folder / "errors").write_text("".join(line for one in servers.replicas for line in one.errors))
        proven, proof = verified(servers.url)
        verdict = judged(path, servers.url)
        tracebacks = servers.tracebacks()
    figures = figures_of(crowd, memory, pids, seconds)
    seen = Counter(what for _, what in crowd.tally.seen)
    return Load(verdict, proven, proof, figures, seen, crowd.undelivered, tracebacks)


async def _worked(crowd: Crowd, seconds: float, pids: Sequence[int]) -> Memory:
    memory = Memory()
    async with crowd.at_work():
        beside = [asyncio.create_task(memory.watch(pids, crowd.tally)), asyncio.create_task(crowd.call_bare())]
        ended, _ = await asyncio.wait(beside, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in beside:
            task.cancel()
        for task in ended:
            task.result()
        for task in beside:
            with suppress(asyncio.CancelledError):
                await task
    return memory


def verified(url: str) -> tuple[bool, str]:
    """What ``labeler verify`` says of a log."""
    command = [sys.executable, "-m", "labeler", "verify", "--database", url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=VERIFY_SECONDS)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def kept(url: str, path: Path) -> None:
    """Keep the log beside the record, for whoever has to find out why they differ."""
    command = [sys.executable, "-m", "labeler", "log", "dump", "--database", url, "--out", str(path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=VERIFY_SECONDS)


def judged(record: Path, url: str) -> Verdict:
    with Store.open(url) as store:
        return judge(read(record), store.scan())


def figures_of(crowd: Crowd, memory: Memory, pids: Sequence[int], seconds: float) -> Figures:
    warm, tally = seconds * WARM_SHARE, crowd.tally
    votes = sorted(took * 1000 for at, took in tally.votes if at >= warm)
    bares = sorted(took * 1000 for at, took in tally.bare if at >= warm)
    held = [
        (memory.between(pid, warm, 2 * warm), memory.between(pid, seconds - seconds / 5, seconds + LOOK_SECONDS))
        for pid in pids
    ]
    return Figures(
        votes=len(votes),
        vote_p50=quantile(votes, 0.5),
        vote_p99=quantile(votes, 0.99),
        bares=len(bares),
        bare_p50=quantile(bares, 0.5),
        bare_p99=quantile(bares, 0.99),
        memory=tuple(held),
        cores=tuple(memory.cores(pid, warm) for pid in pids),
        calls=crowd.calls() / seconds,
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of an ordered list does not exceed; 0 of an empty one."""
    return ordered[math.ceil(len(ordered) * share) - 1] if ordered else 0.0


def told(load: Load) -> str:
    """The run in some lines."""
    figures = load.figures
    cores = ", ".join(f"{each:.2f}" for each in figures.cores)
    held = ", ".join(f"{first:.0f} MB, then {last:.0f} MB" for first, last in figures.memory)
    lines = [
        str(load.verdict),
        f"labeler verify: {load.proof.splitlines()[-1] if load.proof else 'nothing'}",
        f"annotators with something undelivered: {load.undelivered}",
        f"vote: {figures.votes:,}, p50 {figures.vote_p50:.1f} ms, p99 {figures.vote_p99:.1f} ms",
        f"bare: {figures.bares:,}, p50 {figures.bare_p50:.1f} ms, p99 {figures.bare_p99:.1f} ms",
        f"p99 vote / bare: {figures.ratio:.2f} (at most {SLOWEST_RATIO})",
        f"memory of the replicas: {held} (at most {MOST_GROWTH} times as much: {figures.growth:.3f})",
        f"{figures.calls:.0f} calls a second; replicas took {cores} of a core",
        *(f"{number:,} tracebacks: {last}" for last, number in Counter(load.tracebacks).most_common(5)),
        *(f"seen {number:,} times: {what}" for what, number in load.seen.most_common(20)),
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/load", description=__doc__.partition("\n")[0])
    parser.add_argument("--annotators", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--gesture", type=float, default=Pace().gesture, help="seconds between an annotator's gestures")
    parser.add_argument("--turn", type=float, default=Pace().turn, help="seconds between an annotator's turns")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--keep", type=Path, help="an empty folder for the record and what nginx logs; default: none")
    chosen = parser.parse_args(argv)
    _say(f"{described()}\nseed {chosen.seed}, {chosen.annotators} annotators, {chosen.seconds:.0f} s")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (chosen.keep or Path(scratch)).resolve()
        pace = Pace(chosen.gesture, chosen.turn)
        load = run(folder, annotators=chosen.annotators, seconds=chosen.seconds, pace=pace, seed=chosen.seed)
    _say(f"{told(load)}\ntook {time.monotonic() - begin:.0f} s")
    held = load.exactly_once and load.figures.ratio <= SLOWEST_RATIO and load.figures.growth <= MOST_GROWTH
    return 0 if held else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
