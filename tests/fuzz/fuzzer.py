"""A fuzzer for the page: forged requests by the thousand, and what may not follow from any of them.

    scripts/fuzz --requests 100000

No answer is a failure of the server's, holds a traceback, or a word of somebody else's; nothing hangs; the process
lives; and everything that is in the log afterwards is there by the hand of whom it names.
"""

from __future__ import annotations

import argparse
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from labeler.ids import new_id
from labeler.store import Store
from tests.fuzz.requests import Forger, Request, World
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.visitor import Visitor
from tests.served import Served

LONGEST_SECONDS = 8.0
STREAM = re.compile(rb"content-type: text/event-stream", re.IGNORECASE)
PRIVATE = "quince-marmalade-7731"
NEVER = (PRIVATE, "Traceback", "site-packages")
LOOK_EVERY = 250


@dataclass
class Outcome:
    """What was answered, and what should never have been."""

    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        answers = dict(sorted(self.statuses.items()))
        return f"{sum(self.statuses.values()):,} requests, {answers}; {len(self.faults)} faults"


def study_of(model: ModelServer) -> dict[str, object]:
    spec = {"kind": "openai", "base_url": model.base_url, "model": "scripted"}
    return {
        "name": "fuzzed",
        "models": [spec | {"name": "one"}, spec | {"name": "two"}],
        "modes": ["chat", "compare", "review"],
        "vote_reasons": ["Wrong"],
        "limits": {"body_seconds": 1, "gestures_per_minute": None, "turns_per_minute": None},
    }


class Fuzzer:
    """A server with somebody's conversation in it, and a forger who knows its ids."""

    def __init__(self, served: Served, seed: int) -> None:
        self.served = served
        self.author, self.forger = Visitor(served), Visitor(served)
        self.author.say(f"My secret is {PRIVATE}\nsay: Then {PRIVATE} it is")
        self.forger.say("say: Mine")
        self.requests = Forger(self._world(), seed)
        self.outcome = Outcome()
        self.position = self.author.events()
        self.before = self._log_of(self.author)
        self.own = {self._annotator(self.author), self._annotator(self.forger)}

    def close(self) -> None:
        self.author.close()
        self.forger.close()

    def _world(self) -> World:
        def known(visitor: Visitor) -> dict[str, str]:
            ids = {"conversation": visitor.conversation, "message": visitor.answer, "session": new_id()[-12:]}
            return ids | {"annotator": self._annotator(visitor)}

        cookie = f"{self.forger.cookie.name}={self.forger.cookie.value}"
        handlers = range(self.forger.handler() - 3, self.forger.handler() + 4)
        host = self.served.address.removeprefix("http://")
        return World(cookie, host, handlers, known(self.forger), known(self.author))

    def _annotator(self, visitor: Visitor) -> str:
        return str(visitor.cookie.value).partition(".")[0]

    def _log_of(self, visitor: Visitor) -> list[str]:
        with closing(Store.open(self.served.database)) as store:
            return [event.event_id for event in store.load(visitor.conversation)]

    def run(self, requests: int, tell: Callable[[str], None] = lambda line: None) -> Outcome:
        for number in range(1, requests + 1):
            self._try(self.requests.request())
            if number % LOOK_EVERY == 0 or number == requests:
                self._look(number)
                tell(f"{number:,}: {self.outcome}")
            if len(self.outcome.faults) > 20:
                break
        return self.outcome

    def _try(self, request: Request) -> None:
        begun = time.monotonic()
        answer: bytes | None = b""
        try:
            answer = self._answered(request.raw)
        except TimeoutError:
            answer = None
        except OSError:  # it hung up
            pass
        self.outcome.statuses[status_of(answer)] += 1
        self.outcome.faults += [f"{fault}: {request.line}" for fault in faults_in(answer, time.monotonic() - begun)]
        if answer and b'"event_id"' in answer and request.session:
            self.outcome.statuses["joined"] += 1
            self._try(self.requests.stream(request.session))

    def _answered(self, raw: bytes) -> bytes:
        """What comes back: to its end, or as far as an event stream goes within a moment."""
        host, port = self.served.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), LONGEST_SECONDS) as line:
            with suppress(BrokenPipeError, ConnectionResetError):  # it has said no already
                line.sendall(raw)
            answer = b""
            while part := self._more(line, answer):
                answer += part
            return answer

    def _more(self, line: socket.socket, so_far: bytes) -> bytes:
        if not STREAM.search(so_far[:2000]):
            return line.recv(65536)
        line.settimeout(0.3)  # a stream of nobody's goes on for as long as somebody listens
        try:
            return line.recv(65536)
        except TimeoutError:
            return b""

    def _look(self, number: int) -> None:
        """Whether it still serves, and what it has stored."""
        assert self.served.process is not None
        if self.served.process.poll() is not None:
            self.outcome.faults += ["the process is dead"] * 100
            return
        if self.served.health()["status"] != "ok":
            self.outcome.faults.append(f"after {number}: not well")
        if self._log_of(self.author) != self.before:
            self.outcome.faults.append(f"after {number}: somebody else's conversation was changed")
        with closing(Store.open(self.served.database)) as store:
            strange = {event.annotator_id for event in store.scan(self.position)} - self.own
            if strange:
                self.outcome.faults.append(f"after {number}: events by {strange}")
        if "Traceback" in "".join(self.served.errors):
            self.outcome.faults.append(
                f"after {number}: a traceback in the terminal: {''.join(self.served.errors)[:20000]}"
            )
            self.served.errors.clear()


def status_of(answer: bytes | None) -> str:
    """The status of an answer, ``closed`` for none."""
    return answer.split(b" ", 2)[1].decode() if answer and answer.startswith(b"HTTP/") else "closed"


def faults_in(answer: bytes | None, seconds: float) -> list[str]:
    """What should never have been answered, whatever the request; None: nothing was, for as long as anybody waits."""
    if answer is None:
        return ["it hangs"]
    faults = ["it took too long"] if seconds > LONGEST_SECONDS else []
    if status_of(answer).startswith("5"):
        faults.append(f"answered {answer[-300:]!r}")
    return faults + [f"the answer holds {word}" for word in NEVER if word.encode() in answer]


def fuzz(folder: Path, requests: int, seed: int, tell: Callable[[str], None] = lambda line: None) -> Outcome:
    """Send that many requests to a server of its own."""
    with ModelServer() as model, QuickServed(folder, study_of(model)) as served:
        with closing(Fuzzer(served, seed)) as fuzzer:
            outcome = fuzzer.run(requests, tell)
        return outcome


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.monotonic_ns() % 2**31))
    chosen = parser.parse_args(argv)
    sys.stdout.write(f"seed {chosen.seed}\n")
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(Path(folder), chosen.requests, chosen.seed, lambda line: print(line, flush=True))  # noqa: T201
    for fault in outcome.faults[:20]:
        sys.stdout.write(f"{fault}\n")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
