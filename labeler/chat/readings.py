"""What a front end reads back: a conversation as a whole tree, and the log of what it told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeler.core.conversation import Conversation, Message
from labeler.core.events import Event, Winner


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRead:
    """One message. ``status`` is complete, stopped, failed, or started while the end of an answer was not told.

    ``visible``: it is on the visible path. ``vote``, ``reasons`` and ``comment`` are what stands.
    """

    message_id: str
    parent_id: str | None
    role: str
    origin: str
    content: str
    status: str
    visible: bool
    model: str | None = None
    edits: str | None = None
    retries: str | None = None
    vote: int = 0
    reasons: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonRead:
    """The annotator's last word on two answers."""

    message_a: str
    message_b: str
    winner: Winner
    strength: int
    reasons: tuple[str, ...]
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A conversation as its annotator left it; messages in the order in which they came.

    ``turn_seq`` is the seq of the last event that moved the visible path.
    """

    conversation_id: str
    annotator_id: str
    system_prompt: str | None
    language: str | None
    seq: int
    turn_seq: int
    cleared: bool
    messages: tuple[MessageRead, ...]
    comparisons: tuple[ComparisonRead, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, in the order of positions. Whoever goes on asks for what comes ``after``; ``more``: there is now."""

    events: Sequence[Event]
    after: int
    more: bool


def reading_of(conversation: Conversation) -> Reading:
    """What its annotator gave; what others said of it is theirs."""
    started = conversation.started
    visible = {message.id for message in conversation.visible()}
    return Reading(
        conversation_id=conversation.id,
        annotator_id=conversation.annotator_id,
        system_prompt=started.system_prompt if started else None,
        language=started.language if started else None,
        seq=conversation.seq,
        turn_seq=conversation.turn_seq,
        cleared=conversation.cleared,
        messages=tuple(_read(conversation, message, visible) for message in conversation.messages.values()),
        comparisons=_compared(conversation),
    )


def _read(conversation: Conversation, message: Message, visible: set[str]) -> MessageRead:
    me = conversation.annotator_id
    reason = conversation.reason_of(me, message.id)
    return MessageRead(
        message_id=message.id,
        parent_id=message.parent_id,
        role=message.role,
        origin=message.origin,
        content=message.content,
        status=message.status or "started",
        visible=message.id in visible,
        model=message.started.model if message.started else None,
        edits=message.edits,
        retries=message.retries,
        vote=conversation.vote_of(me, message.id),
        reasons=reason.reasons if reason else (),
        comment=reason.comment if reason else "",
    )


def _compared(conversation: Conversation) -> tuple[ComparisonRead, ...]:
    facts = [fact for fact in conversation.comparisons if fact.annotator_id == conversation.annotator_id]
    last = {fact.pair: fact.compared for fact in facts}
    return tuple(
        ComparisonRead(one.message_a, one.message_b, one.winner, one.strength, one.reasons, one.comment)
        for one in last.values()
        if one is not None
    )
