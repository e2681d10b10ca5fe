"""kill -9 while people vote: every acknowledged vote is there exactly once and in order.

    scripts/chaos-votes --rounds 100

A round: start the real server, let the voters vote through its HTTP route, kill it at a random moment, and compare the
log with what was acknowledged. Voters behave like the page: one gesture after the other, each with its own nonce, sent
again until it is acknowledged, across restarts. Now and then an old gesture arrives once more, as networks have it.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from labeler.app import cookie_secret
from labeler.core.events import Event, VoteCast, VoteWithdrawn
from labeler.ids import event_id, new_id
from labeler.page.identity import Identity
from labeler.store import Store
from labeler.store.verify import verify_log
from tests.served import Served
from tests.stories import told

ANSWERS = 4
TIMEOUT = 5.0
PAUSE = 0.02
OLD_AGAIN = 0.1
STUDY: dict[str, object] = {
    "name": "chaos",
    "models": [{"name": "absent", "kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "absent"}],
    "limits": {"gestures_per_minute": None, "conversation_events": 1_000_000},  # no person votes as these do
}


@dataclass(frozen=True)
class Sent:
    """One vote as it was sent."""

    nonce: str
    message: str
    value: int


@dataclass
class Voter:
    """One annotator in one conversation. ``acknowledged`` grows only after the server has said 200."""

    annotator: str
    conversation: str
    chance: random.Random
    acknowledged: list[Sent] = field(default_factory=list)
    on_its_way: Sent | None = None
    repeated: int = 0
    refused: list[str] = field(default_factory=list)

    def next_vote(self) -> Sent:
        """A vote that changes something."""
        message = f"{self.conversation}.a{self.chance.randrange(ANSWERS) + 1}"
        stands = next((vote.value for vote in reversed(self.acknowledged) if vote.message == message), 0)
        return Sent(secrets.token_hex(8), message, self.chance.choice([v for v in (1, -1, 0) if v != stands]))

    def vote(self, address: str, cookie: str, stop: threading.Event) -> None:
        """Vote until told to stop. A vote is sent until it is acknowledged, whatever happens to the server."""
        with httpx.Client(base_url=address, headers={"cookie": cookie}, timeout=TIMEOUT) as client:
            while not stop.is_set():
                self.on_its_way = self.on_its_way or self.next_vote()
                if self._deliver(client, self.on_its_way):
                    self.acknowledged.append(self.on_its_way)
                    self.on_its_way = None
                    self._perhaps_an_old_one(client)
                else:
                    time.sleep(PAUSE)

    def _deliver(self, client: httpx.Client, vote: Sent) -> bool:
        gesture = {"kind": "vote", "conversation": self.conversation, "message": vote.message, "value": vote.value}
        try:
            answer = client.post("/api/gesture", json=gesture | {"nonce": vote.nonce})
        except httpx.TransportError:
            return False
        if 400 <= answer.status_code < 500:
            self.refused.append(f"{answer.status_code} {answer.text}")
        return answer.status_code == 200

    def _perhaps_an_old_one(self, client: httpx.Client) -> None:
        if self.chance.random() < OLD_AGAIN:
            self.repeated += 1
            self._deliver(client, self.chance.choice(self.acknowledged))


@dataclass(frozen=True)
class Outcome:
    """What became of the votes of one or many rounds."""

    acknowledged: int
    lost: int
    doubled: int
    out_of_order: int
    strange: int

    @property
    def ok(self) -> bool:
        return self.lost == self.doubled == self.out_of_order == self.strange == 0

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} votes acknowledged; lost {self.lost}, doubled {self.doubled}, "
            f"out of order {self.out_of_order}, never sent {self.strange}"
        )


def compare(voter: Voter, expected: Sequence[Sent], pending: Sent | None, log: Sequence[Event]) -> Outcome:
    """Hold what is stored of a conversation against what its voter was told.

    ``pending`` is the vote that was on its way: it may be there, as the last one, or not.
    """
    wanted = [_as_stored(voter, vote) for vote in expected]
    found = [
        (event.event_id, event.payload.message_id, event.payload.vote if isinstance(event.payload, VoteCast) else 0)
        for event in log
        if isinstance(event.payload, VoteCast | VoteWithdrawn)
    ]
    allowed = {*wanted, *([_as_stored(voter, pending)] if pending else [])}
    in_order = found[: len(wanted)] == wanted
    return Outcome(
        acknowledged=len(wanted),
        lost=len(set(wanted) - set(found)),
        doubled=sum(count - 1 for count in Counter(found).values()),
        out_of_order=int(not in_order and set(wanted) <= set(found)),
        strange=len(set(found) - allowed),
    )


def _as_stored(voter: Voter, vote: Sent) -> tuple[str, str, int]:
    return event_id(voter.annotator, vote.nonce, 0), vote.message, vote.value


def added(outcomes: Sequence[Outcome]) -> Outcome:
    names = ("acknowledged", "lost", "doubled", "out_of_order", "strange")
    return Outcome(*(sum(getattr(outcome, name) for outcome in outcomes) for name in names))


class Chaos:
    """The log, the voters and the server that is killed again and again."""

    def __init__(self, folder: Path, *, voters: int, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.server = Served(folder, STUDY)
        self.voters = [Voter(new_id(), new_id(), random.Random(f"{seed}:{n}")) for n in range(voters)]
        with Store.open(self.server.database) as store:
            for voter in self.voters:
                store.append(_conversation(voter))
            self.identity = Identity(cookie_secret(folder / ".labeler" / "secret"), store.source_id)

    def run(self, rounds: int, tell: Callable[[str], None] = lambda line: None) -> Outcome:
        """Every round ends with kill -9 and a comparison; the last one is followed by a quiet end."""
        stop = threading.Event()
        self.server.start()
        threads = [
            threading.Thread(target=voter.vote, args=(self.server.address, self._cookie(voter), stop), daemon=True)
            for voter in self.voters
        ]
        with ExitStack() as stack:
            stack.enter_context(self.server)
            stack.callback(stop.set)
            for thread in threads:
                thread.start()
            for number in range(1, rounds + 1):
                outcome = self._round()
                tell(f"round {number}: {outcome}")
                if not outcome.ok:
                    return outcome
                self.server.start()
            stop.set()
            for thread in threads:
                thread.join()
            self.server.terminate()
        return self.compared()

    def _round(self) -> Outcome:
        """Wait for the first new acknowledgement, then for a random moment, then kill."""
        before = self._acknowledged()
        deadline = time.monotonic() + 60
        while self._acknowledged() == before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(self.chance.uniform(0.0, 0.8))
        self.server.kill()
        return self.compared()

    def compared(self) -> Outcome:
        """Hold the log against what was acknowledged before it is looked at."""
        told_so_far = [(voter, voter.on_its_way, list(voter.acknowledged)) for voter in self.voters]
        with Store.open(self.server.database) as store:
            proof = verify_log(store)
            assert proof.ok, proof.problems
            logs = [store.load(voter.conversation) for voter in self.voters]
        return added(
            [
                compare(voter, expected, pending, log)
                for (voter, pending, expected), log in zip(told_so_far, logs, strict=True)
            ]
        )

    def _acknowledged(self) -> int:
        return sum(len(voter.acknowledged) for voter in self.voters)

    def _cookie(self, voter: Voter) -> str:
        return self.identity.set_cookie(voter.annotator, scheme="http").partition(";")[0]


def _conversation(voter: Voter) -> list[Event]:
    """A conversation with answers to vote on."""
    story = told(voter.annotator, voter.conversation)
    for number in range(ANSWERS):
        story.asks(f"Question {number}?").answers(f"Answer {number}.")
    return story.events


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/chaos-votes", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--voters", type=int, default=16)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    chosen = parser.parse_args(argv)
    _say(f"seed {chosen.seed}, {chosen.voters} voters")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), voters=chosen.voters, seed=chosen.seed)
        outcome = chaos.run(chosen.rounds, _say)
    refused = [line for voter in chaos.voters for line in voter.refused]
    repeated = sum(voter.repeated for voter in chaos.voters)
    _say(f"{chosen.rounds} rounds of kill -9 in {time.monotonic() - begin:.0f} s: {outcome}")
    _say(
        f"{repeated:,} old votes delivered again; {len(refused)} refused" + (f", e.g. {refused[0]}" if refused else "")
    )
    return 0 if outcome.ok and not refused else 1


if __name__ == "__main__":
    sys.exit(main())
