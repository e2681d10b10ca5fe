"""Random fault schedules on export and push: one round is one log that grows, one Hub that fails, and what must hold.

In every stage of a round the log grows, is exported, and is pushed by one or two pushers while requests meet faults
drawn from the seed: refusals, resets before and after, lost answers, late commits, stalls. Afterwards the rows on the
Hub are the rows that were derived, each once, and the history holds one commit for each package that differed from the
one before, each whole.

``scripts/faults --rounds 200`` runs many rounds and prints what they met.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from labeler.core.events import NewEvent, ReplyFinished, VoteCast
from labeler.errors import HubError
from labeler.export.manifest import MANIFEST_PATH, Manifest, same_rows
from labeler.hub import DatasetRepo, Patience, push, verify_remote
from labeler.ids import event_id
from labeler.store import Store
from labeler.study import Study
from tests.export import exported, files_of, manifest_of, open_store, simulated, study_of
from tests.hub.packages import rows_in
from tests.hub_server import Account, Faults, HubServer

REPO = "tester/round"
# Impatient on purpose: some pushes give up, and the next one must find its way.
PATIENCE = Patience(tries=4, first=0.01, longest=0.05)
PUSHES = 8
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


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to. ``faults`` were met, ``given_up`` pushes ended in an error before one ended well."""

    seed: int
    way: str
    stages: int
    commits: int
    rows: int
    faults: int
    given_up: int
    seconds: float


class Broken(AssertionError):
    """A round that ended with other rows, doubled rows, or a commit too many."""


def run_schedule(seed: int) -> Round:
    """One round. The same seed draws the same log and the same faults.

    Raises:
        Broken: with the seed and what does not hold.
    """
    draw, started = random.Random(seed), time.monotonic()
    way, stages = draw.choice(["xet", "xet", "lfs"]), draw.randint(2, 3)
    with tempfile.TemporaryDirectory(prefix="round-") as folder, _sending_by(way, Path(folder) / "xet"):
        story = _Story(seed, draw, Path(folder))
        with story.hub:
            for _ in range(stages):
                story.stage()
            rows = sum(len(rows) for rows in rows_in(story.hub.files(REPO)).values())
            commits = len(story.hub.commits(REPO)) - 1
    met = len(story.hub.faults.met) + story.met
    return Round(seed, way, stages, commits, rows, met, story.given_up, time.monotonic() - started)


class _Story:
    def __init__(self, seed: int, draw: random.Random, folder: Path) -> None:
        self.seed = seed
        self.draw = draw
        self.folder = folder
        self.hub = HubServer(accounts={"hf_test": Account("tester")})
        self.study: Study = study_of()
        self.packages: list[Manifest] = []
        self.conversations = 0
        self.given_up = 0
        self.met = 0

    def stage(self) -> None:
        """The log grows, is exported and pushed; then what must hold is looked at."""
        package = self.folder / "package"
        self.conversations += self.draw.randint(2, 8)
        with open_store(self.folder) as store:
            simulated(store, self.conversations, self.study, seed=self.seed)
            for nonce in range(self.draw.randint(0, 2)):
                _vote_late(store, self.draw, f"{self.conversations}-{nonce}")
            exported(store, self.study, package)
        manifest = manifest_of(package)
        if not self.packages or not same_rows(self.packages[-1], manifest):
            self.packages.append(manifest)
        self._fail_from_now_on()
        self._push_until_done(package)
        self.hub.settle()
        self._check(package)

    def _fail_from_now_on(self) -> None:
        self.met += len(self.hub.faults.met)
        self.hub.faults = Faults.random(self.draw.randrange(2**32), KINDS, most=12)

    def _push_until_done(self, package: Path) -> None:
        pushers = self.draw.choice([1, 1, 2])
        with ThreadPoolExecutor(pushers) as pool:
            done = any(list(pool.map(self._push, [package] * pushers)))
        for _ in range(PUSHES):
            if done:
                return
            done = self._push(package)
        self._broken("no push got through")

    def _push(self, package: Path) -> bool:
        try:
            push(package, self._repo(), patience=PATIENCE)
        except HubError:
            self.given_up += 1
            return False
        return True

    def _repo(self) -> DatasetRepo:
        return DatasetRepo(REPO, endpoint=self.hub.endpoint, token="hf_test", timeout=2.0)

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
        if problems := verify_remote(self._repo(), manifest_of(package), patience=PATIENCE):
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


@contextmanager
def _sending_by(way: str, cache: Path) -> Iterator[None]:
    """Files go the Xet way or the plain one, with a chunk cache of this round's own."""
    before, disabled = os.environ.get("HF_XET_CACHE"), constants.HF_HUB_DISABLE_XET
    os.environ["HF_XET_CACHE"] = str(cache)
    constants.HF_HUB_DISABLE_XET = way == "lfs"
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = disabled
        os.environ.pop("HF_XET_CACHE")
        if before is not None:
            os.environ["HF_XET_CACHE"] = before


def main() -> None:
    """Run rounds one after the other; exit 1 at the first one that does not hold."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first round's seed")
    asked = parser.parse_args()
    rounds = []
    for seed in range(asked.first, asked.first + asked.rounds):
        try:
            rounds.append(run_schedule(seed))
        except Broken as broken:
            sys.exit(f"faults: {broken}")
        sys.stdout.write(f"{rounds[-1]}\n")
        sys.stdout.flush()
    sums = {name: sum(getattr(each, name) for each in rounds) for name in ("stages", "commits", "faults", "given_up")}
    sys.stdout.write(f"{len(rounds)} rounds held, {sum(each.seconds for each in rounds):.0f} s: {sums}\n")


if __name__ == "__main__":
    main()
