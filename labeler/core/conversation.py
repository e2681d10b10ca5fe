"""A conversation as a tree of messages, folded from its events.

Every message is a node; answers to one message are siblings, and so are the rewrites of one's own message. Nothing is
ever removed: retry, edit and undo only move the visible path, which follows one active child from the root down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from labeler.core.events import (
    Adjudicated,
    AnswersFlagged,
    Compared,
    ConversationStarted,
    PairDrawn,
    ReplyFinished,
    ReplyStarted,
    ReviewSkipped,
    SpanReviewed,
    Status,
    Winner,
    swapped,
)
from labeler.core.values import value

Role = Literal["user", "assistant"]
Origin = Literal["user", "model", "human_edit"]

# The mode of conversations that were held in a foreign chat page: their texts are what its browser sent.
ATTACHED = "attached"


@dataclass(slots=True, kw_only=True)
class Message:
    """A node. ``status`` is ``None`` while a reply is being written (or was cut off by a crash).

    ``annotator_id`` made the gesture that the node comes from, with the event of this ``seq``.
    """

    id: str
    parent_id: str | None
    role: Role
    origin: Origin
    content: str
    status: Status | None
    edits: str | None = None
    retries: str | None = None
    started: ReplyStarted | None = None
    finished: ReplyFinished | None = None
    annotator_id: str = ""
    seq: int = 0
    at: str = ""
    event_ids: tuple[str, ...] = ()
    children: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.status == "complete"


@value()
class VoteFact:
    """One vote as it was given: 1, -1, or 0 for a withdrawal."""

    message_id: str
    annotator_id: str
    vote: int
    seq: int
    at: str
    event_id: str


@value()
class ReasonFact:
    message_id: str
    annotator_id: str
    reasons: tuple[str, ...]
    comment: str
    seq: int
    at: str
    event_id: str


@value()
class ComparisonFact:
    """One comparison as it was given; ``compared`` is ``None`` for a withdrawal."""

    message_a: str
    message_b: str
    annotator_id: str
    compared: Compared | None
    seq: int
    at: str
    event_id: str

    @property
    def pair(self) -> frozenset[str]:
        return frozenset((self.message_a, self.message_b))

    def winner(self, first: str) -> Winner | None:
        """Which is better when the answer ``first`` is called a; None for a withdrawal."""
        if self.compared is None:
            return None
        return self.compared.winner if self.message_a == first else swapped(self.compared.winner)


@value()
class PairFact:
    """Two answers that are written side by side."""

    drawn: PairDrawn
    seq: int
    at: str
    event_id: str


@value()
class ReviewFact:
    """What a reviewer said that is no vote and no comparison: skipped, flagged or adjudicated."""

    payload: ReviewSkipped | AnswersFlagged | Adjudicated
    annotator_id: str
    seq: int
    at: str
    event_id: str

    @property
    def of(self) -> frozenset[str]:
        """The answers that it is about, one or two."""
        return frozenset(one for one in (self.payload.message_a, self.payload.message_b) if one is not None)


@value()
class UndoFact:
    message_id: str
    answer_id: str | None
    annotator_id: str
    seq: int
    at: str
    event_id: str


@value()
class SelectionFact:
    message_id: str
    seq: int
    at: str
    event_id: str


@dataclass(slots=True)
class Conversation:
    """The state of one conversation after ``seq`` events.

    ``turn_seq`` is the seq of the last event that moved the visible path: what a gesture on the tip must have seen.
    ``active`` names the visible child of each node (``None`` stands for the root). ``pairs`` holds, by the message that
    they answer, the answers that were drawn last to stand side by side. A redactor says in ``opener`` what
    the first message was before it changed it, and in ``blocked`` which messages must not be published, and why.
    """

    id: str
    annotator_id: str = ""
    seq: int = 0
    turn_seq: int = 0
    started: ConversationStarted | None = None
    started_at: str = ""
    changed_at: str = ""
    cleared: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    active: dict[str | None, str | None] = field(default_factory=dict)
    votes: list[VoteFact] = field(default_factory=list)
    reasons: list[ReasonFact] = field(default_factory=list)
    comparisons: list[ComparisonFact] = field(default_factory=list)
    pairs: dict[str, PairFact] = field(default_factory=dict)
    reviewed: list[ReviewFact] = field(default_factory=list)
    undos: list[UndoFact] = field(default_factory=list)
    selections: list[SelectionFact] = field(default_factory=list)
    reviews: list[SpanReviewed] = field(default_factory=list)
    opener: str | None = None
    blocked: dict[str, str] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """What it was begun for: chat, compare, import, ...; empty before its beginning is known."""
        return self.started.mode if self.started else ""

    def visible(self) -> list[Message]:
        """The messages on the visible path, root first."""
        return list(self._walk())

    def _walk(self) -> Iterator[Message]:
        here: str | None = self.active.get(None)
        while here is not None:
            message = self.messages[here]
            yield message
            here = self.active.get(here)

    def path(self, message_id: str) -> list[Message]:
        """From the root to a message, itself included."""
        steps: list[Message] = []
        here: str | None = message_id
        while here is not None:
            message = self.messages[here]
            steps.append(message)
            here = message.parent_id
        steps.reverse()
        return steps

    def siblings(self, message_id: str) -> list[Message]:
        """The message and everything under the same parent, in the order they came."""
        parent = self.messages[message_id].parent_id
        ids = self.roots if parent is None else self.messages[parent].children
        return [self.messages[sibling] for sibling in ids]

    def vote_of(self, annotator_id: str, message_id: str) -> int:
        """What stands: 1, -1, or 0 when never cast or withdrawn."""
        last = self._last_vote(annotator_id, message_id)
        return last.vote if last else 0

    def reason_of(self, annotator_id: str, message_id: str) -> ReasonFact | None:
        """Why the annotator's standing vote was cast: a reason goes with the vote that it was given for."""
        vote = self._last_vote(annotator_id, message_id)
        for fact in reversed(self.reasons):
            if fact.message_id == message_id and fact.annotator_id == annotator_id:
                return fact if vote and fact.seq > vote.seq else None
        return None

    def _last_vote(self, annotator_id: str, message_id: str) -> VoteFact | None:
        for fact in reversed(self.votes):
            if fact.message_id == message_id and fact.annotator_id == annotator_id:
                return fact
        return None

    def comparison_of(self, annotator_id: str, pair: frozenset[str]) -> Compared | None:
        """The annotator's last word on two answers, or ``None``."""
        for fact in reversed(self.comparisons):
            if fact.annotator_id == annotator_id and fact.pair == pair:
                return fact.compared
        return None
