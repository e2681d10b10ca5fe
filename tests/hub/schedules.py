"""Random fault schedules on export and push: one round is one log that grows, one Hub that fails, and what must hold.

In every stage of a round the log grows, and two pushers who know nothing of each other export and push it at once.
Their requests meet faults drawn from the seed (refusals, resets before and after, lost answers, late commits, stalls),
and they die by kill -9: before one of their writes on this machine, or when one of their requests arrives, before it
is applied or after. Who died or gave up begins again, until both have come to an end. Afterwards the rows on the Hub
are the rows that a third export derived, each once; the history holds one commit for each package that differed from
the one before, each whole; and no manifest names a file that is not there.

``scripts/faults --rounds 1000`` runs many rounds and prints what they met and where pushers died.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from labeler.core.events import NewEvent, ReplyFinished, VoteCast
from labeler.export.manifest import MANIFEST_PATH, Manifest, same_rows
from labeler.hub import DatasetRepo, verify_remote
from labeler.ids import event_id
from labeler.store import Store
from labeler.study import Study
from tests.export import exported, files_of, manifest_of, open_store, simulated, study_of
from tests.hub.mortal import PATIENCE, Order, Pusher
from tests.hub.packages import rows_in
from tests.hub_server import Account, Faults, HubServer, Kill

REPO = "tester/round"
MOST_TRIES = 20
KINDS = {
    "commit": 8,
    "repo_info": 3,
    "resolve": 3,
    "paths_info": 3,
    "create": 2,
    "preupload": 2,
    "validate_yaml": 1,
    "xet_token": 2,
    "xorb": 3,
    "xet_shard": 3,
    "lfs_batch": 2,
    "lfs_put": 3,
    "lfs_verify": 2,
}
# The two pushers call the Hub by different names, so that it knows whose request it is.
HOSTS = ("127.0.0.1", "localhost")
DEATHS = 0.4
FEWEST_WRITES = 40


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to. ``faults`` were met, ``given_up`` pushes ended in an error, ``died`` at what they did last.

    ``writes`` are the kinds of writes on this machine of pushers that came to an end.
    """

    seed: int
    way: str
    stages: int
    commits: int
    rows: int
    faults: int
    given_up: int
    died: Counter[str]
    writes: frozenset[str]
    seconds: float

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.way}, {self.stages} stages, {self.commits} commits, {self.rows} rows, "
            f"{self.faults} faults, {self.given_up} given up, {self.died.total()} died, {self.seconds:.1f} s"
        )


class Broken(AssertionError):
    """A round that ended with other rows, doubled rows, or a commit too many."""


def run_schedule(seed: int) -> Round:
    """One round. The same seed draws the same log and the same faults; where pushers stand when they die is up to them.

    Raises:
        Broken: with the seed and what does not hold.
    """
    draw, started = random.Random(seed), time.monotonic()
    way, stages = draw.choice(["xet", "xet", "lfs"]), draw.randint(2, 3)
    with tempfile.TemporaryDirectory(prefix="round-") as folder:
        story = _Story(seed, way, draw, Path(folder))
        with story.hub:
            for _ in range(stages):
                story.stage()
            rows = sum(len(rows) for rows in rows_in(story.hub.files(REPO)).values())
            commits = len(story.hub.commits(REPO)) - 1
    met, seconds = len(story.hub.faults.met) + story.met, time.monotonic() - started
    writes = frozenset(story.writes)
    return Round(seed, way, stages, commits, rows, met, story.given_up, story.died, writes, seconds)


