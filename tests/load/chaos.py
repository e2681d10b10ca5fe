"""Servers that die, restart and lose each other while a crowd works: nothing acknowledged may be lost or doubled.

    scripts/chaos-servers --rounds 20

A round: one fault that is drawn at random is done, mended, and watched until every annotator's page is well again.
Faults are kill -9 and SIGTERM of replicas, restarts of the database (fast and immediate, the latter a crash), and wires
that are cut, that stall, or that vanish on one side only: between a replica and its database, and between the proxy and
a replica. In the end ``labeler verify`` and the annotators' own record are held against the log.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarks.machine import described
from tests.load.annotator import Pace
from tests.load.crowd import Crowd, judged, kept, verified
from tests.load.cut import Cut
from tests.load.record import Record, Verdict
from tests.load.servers import Servers

WELL_SECONDS = 90.0
LONGEST_FAULT_SECONDS = 12.0
QUIET_SECONDS = 3.0

Fault = Callable[["Chaos"], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Round:
    """What one fault did. Seconds: until all pages were well again after it was mended (None: they were not), the
    longest that a gesture waited to be acknowledged meanwhile, and the longest that a page was away."""

    fault: str
    mended_after: float
    well_after: float | None
    slowest_save: float
    longest_away: float
    seen: Counter[str]

    def __str__(self) -> str:
        well = "not well again in time" if self.well_after is None else f"all well {self.well_after:.1f} s after that"
        seen = "; ".join(f"{number} x {what}" for what, number in self.seen.most_common(6)) or "nothing"
        return (
            f"{self.fault}, mended after {self.mended_after:.1f} s, {well}; slowest save {self.slowest_save:.1f} s,"
            f" longest away {self.longest_away:.1f} s; seen: {seen}"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """All rounds, and the log in the end."""

    rounds: Sequence[Round]
    verdict: Verdict
    proven: bool
    proof: str
    undelivered: int
    tracebacks: Sequence[str]

    @property
    def ok(self) -> bool:
        well = all(one.well_after is not None for one in self.rounds)
        return self.verdict.ok and self.proven and well and self.undelivered == 0 and not self.tracebacks


@dataclass(eq=False)
class Chaos:
    """Servers with wires between them that can be cut, and a crowd before them."""

    servers: Servers
    record: Record
    annotators: int
    pace: Pace
    seed: int
    tell: Callable[[str], None] = lambda line: None
    crowd: Crowd = field(init=False)
    roots: list[Cut] = field(default_factory=list)
    doors: list[Cut] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    async def run(self, faults: Sequence[str]) -> list[Round]:
        """Begin, do these faults, end in quiet."""
        async with AsyncExitStack() as stack:
            for _ in range(2):
                self.roots.append(await stack.enter_async_context(Cut(self.servers.database.port)))
            urls = [
                self.servers.url.replace(f":{self.servers.database.port}/", f":{root.port}/") for root in self.roots
            ]
            await asyncio.to_thread(self.servers.serve, urls)
            for replica in self.servers.replicas:
                self.doors.append(await stack.enter_async_context(Cut(replica.port)))
            port = await asyncio.to_thread(self.servers.open_doors, [door.port for door in self.doors])
            self.crowd = Crowd(port, self.record, self.annotators, self.pace, self.seed)
            async with self.crowd.at_work():
                await self._well_since(0.0)
                rounds = [await self._round(number, name) for number, name in enumerate(faults, 1)]
            await asyncio.to_thread(self.servers.end)
        return rounds

    async def _round(self, number: int, name: str) -> Round:
        await asyncio.sleep(self.chance.uniform(0.5, QUIET_SECONDS))
        tally = self.crowd.tally
        begin = tally.now()
        what = await FAULTS[name](self)
        mended = tally.now()
        well = await self._well_since(mended)
        done = Round(
            fault=what,
            mended_after=mended - begin,
            well_after=well,
            slowest_save=max((waited for at, waited in tally.saved if at >= begin), default=0.0),
            longest_away=max((away for at, away in tally.shown_again if at >= begin), default=0.0),
            seen=tally.between(begin, tally.now()),
        )
        self.tell(f"round {number}: {done}")
        return done

    async def _well_since(self, moment: float) -> float | None:
        """How long after a moment all pages were well; None if that takes too long."""
        ill = set(self.crowd.annotators)
        while self.crowd.tally.now() < moment + WELL_SECONDS:
            ill = {one for one in ill if not one.well(moment)}
            if not ill:
                return self.crowd.tally.now() - moment
            await asyncio.sleep(0.05)
        return None

    # ── faults: each is done and mended, and says what it was ──

    async def kill(self) -> str:
        """kill -9 of a replica."""
        place = self.chance.randrange(2)
        await asyncio.to_thread(self.servers.replicas[place].kill)
        await self._start(place)
        return f"replica {place + 1} killed"

    async def kill_both(self) -> str:
        """kill -9 of both replicas."""
        for replica in self.servers.replicas:
            await asyncio.to_thread(replica.kill)
        for place in range(2):
            await self._start(place)
        return "both replicas killed"

    async def end(self) -> str:
        """SIGTERM of a replica."""
        place = self.chance.randrange(2)
        code = await asyncio.to_thread(self.servers.replicas[place].terminate, 15)
        await self._start(place)
        return f"replica {place + 1} ended (exit code {code})"

    async def _start(self, place: int) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, 4.0))
        replica = self.servers.replicas[place]
        await asyncio.to_thread(replica.start)

    async def restart_fast(self) -> str:
        """The database is stopped, and started again."""
        return await self._restart("fast")

    async def restart_immediate(self) -> str:
        """The database crashes, and is started again."""
        return await self._restart("immediate")

    async def _restart(self, mode: str) -> str:
        await asyncio.to_thread(self.servers.database.stop, mode)
        await asyncio.sleep(self.chance.uniform(0.0, 4.0))
        await asyncio.to_thread(self.servers.database.start)
        return f"database restarted ({mode})"

    async def root_cut(self) -> str:
        """A replica loses its database, and both know."""
        return await self._wire(self.roots, "cut", "from its database")

    async def root_stall(self) -> str:
        """Nothing goes between a replica and its database, and nobody is told."""
        return await self._wire(self.roots, "stall", "from its database")

    async def root_vanish(self) -> str:
        """A replica is gone for its database, which is not told."""
        return await self._wire(self.roots, "vanish", "from its database")

    async def door_cut(self) -> str:
        """The proxy loses a replica."""
        return await self._wire(self.doors, "cut", "from the proxy")

    async def door_stall(self) -> str:
        """Nothing goes between the proxy and a replica, and nobody is told."""
        return await self._wire(self.doors, "stall", "from the proxy")

    async def _wire(self, wires: Sequence[Cut], state: str, whence: str) -> str:
        place = self.chance.randrange(2)
        wires[place].become(state)
        await asyncio.sleep(self.chance.uniform(0.0, LONGEST_FAULT_SECONDS if state == "stall" else 4.0))
        wires[place].become("flow")
        return f"replica {place + 1}: {state} {whence}"


FAULTS: Mapping[str, Fault] = {
    "kill": Chaos.kill,
    "kill-both": Chaos.kill_both,
    "end": Chaos.end,
    "restart-fast": Chaos.restart_fast,
    "restart-immediate": Chaos.restart_immediate,
    "root-cut": Chaos.root_cut,
    "root-stall": Chaos.root_stall,
    "root-vanish": Chaos.root_vanish,
    "door-cut": Chaos.door_cut,
    "door-stall": Chaos.door_stall,
}


def drawn(rounds: int, seed: int) -> list[str]:
    """So many faults: every kind as often as the others, in an order that is drawn."""
    chance, faults = random.Random(seed), list[str]()
    while len(faults) < rounds:
        faults += chance.sample(list(FAULTS), len(FAULTS))
    return faults[:rounds]


def run(
    folder: Path,
    faults: Sequence[str],
    *,
    annotators: int,
    pace: Pace,
    seed: int,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """These faults, one after the other, in an empty folder."""
    path = folder / "record.jsonl"
    with Servers(folder) as servers:
        with Record(path) as record:
            chaos = Chaos(servers, record, annotators, pace, seed, tell)
            rounds = asyncio.run(chaos.run(faults))
        (folder / "errors").write_text("".join(line for one in servers.replicas for line in one.errors))
        kept(servers.url, folder / "log.jsonl")
        proven, proof = verified(servers.url)
        verdict = judged(path, servers.url)
        return Outcome(rounds, verdict, proven, proof, chaos.crowd.undelivered, servers.tracebacks())


def told(outcome: Outcome, seconds: float) -> str:
    lines = [
        f"{len(outcome.rounds)} rounds in {seconds:.0f} s: {outcome.verdict}",
        f"labeler verify: {outcome.proof.splitlines()[-1] if outcome.proof else 'nothing'}",
        f"annotators with something undelivered: {outcome.undelivered}",
        *(f"{number:,} tracebacks: {last}" for last, number in Counter(outcome.tracebacks).most_common(5)),
        *(f"not well again in time: {one.fault}" for one in outcome.rounds if one.well_after is None),
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/chaos-servers", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--annotators", type=int, default=100)
    parser.add_argument("--gesture", type=float, default=Pace().gesture, help="seconds between an annotator's gestures")
    parser.add_argument("--turn", type=float, default=Pace().turn, help="seconds between an annotator's turns")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), help="these, in this order, instead of drawn ones")
    parser.add_argument(
        "--keep", type=Path, help="an empty folder for the record and what was complained of; default: none"
    )
    chosen = parser.parse_args(argv)
    _say(f"{described()}\nseed {chosen.seed}, {chosen.annotators} annotators")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        outcome = run(
            (chosen.keep or Path(scratch)).resolve(),
            chosen.faults or drawn(chosen.rounds, chosen.seed),
            annotators=chosen.annotators,
            pace=Pace(chosen.gesture, chosen.turn),
            seed=chosen.seed,
            tell=_say,
        )
    _say(told(outcome, time.monotonic() - begin))
    return 0 if outcome.ok else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
