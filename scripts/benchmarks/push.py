"""Bytes that a push puts on the wire after one late vote, as a share of all files of the shards it touches.

Counted by the Hub of the tests, on loopback: every byte of every request's body, the commit with its manifest and card
included. Beside it, in the same run, what plain LFS uploads send for the same vote.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from huggingface_hub import constants

from labeler.core.events import NewEvent
from labeler.core.folding import replay
from labeler.core.gestures import vote
from labeler.export.exporter import export
from labeler.export.manifest import MANIFEST_PATH, Manifest
from labeler.hub import DatasetRepo, push
from labeler.ids import event_id
from labeler.simulate import simulate
from labeler.store import Store
from labeler.study import load_study
from tests.hub_server import HubServer

CEILING = 0.10
STUDY = load_study(Path(__file__).parents[2] / "configs" / "local.yaml")
KEY = b"the key of the benchmark, 32 byte"
REPO = "tester/bench"


def vote_late(store: Store, draw: random.Random, nonce: str) -> None:
    """Cast or turn round a vote on some old answer."""
    upto = store.position()
    ordinal = draw.randrange(store.conversation_count(upto))
    conversation_id, _ = next(iter(store.shard_rows(ordinal, ordinal + 1, upto)))
    events = store.load(conversation_id)
    conversation = replay(conversation_id, events)
    answers = [one for one in conversation.messages.values() if one.role == "assistant" and one.complete]
    if not answers:
        vote_late(store, draw, nonce)
        return
    annotator, answer = conversation.annotator_id, answers[-1]
    value = -1 if conversation.vote_of(annotator, answer.id) == 1 else 1
    (payload,) = vote(conversation, annotator, answer.id, value)
    late = NewEvent(
        event_id=event_id(annotator, f"bench-{nonce}", 0),
        conversation_id=conversation_id,
        seq=conversation.seq + 1,
        at=events[-1].at,
        annotator_id=annotator,
        payload=payload,
    )
    store.append([late])


class Bench:
    """A log and its package, pushed to two Hubs: to one the Xet way, to the other by plain LFS."""

    def __init__(self, folder: Path, hubs: dict[str, HubServer]) -> None:
        self.folder = folder
        self.hubs = hubs
        self.package = folder / "package"
        self.repos = {way: DatasetRepo(REPO, endpoint=hub.endpoint, token="hf_test") for way, hub in hubs.items()}

    def push(self, way: str) -> int:
        """Bytes that reached that Hub."""
        before = self.hubs[way].received()
        with _sending_by(way):
            push(self.package, self.repos[way])
        return self.hubs[way].received() - before

    def export(self, store: Store) -> tuple[Manifest | None, Manifest]:
        path = self.package / MANIFEST_PATH
        before = Manifest.from_json(path.read_text()) if path.exists() else None
        export(store, STUDY, self.package, key=KEY)
        return before, Manifest.from_json(path.read_text())

    def late_vote(self, store: Store, draw: random.Random, number: int) -> float:
        """One vote, one export, one push each way; prints and returns the share that Xet sent."""
        vote_late(store, draw, str(number))
        before, after = self.export(store)
        known = {file.path for file in before.files} if before else set()
        touched = {file.shard for file in after.files if file.path not in known}
        size = sum(file.bytes for file in after.files if file.shard in touched)
        xet, lfs = self.push("xet"), self.push("lfs")
        print(f"vote {number + 1}: {xet:,} of {size:,} bytes, {xet / size:.1%}; plain LFS {lfs:,}, {lfs / size:.1%}")
        return xet / size


@contextmanager
def _sending_by(way: str) -> Iterator[None]:
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = way == "lfs"
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench push", description=__doc__)
    two_shards = 2 * STUDY.dataset.conversations_per_shard
    parser.add_argument("--conversations", type=int, default=two_shards, help="two full shards")
    parser.add_argument("--votes", type=int, default=11)
    chosen = parser.parse_args(argv)
    with TemporaryDirectory() as scratch, HubServer() as xet, HubServer() as lfs:
        os.environ["HF_XET_CACHE"] = f"{scratch}/xet"
        with Store.open(f"sqlite:///{scratch}/log.db") as store:
            store.extend(simulate(chosen.conversations, study=STUDY, seed=1))
            bench = Bench(Path(scratch), {"xet": xet, "lfs": lfs})
            _, manifest = bench.export(store)
            size = sum(file.bytes for file in manifest.files)
            print(f"first push: {bench.push('xet'):,} of {size:,} bytes; plain LFS {bench.push('lfs'):,}")
            draw = random.Random(1)
            shares = [bench.late_vote(store, draw, number) for number in range(chosen.votes)]
    print(f"bytes sent after one late vote: {median(shares):.1%} of the touched shard's files (at most {CEILING:.0%})")
    return 0 if median(shares) <= CEILING else 1


if __name__ == "__main__":
    sys.exit(main())
