"""How much room a conversation has left: no one conversation may grow until reading it is slow for everybody."""

from __future__ import annotations

from collections.abc import Sequence

from labeler.chat.desk import Decide
from labeler.core.conversation import Conversation
from labeler.core.events import AnswerEdited, ConversationCleared, MessageSent, Payload, ReplyStarted
from labeler.errors import GestureRefused
from labeler.study import Limits

ADDS_A_MESSAGE = (MessageSent, ReplyStarted, AnswerEdited)


def with_room(decide: Decide, limits: Limits) -> Decide:
    """The same decision, refused where it would make the conversation longer than the study allows."""

    def decided(conversation: Conversation) -> list[Payload]:
        payloads = decide(conversation)
        check_room(conversation, payloads, limits)
        return payloads

    return decided


def check_room(conversation: Conversation, payloads: Sequence[Payload], limits: Limits) -> None:
    """Refuse what would make a conversation longer than the study allows; it can always be cleared.

    Raises:
        GestureRefused: a line that says what to do.
    """
    added, clears = 0, False
    for payload in payloads:
        added += isinstance(payload, ADDS_A_MESSAGE)
        clears = clears or isinstance(payload, ConversationCleared)
    if added and len(conversation.messages) + added > limits.conversation_messages:
        raise GestureRefused(
            f"This conversation is full: it may hold {limits.conversation_messages:,} messages, answers beside each"
            " other included. Begin a new conversation."
        )
    if payloads and not clears and conversation.seq + len(payloads) > limits.conversation_events:
        raise GestureRefused(
            f"This conversation is full: it may hold {limits.conversation_events:,} gestures. Begin a new conversation."
        )
