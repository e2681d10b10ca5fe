"""How events make a conversation: folded one by one, in the order of seq, from nothing.

Whatever does not fit (a gap, an unknown message, an answer to an answer) is an error: a fold never guesses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from labeler.core.conversation import (
    ComparisonFact,
    Conversation,
    Message,
    PairFact,
    ReasonFact,
    ReviewFact,
    SelectionFact,
    UndoFact,
    VoteFact,
)
from labeler.core.events import (
    Adjudicated,
    AnswerEdited,
    AnswerSelected,
    AnswersFlagged,
    Compared,
    ComparisonWithdrawn,
    ConversationAdopted,
    ConversationCleared,
    ConversationStarted,
    Erased,
    MessageSent,
    NewEvent,
    PairDrawn,
    Payload,
    ReasonGiven,
    ReplyFinished,
    ReplyStarted,
    ReviewSkipped,
    SpanReviewed,
    TurnUndone,
    VoteCast,
    VoteWithdrawn,
)
from labeler.errors import LogError

F = TypeVar("F", VoteFact, ReasonFact, ComparisonFact, UndoFact, ReviewFact)


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


def _pair_drawn(conversation: Conversation, payload: PairDrawn, event: NewEvent) -> None:
    if conversation.messages[payload.message_id].role != "user":
        raise LogError(f"conversation {conversation.id}: event {event.event_id} has a pair answer no message")
    conversation.pairs[payload.message_id] = PairFact(payload, event.seq, event.at, event.event_id)


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


def _reviewed(
    conversation: Conversation, payload: ReviewSkipped | AnswersFlagged | Adjudicated, event: NewEvent
) -> None:
    fact = ReviewFact(payload, event.annotator_id, event.seq, event.at, event.event_id)
    _require(conversation, *fact.of)
    conversation.reviewed.append(fact)


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
    conversation.reviewed = renamed(conversation.reviewed)


def _span_reviewed(conversation: Conversation, payload: SpanReviewed, event: NewEvent) -> None:
    conversation.reviews.append(payload)


def _erased(conversation: Conversation, payload: Erased, event: NewEvent) -> None:
    """A tombstone keeps its place in the sequence and says nothing."""


_FOLDS: dict[type[Payload], Any] = {
    ConversationStarted: _started,
    MessageSent: _sent,
    PairDrawn: _pair_drawn,
    ReplyStarted: _reply_started,
    ReplyFinished: _reply_finished,
    AnswerEdited: _answer_edited,
    AnswerSelected: _answer_selected,
    VoteCast: _vote_cast,
    VoteWithdrawn: _vote_withdrawn,
    ReasonGiven: _reason_given,
    Compared: _compared,
    ComparisonWithdrawn: _compared,
    ReviewSkipped: _reviewed,
    AnswersFlagged: _reviewed,
    Adjudicated: _reviewed,
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
