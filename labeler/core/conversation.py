"""A conversation as a tree of messages, folded from its events.

Every message is a node; answers to one message are siblings, and so are the rewrites of one's own message. Nothing is
ever removed: retry, edit and undo only move the visible path, which follows one active child from the root down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from labeler.core.events import (
    AnswerEdited,
    AnswerSelected,
    Compared,
    ComparisonWithdrawn,
    ConversationAdopted,
    ConversationCleared,
    ConversationStarted,
    Erased,
    MessageSent,
    NewEvent,
    Payload,
    ReasonGiven,
    ReplyFinished,
    ReplyStarted,
    SpanReviewed,
    Status,
    TurnUndone,
    VoteCast,
    VoteWithdrawn,
)
from labeler.core.values import value
from labeler.errors import LogError

Role = Literal["user", "assistant"]
Origin = Literal["user", "model", "human_edit"]
F = TypeVar("F", "VoteFact", "ReasonFact", "ComparisonFact", "UndoFact")


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
    ``active`` names the visible child of each node (``None`` stands for the root). A redactor says in ``opener`` what
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
    undos: list[UndoFact] = field(default_factory=list)
    selections: list[SelectionFact] = field(default_factory=list)
    reviews: list[SpanReviewed] = field(default_factory=list)
    opener: str | None = None
    blocked: dict[str, str] = field(default_factory=dict)

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


def replay(conversation_id: str, events: Iterable[NewEvent]) -> Conversation:
    """Fold a conversation's events, in seq order, from nothing."""
    conversation = Conversation(conversation_id)
    for event in events:
        apply(conversation, event)
    return conversation


def apply(conversation: Conversation, event: NewEvent) -> None:
    """Take one more event in.

    Raises:
        LogError: the event is not this conversation's next one, or names a message that is not there, not in its
            place, or there already.
    """
    if event.conversation_id != conversation.id or event.seq != conversation.seq + 1:
        raise LogError(
            f"conversation {conversation.id}: event {event.event_id} has seq {event.seq},"
            f" expected {conversation.seq + 1}"
        )
    payload = event.payload
    fold = _FOLDS.get(type(payload))
    if fold is None:
        raise LogError(f"conversation {conversation.id}: '{payload.kind}' is not an event of a conversation")
    try:
        fold(conversation, payload, event)
    except KeyError as error:
        raise LogError(
            f"conversation {conversation.id}: event {event.event_id} names an unknown message {error.args[0]!r}"
        ) from error
    conversation.seq = event.seq
    conversation.changed_at = event.at
    if isinstance(payload, _MOVES):
        conversation.turn_seq = event.seq


def _require(conversation: Conversation, *message_ids: str) -> None:
    for message_id in message_ids:
        if message_id not in conversation.messages:
            raise KeyError(message_id)


def _started(conversation: Conversation, payload: ConversationStarted, event: NewEvent) -> None:
    conversation.started = payload
    conversation.annotator_id = event.annotator_id
    conversation.started_at = event.at


def _add(conversation: Conversation, message: Message) -> None:
    if message.id in conversation.messages:
        raise LogError(f"conversation {conversation.id}: message {message.id} is there already")
    siblings = conversation.roots if message.parent_id is None else conversation.messages[message.parent_id].children
    conversation.messages[message.id] = message
    siblings.append(message.id)
    conversation.active[message.parent_id] = message.id


def _sent(conversation: Conversation, payload: MessageSent, event: NewEvent) -> None:
    message = Message(
        id=payload.message_id,
        parent_id=payload.parent_id,
        role="user",
        origin="user",
        content=payload.content,
        status="complete",
        edits=payload.edits,
        annotator_id=event.annotator_id,
        seq=event.seq,
        at=event.at,
        event_ids=(event.event_id,),
    )
    _add(conversation, message)


def _reply_started(conversation: Conversation, payload: ReplyStarted, event: NewEvent) -> None:
    if conversation.messages[payload.parent_id].role != "user":
        raise LogError(f"conversation {conversation.id}: answer {payload.message_id} answers no message")
    message = Message(
        id=payload.message_id,
        parent_id=payload.parent_id,
        role="assistant",
        origin="model",
        content="",
        status=None,
        retries=payload.retries,
        started=payload,
        annotator_id=event.annotator_id,
        seq=event.seq,
        at=event.at,
        event_ids=(event.event_id,),
    )
    _add(conversation, message)


def _reply_finished(conversation: Conversation, payload: ReplyFinished, event: NewEvent) -> None:
    message = conversation.messages[payload.message_id]
    if message.origin != "model":
        raise LogError(f"conversation {conversation.id}: event {event.event_id} ends no reply of a model")
    message.content = payload.content
    message.status = payload.status
    message.finished = payload
    message.event_ids = (*message.event_ids, event.event_id)


