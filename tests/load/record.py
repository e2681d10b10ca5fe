"""What the clients know: every gesture as it was made, and what was said of it; and the log held against that.

The record is a file of JSON lines, written by the process of the annotators and by nobody else. The server is not asked
what it remembers: what it has acknowledged must be in the log once, as it was made, in the order in which it was made.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labeler.core.events import (
    Compared,
    Event,
    MessageSent,
    ReasonGiven,
    ReplyFinished,
    ReplyStarted,
    VoteCast,
    VoteWithdrawn,
)
from labeler.ids import event_id

ACKNOWLEDGED, REFUSED, OPEN = "acknowledged", "refused", "open"
POSTED = (VoteCast, VoteWithdrawn, ReasonGiven, Compared)


@dataclass(frozen=True, slots=True)
class Made:
    """One gesture. ``says`` is the vote, the comment, the winner or the text; turns are ``send`` and ``retry``."""

    annotator: str
    conversation: str
    nonce: str
    kind: str
    message: str
    says: str | int

    @property
    def is_turn(self) -> bool:
        return self.kind in ("send", "retry")


class Record:
    """The file. What was made and never answered stands in it as open, once the record is closed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8")
        self._open: dict[str, Made] = {}

    def made(self, made: Made) -> None:
        self._open[made.nonce] = made

    def ended(self, made: Made, outcome: str) -> None:
        """Acknowledged, or refused for good."""
        if self._open.pop(made.nonce, None):
            self._file.write(json.dumps(asdict(made) | {"outcome": outcome}) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for made in list(self._open.values()):
            self.ended(made, OPEN)
        self._file.close()


def read(path: Path) -> list[tuple[Made, str]]:
    """The gestures of a record and their outcomes, in the order in which these came."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        (Made(**{name: value for name, value in line.items() if name != "outcome"}), line["outcome"]) for line in lines
    ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the log stands to a record; what is lost, doubled, out of order or strange should be 0.

    ``strange`` counts what is in the log and was never made, was made otherwise, or was refused; ``unended`` answers
    that were begun and never ended, which count as failed: where a commit's outcome never arrived, nobody writes them;
    ``open`` gestures of which the annotator has heard nothing.
    """

    acknowledged: int
    lost: int
    doubled: int
    out_of_order: int
    strange: int
    unended: int
    open: int

    @property
    def ok(self) -> bool:
        return self.lost == self.doubled == self.out_of_order == self.strange == 0

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} gestures acknowledged; lost {self.lost}, doubled {self.doubled}, out of order"
            f" {self.out_of_order}, strange {self.strange}; {self.unended} answers without an end,"
            f" {self.open} gestures unanswered"
        )


def judge(record: Iterable[tuple[Made, str]], log: Iterable[Event]) -> Verdict:
    """Hold a log against a record. What others than the record's annotators did is passed over."""
    ended = list(record)
    outcomes = Counter(outcome for _, outcome in ended)
    ours = {made.annotator for made, _ in ended}
    events = [event for event in log if event.annotator_id in ours]
    posted = _posted([one for one in ended if not one[0].is_turn], events)
    turns = _turns([one for one in ended if one[0].is_turn], events)
    begun = Counter(event.payload.message_id for event in events if isinstance(event.payload, ReplyStarted))
    over = Counter(event.payload.message_id for event in events if isinstance(event.payload, ReplyFinished))
    return Verdict(
        acknowledged=outcomes[ACKNOWLEDGED],
        lost=posted["lost"] + turns["lost"],
        doubled=posted["doubled"] + turns["doubled"] + sum(count - 1 for count in over.values()),
        out_of_order=posted["out of order"],
        strange=posted["strange"] + turns["strange"],
        unended=len(begun - over),
        open=outcomes[OPEN],
    )


# ── what goes to the page's own route ──


def _posted(record: Sequence[tuple[Made, str]], log: Sequence[Event]) -> Mapping[str, int]:
    wanted: dict[str, list[Any]] = defaultdict(list)
    allowed: set[Any] = set()
    for made, outcome in record:
        if outcome == ACKNOWLEDGED:
            wanted[made.conversation].append(_as_stored(made))
        if outcome != REFUSED:
            allowed.add(_as_stored(made))
    found: dict[str, list[Any]] = defaultdict(list)
    for event in sorted(log, key=lambda event: event.seq):
        if isinstance(event.payload, POSTED):
            found[event.conversation_id].append(_stored(event))
    faults: Counter[str] = Counter()
    for conversation in wanted.keys() | found.keys():
        here, expected = found[conversation], set(wanted[conversation])
        faults["lost"] += len(expected - set(here))
        faults["doubled"] += sum(count - 1 for count in Counter(here).values())
        faults["strange"] += len(set(here) - allowed)
        there = set(here)
        in_order = [one for one in wanted[conversation] if one in there]
        faults["out of order"] += list(dict.fromkeys(one for one in here if one in expected)) != in_order
    return faults


def _as_stored(made: Made) -> tuple[str, str, str, str | int]:
    return event_id(made.annotator, made.nonce, 0), made.conversation, made.message, made.says


def _stored(event: Event) -> tuple[str, str, str, str | int]:
    payload = event.payload
    says: str | int = 0
    if isinstance(payload, VoteCast):
        says = payload.vote
    elif isinstance(payload, ReasonGiven):
        says = payload.comment
    elif isinstance(payload, Compared):
        return event.event_id, event.conversation_id, payload.message_b, payload.winner
    return event.event_id, event.conversation_id, payload.message_id, says


# ── what moves the conversation ──


def _turns(record: Sequence[tuple[Made, str]], log: Sequence[Event]) -> Mapping[str, int]:
    """A message is found by its text, which no other has; a retry by its id."""
    stored = Counter(
        (event.annotator_id, event.payload.content) for event in log if isinstance(event.payload, MessageSent)
    )
    stored += Counter(
        (event.annotator_id, event.event_id)
        for event in log
        if isinstance(event.payload, ReplyStarted) and event.payload.retries
    )
    wanted = {_turn(made) for made, outcome in record if outcome == ACKNOWLEDGED}
    allowed = {_turn(made) for made, outcome in record if outcome != REFUSED}
    return {
        "lost": len(wanted - stored.keys()),
        "doubled": sum(count - 1 for count in stored.values()),
        "strange": len(stored.keys() - allowed),
    }


def _turn(made: Made) -> tuple[str, str]:
    return made.annotator, str(made.says) if made.kind == "send" else event_id(made.annotator, made.nonce, 0)