class _Story:
    def __init__(self, seed: int, way: str, draw: random.Random, folder: Path) -> None:
        self.seed = seed
        self.way = way
        self.draw = draw
        self.chance = random.Random(-seed)
        """For what depends on how fast who was: the log stays that of the seed."""
        self.folder = folder
        self.hub = HubServer(accounts={"hf_test": Account("tester")})
        self.study: Study = study_of(redaction=draw.choice([None, {"policy": "replace"}]))
        self.packages: list[Manifest] = []
        self.conversations = 0
        self.given_up = 0
        self.met = 0
        self.died: Counter[str] = Counter()
        self.writes: set[str] = set()
        self.most_writes = FEWEST_WRITES

    def stage(self) -> None:
        """The log grows, and is exported and pushed by two; then what must hold is looked at."""
        self.conversations += self.draw.randint(2, 8)
        with open_store(self.folder) as store:
            simulated(store, self.conversations, self.study, seed=self.seed)
            for nonce in range(self.draw.randint(0, 2)):
                _vote_late(store, self.draw, f"{self.conversations}-{nonce}")
            package = exported(store, self.study, self.folder / "reference").package
        manifest = manifest_of(package)
        if not self.packages or not same_rows(self.packages[-1], manifest):
            self.packages.append(manifest)
        self._fail_from_now_on()
        with ThreadPoolExecutor(len(HOSTS)) as both:
            list(both.map(self._push_until_done, HOSTS))
        self.hub.settle()
        for kind, _, fault in self.hub.faults.met:
            if isinstance(fault, Kill):
                self.died[request_of(kind, fault)] += 1
        self._check(package)

    def _fail_from_now_on(self) -> None:
        self.met += len(self.hub.faults.met)
        self.hub.faults = Faults.random(self.draw.randrange(2**32), KINDS, most=8)
        for _ in range(self.draw.randint(0, 2)):
            kind = self.draw.choices(list(KINDS), list(KINDS.values()))[0]
            self.hub.faults.plan(kind, self.draw.randint(1, 4), Kill(after=self.draw.random() < 0.5))

    def _push_until_done(self, host: str) -> None:
        for _ in range(MOST_TRIES):
            dies_at = self.chance.randint(1, self.most_writes) if self.chance.random() < DEATHS else None
            pusher = Pusher(self._order(host, dies_at))
            self.hub.killers[host] = pusher.kill
            end = pusher.end()
            if end.pushed:
                self.writes.update(end.writes)
                self.most_writes = max(self.most_writes, len(end.writes))
                return
            if not end.dead:
                self.given_up += 1
            elif len(end.writes) == dies_at:
                self.died[end.writes[-1]] += 1
        self._broken("no push got through")

    def _order(self, host: str, dies_at: int | None) -> Order:
        folder = self.folder / host
        folder.mkdir(exist_ok=True)
        return Order(
            database_url=f"sqlite:///{self.folder / 'log.db'}",
            study=self.study,
            package=folder / "package",
            endpoint=self.hub.endpoint.replace(HOSTS[0], host),
            way=self.way,
            cache=self.folder / f"xet-{host}",
            dies_at=dies_at,
        )

    def _check(self, package: Path) -> None:
        published = self.hub.files(REPO)
        derived = rows_in(files_of(package))
        if rows_in(published) != derived:
            self._broken("the rows on the Hub are not the rows derived")
        for config, rows in derived.items():
            names = [str(row.get("record_id") or row.get("event_id") or row.get("message_id")) for row in rows]
            if len(set(names)) != len(names):
                self._broken(f"{config} holds a row twice")
        history = list(reversed(self.hub.commits(REPO)))[1:]
        if len(history) != len(self.packages):
            self._broken(f"{len(history)} commits for {len(self.packages)} packages")
        for commit, manifest in zip(history, self.packages, strict=True):
            self._check_commit(self.hub.files(REPO, commit.oid), manifest)
        self.hub.faults.clear()
        repo = DatasetRepo(REPO, endpoint=self.hub.endpoint, token="hf_test", timeout=2.0)
        if problems := verify_remote(repo, manifest_of(package), patience=PATIENCE):
            self._broken(problems[0])

    def _check_commit(self, files: Mapping[str, bytes], manifest: Manifest) -> None:
        there = Manifest.from_json(files[MANIFEST_PATH].decode())
        shards = {path for path in files if path.endswith(".parquet")}
        if not same_rows(there, manifest) or shards != {file.path for file in there.files}:
            self._broken("a commit is not one whole package")

    def _broken(self, what: str) -> None:
        raise Broken(f"seed {self.seed}: {what}; faults met: {self.hub.faults.met}")


def _vote_late(store: Store, draw: random.Random, nonce: str) -> None:
    """A vote on an answer from long ago, by the annotator of that conversation."""
    events = list(store.scan())
    answers = [
        event for event in events if isinstance(event.payload, ReplyFinished) and event.payload.status == "complete"
    ]
    answer = draw.choice(answers)
    assert isinstance(answer.payload, ReplyFinished)
    seq = max(event.seq for event in events if event.conversation_id == answer.conversation_id) + 1
    vote = VoteCast(message_id=answer.payload.message_id, vote=draw.choice([1, -1]))
    name = event_id(answer.annotator_id, f"late-{nonce}", 0)
    late = NewEvent(
        event_id=name,
        conversation_id=answer.conversation_id,
        seq=seq,
        at=events[-1].at,
        annotator_id=answer.annotator_id,
        payload=vote,
    )
    store.append([late])


def main() -> None:
    """Run rounds, some at a time; exit 1 at the first one that does not hold."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first round's seed")
    parser.add_argument("--at-once", type=int, default=os.cpu_count(), metavar="N", help="how many at a time")
    asked = parser.parse_args()
    begun, rounds = time.monotonic(), []
    with ProcessPoolExecutor(asked.at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for one in pool.map(run_schedule, range(asked.first, asked.first + asked.rounds)):
                rounds.append(one)
                sys.stdout.write(f"{one}\n")
                sys.stdout.flush()
        except Broken as broken:
            pool.shutdown(cancel_futures=True)
            sys.exit(f"faults: {broken}")
    sys.stdout.write(f"{summary(rounds)}\nin {time.monotonic() - begun:.0f} s\n")


def request_of(kind: str, kill: Kill) -> str:
    """A place to die at on the way to the Hub."""
    return f"{'after' if kill.after else 'before'} {kind}"


def summary(rounds: list[Round]) -> str:
    """What many rounds met, and where no pusher has died yet."""
    sums = {name: sum(getattr(each, name) for each in rounds) for name in ("stages", "commits", "faults", "given_up")}
    died = sum((one.died for one in rounds), Counter())
    places = {
        "kinds of writes here": frozenset().union(*(one.writes for one in rounds)),
        "kinds of requests, before and after": {
            request_of(kind, Kill(after)) for kind in KINDS for after in (True, False)
        },
    }
    lines = [f"{len(rounds)} rounds held: {sums}; {died.total()} pushers died"]
    for what, kinds in places.items():
        missed = sorted(kinds - died.keys())
        lines += [
            f"  at {len(kinds) - len(missed)} of {len(kinds)} {what}",
            *(f"    not at: {kind}" for kind in missed),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
