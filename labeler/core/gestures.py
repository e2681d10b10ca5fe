"""What a gesture means: pure functions from a conversation to the payloads of new events.

An empty list means that nothing happened and nothing is stored. A gesture that may not be made raises GestureRefused
with the line that the page shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labeler.core.conversation import Conversation, Message
from labeler.core.events import (
    AnswerEdited,
    AnswerSelected,
    Compared,
    ComparisonWithdrawn,
    ConversationAdopted,
    ConversationCleared,
    MessageSent,
    Payload,
    ReasonGiven,
    ReplyFinished,
    ReplyStarted,
    TurnUndone,
    VoteCast,
    VoteWithdrawn,
    Winner,
)
from labeler.core.text import normal
from labeler.errors import GestureRefused, NotFound

RETRY_STRENGTH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What was drawn for one reply before it starts: its id, the model, and sampling parameters with a fresh seed."""

    message_id: str
    model: str
    model_id: str
    model_revision: str | None
    sampling: dict[str, Any]
    system_prompt_sha256: str | None

    def reply(self, parent_id: str, *, retries: str | None = None) -> ReplyStarted:
        return ReplyStarted(
            message_id=self.message_id,
            parent_id=parent_id,
            model=self.model,
            model_id=self.model_id,
            model_revision=self.model_revision,
            sampling=self.sampling,
            system_prompt_sha256=self.system_prompt_sha256,
            retries=retries,
        )


def send(conversation: Conversation, message_id: str, content: str, draw: Draw) -> list[Payload]:
    """Say something at the end of the visible path, and let the model answer."""
    if not content.strip():
        return []
    path = conversation.visible()
    parent_id = path[-1].id if path else None
    return [MessageSent(message_id=message_id, parent_id=parent_id, content=content), draw.reply(message_id)]


def retry(conversation: Conversation, draw: Draw) -> list[Payload]:
    """Answer the last message again; the answer that showed stays in the tree."""
    path = conversation.visible()
    if not path:
        raise GestureRefused("There is nothing to retry yet.")
    last = path[-1]
    if last.role == "user":
        return [draw.reply(last.id)]
    return [draw.reply(_parent(last), retries=last.id)]


def edit_answer(conversation: Conversation, answer_id: str, new_id: str, content: str) -> list[Payload]:
    """Rewrite an answer: a sibling by the annotator. Later turns stay in the tree, off the visible path."""
    answer = answer_in(conversation, answer_id)
    if answer.status is None:
        raise GestureRefused("This answer has not ended. Edit it when it has, or retry it.")
    if not content.strip():
        raise GestureRefused("An answer cannot be empty. Dislike it instead, or write what it should say.")
    if content == answer.content:
        return []
    return [AnswerEdited(message_id=new_id, parent_id=_parent(answer), edits=answer_id, content=content)]


def edit_message(conversation: Conversation, message_id: str, new_id: str, content: str, draw: Draw) -> list[Payload]:
    """Rewrite one's own message: a new branch, answered again."""
    message = message_in(conversation, message_id)
    if message.role != "user":
        raise GestureRefused("That is not a message of yours.")
    if not content.strip():
        raise GestureRefused("A message cannot be empty.")
    if content == message.content:
        return []
    sent = MessageSent(message_id=new_id, parent_id=message.parent_id, content=content, edits=message_id)
    return [sent, draw.reply(new_id)]


def undo(conversation: Conversation) -> list[Payload]:
    """Take the last turn off the visible path."""
    for message in reversed(path := conversation.visible()):
        if message.role == "user":
            answer_id = path[-1].id if path[-1].role == "assistant" else None
            return [TurnUndone(message_id=message.id, answer_id=answer_id)]
    return []


def clear(conversation: Conversation) -> list[Payload]:
    """Close the conversation."""
    return [] if conversation.cleared or not conversation.messages else [ConversationCleared()]


def adopt(conversation: Conversation, annotator_id: str) -> list[Payload]:
    """Take over a conversation that one began before one signed in."""
    if conversation.annotator_id == annotator_id:
        return []
    return [ConversationAdopted(former=conversation.annotator_id)]


def select(conversation: Conversation, message_id: str) -> list[Payload]:
    """Turn to another sibling."""
    message = message_in(conversation, message_id)
    if conversation.active.get(message.parent_id) == message_id:
        return []
    return [AnswerSelected(message_id=message_id)]


def vote(conversation: Conversation, annotator_id: str, message_id: str, value: int) -> list[Payload]:
    """Like (1), dislike (-1) or withdraw (0)."""
    answer = answer_in(conversation, message_id)
    if answer.status is None:
        raise GestureRefused("This answer has not ended. Vote when it has, or retry it.")
    if conversation.vote_of(annotator_id, message_id) == value:
        return []
    if value == 0:
        return [VoteWithdrawn(message_id=message_id)]
    if value not in (1, -1):
        raise GestureRefused("A vote is 1, -1 or 0.")
    return [VoteCast(message_id=message_id, vote=1 if value == 1 else -1)]


def give_reason(
    conversation: Conversation, annotator_id: str, message_id: str, reasons: tuple[str, ...], comment: str
) -> list[Payload]:
    """Say why one voted so; needs a vote that stands."""
    answer_in(conversation, message_id)
    if conversation.vote_of(annotator_id, message_id) == 0:
        raise GestureRefused("Vote first, then say why.")
    before = conversation.reason_of(annotator_id, message_id)
    if (before.reasons, before.comment) == (reasons, comment) if before else not (reasons or comment):
        return []
    return [ReasonGiven(message_id=message_id, reasons=reasons, comment=comment)]


def compare_retry(conversation: Conversation, annotator_id: str, new_id: str, winner: Winner | None) -> list[Payload]:
    """Answer "Was this answer better?": ``b`` is the new answer, ``a`` the one that showed; ``None`` withdraws."""
    question = retry_question(conversation, new_id)
    if question is None:
        raise GestureRefused("There is nothing to compare here: both answers must be complete and differ.")
    old, new = question
    standing = conversation.comparison_of(annotator_id, frozenset((old.id, new.id)))
    if (standing.winner if standing else None) == winner:
        return []
    if winner is None:
        return [ComparisonWithdrawn(message_a=old.id, message_b=new.id)]
    strength = RETRY_STRENGTH if winner in ("a", "b") else 0
    return [Compared(message_a=old.id, message_b=new.id, winner=winner, strength=strength, position="a_first")]


def retry_question(conversation: Conversation, new_id: str) -> tuple[Message, Message] | None:
    """The two answers of a retry that the page asks about: both complete and different, else ``None``."""
    new = conversation.messages.get(new_id)
    old = conversation.messages.get(new.retries) if new and new.retries else None
    if new is None or old is None or not (new.complete and old.complete):
        return None
    return None if normal(new.content) == normal(old.content) else (old, new)


def finish(conversation: Conversation, finished: ReplyFinished) -> list[Payload]:
    """Store how a reply ended; one that has already ended stays as it is."""
    answer = answer_in(conversation, finished.message_id)
    return [] if answer.status is not None else [finished]


def message_in(conversation: Conversation, message_id: str) -> Message:
    message = conversation.messages.get(message_id)
    if message is None:
        raise NotFound("That message is not in this conversation. Reload the page.")
    return message


def answer_in(conversation: Conversation, message_id: str) -> Message:
    message = message_in(conversation, message_id)
    if message.role != "assistant":
        raise GestureRefused("That is not an answer.")
    return message


def _parent(answer: Message) -> str:
    if answer.parent_id is None:
        raise GestureRefused("That answer has no question.")
    return answer.parent_id