def _answer_edited(conversation: Conversation, payload: AnswerEdited, event: NewEvent) -> None:
    rewritten = conversation.messages[payload.edits]
    if rewritten.role != "assistant":
        raise LogError(f"conversation {conversation.id}: answer {payload.message_id} rewrites no answer")
    if rewritten.parent_id != payload.parent_id:
        raise LogError(f"conversation {conversation.id}: answer {payload.message_id} rewrites one to another message")
    message = Message(
        id=payload.message_id,
        parent_id=payload.parent_id,
        role="assistant",
        origin="human_edit",
        content=payload.content,
        status="complete",
        edits=payload.edits,
        annotator_id=event.annotator_id,
        seq=event.seq,
        at=event.at,
        event_ids=(event.event_id,),
    )
    _add(conversation, message)


def _answer_selected(conversation: Conversation, payload: AnswerSelected, event: NewEvent) -> None:
    message = conversation.messages[payload.message_id]
    conversation.active[message.parent_id] = message.id
    conversation.selections.append(SelectionFact(message.id, event.seq, event.at, event.event_id))


def _vote_cast(conversation: Conversation, payload: VoteCast, event: NewEvent) -> None:
    _require(conversation, payload.message_id)
    conversation.votes.append(_vote_fact(payload.message_id, payload.vote, event))


def _vote_withdrawn(conversation: Conversation, payload: VoteWithdrawn, event: NewEvent) -> None:
    _require(conversation, payload.message_id)
    conversation.votes.append(_vote_fact(payload.message_id, 0, event))


def _vote_fact(message_id: str, vote: int, event: NewEvent) -> VoteFact:
    return VoteFact(message_id, event.annotator_id, vote, event.seq, event.at, event.event_id)


def _reason_given(conversation: Conversation, payload: ReasonGiven, event: NewEvent) -> None:
    _require(conversation, payload.message_id)
    fact = ReasonFact(
        payload.message_id,
        event.annotator_id,
        payload.reasons,
        payload.comment,
        event.seq,
        event.at,
        event.event_id,
    )
    conversation.reasons.append(fact)


def _compared(conversation: Conversation, payload: Compared | ComparisonWithdrawn, event: NewEvent) -> None:
    _require(conversation, payload.message_a, payload.message_b)
    compared = payload if isinstance(payload, Compared) else None
    fact = ComparisonFact(
        payload.message_a,
        payload.message_b,
        event.annotator_id,
        compared,
        event.seq,
        event.at,
        event.event_id,
    )
    conversation.comparisons.append(fact)


def _turn_undone(conversation: Conversation, payload: TurnUndone, event: NewEvent) -> None:
    message = conversation.messages[payload.message_id]
    conversation.active[message.parent_id] = None
    fact = UndoFact(payload.message_id, payload.answer_id, event.annotator_id, event.seq, event.at, event.event_id)
    conversation.undos.append(fact)


def _cleared(conversation: Conversation, payload: ConversationCleared, event: NewEvent) -> None:
    conversation.cleared = True


def _adopted(conversation: Conversation, payload: ConversationAdopted, event: NewEvent) -> None:
    """What one person gave under two ids is theirs under one: a vote that they change is no second opinion."""
    if conversation.annotator_id != payload.former:
        raise LogError(f"conversation {conversation.id}: event {event.event_id} adopts it from somebody else")

    def renamed(facts: list[F]) -> list[F]:
        mine = event.annotator_id
        return [replace(fact, annotator_id=mine) if fact.annotator_id == payload.former else fact for fact in facts]

    conversation.annotator_id = event.annotator_id
    for message in conversation.messages.values():
        if message.annotator_id == payload.former:
            message.annotator_id = event.annotator_id
    conversation.votes = renamed(conversation.votes)
    conversation.reasons = renamed(conversation.reasons)
    conversation.comparisons = renamed(conversation.comparisons)
    conversation.undos = renamed(conversation.undos)


def _span_reviewed(conversation: Conversation, payload: SpanReviewed, event: NewEvent) -> None:
    conversation.reviews.append(payload)


def _erased(conversation: Conversation, payload: Erased, event: NewEvent) -> None:
    """A tombstone keeps its place in the sequence and says nothing."""


_FOLDS: dict[type[Payload], Any] = {
    ConversationStarted: _started,
    MessageSent: _sent,
    ReplyStarted: _reply_started,
    ReplyFinished: _reply_finished,
    AnswerEdited: _answer_edited,
    AnswerSelected: _answer_selected,
    VoteCast: _vote_cast,
    VoteWithdrawn: _vote_withdrawn,
    ReasonGiven: _reason_given,
    Compared: _compared,
    ComparisonWithdrawn: _compared,
    TurnUndone: _turn_undone,
    ConversationCleared: _cleared,
    ConversationAdopted: _adopted,
    SpanReviewed: _span_reviewed,
    Erased: _erased,
}
_MOVES = (
    ConversationStarted,
    MessageSent,
    ReplyStarted,
    AnswerEdited,
    AnswerSelected,
    TurnUndone,
    ConversationCleared,
)
