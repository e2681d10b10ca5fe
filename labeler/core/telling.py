"""What another front end tells: gestures that were made there, with the texts that were shown there.

Pure functions from a conversation to the payloads of new events, as in ``gestures``. The one who made a gesture is the
conversation's annotator. What was told before is known again by what is stored (``says``): the ids that were given to
it then aside, it is the same gesture, or its key was used for another one.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from labeler.core import gestures
from labeler.core.conversation import Conversation, Message
from labeler.core.events import (
    AnswerEdited,
    AnswerSelected,
    Compared,
    ComparisonWithdrawn,
    ConversationCleared,
    ConversationStarted,
    MessageSent,
    Payload,
    ReasonGiven,
    ReplyFinished,
    ReplyStarted,
    Status,
    TurnUndone,
    VoteCast,
    VoteWithdrawn,
    Winner,
)
from labeler.core.text import normal
from labeler.core.values import value
from labeler.errors import GestureRefused, MovedOn
from labeler.ids import text_sha256

MODE = "told"
MOST_MESSAGES = 5_000
LARGEST_STRENGTH = 3

CLEARED = "That conversation was cleared. Begin another one."
EMPTY = "A message cannot be empty."
EMPTY_ANSWER = "A complete answer has a text; an empty one has failed."
ENDED = "That answer has ended already, and otherwise. Retry it, or edit it."
FULL = f"That conversation has {MOST_MESSAGES:,} messages, and takes no more. Begin another one."
NO_QUESTION = "There is no message to answer there: an answer stands under a message of the annotator's."
NOT_BESIDE = "Two answers are compared that stand under one message, are complete, and differ."
NOT_THE_LAST = "That is not the last message of the visible path: the conversation moved on. Read it, and decide again."
STRENGTH = f"A preference has a strength from 1 to {LARGEST_STRENGTH}; what prefers neither has none."


@value(kw_only=True)
class Telling:
    """One gesture, as it was told."""

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        """What is to be stored, nothing if nothing changes. ``new_id`` is for a message that it makes.

        Raises:
            GestureRefused: it may not be made, or names what is not there.
        """
        raise NotImplementedError

    def says(self, stored: Sequence[Payload]) -> bool:
        """Whether these payloads are what was stored of this very gesture."""
        raise NotImplementedError


@value(kw_only=True)
class Begun(Telling):
    """An annotator began a conversation."""

    study: str
    system_prompt: str | None = None
    language: str | None = None

    def started(self) -> ConversationStarted:
        # Each reply names its model, so the conversation itself has none.
        return ConversationStarted(
            study=self.study, mode=MODE, model="", system_prompt=self.system_prompt, language=self.language
        )

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        return [self.started()]

    def says(self, stored: Sequence[Payload]) -> bool:
        return list(stored) == [self.started()]


@value(kw_only=True)
class Said(Telling):
    """The annotator wrote a message: under ``parent_id``, or at the end of the visible path."""

    content: str
    parent_id: str | None = None

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        _open(conversation)
        if not self.content.strip():
            raise GestureRefused(EMPTY)
        parent = self.parent_id or _tip(conversation)
        if parent is not None and gestures.message_in(conversation, parent).status is None:
            raise GestureRefused("The answer before that message has not ended.")
        return [MessageSent(message_id=new_id, parent_id=parent, content=self.content)]

    def says(self, stored: Sequence[Payload]) -> bool:
        match stored:
            case [MessageSent(content=content, parent_id=parent, edits=None)]:
                return content == self.content and self.parent_id in (None, parent)
        return False


@value(kw_only=True)
class End:
    """How an answer ended. Counts and milliseconds are below 2**31."""

    content: str
    status: Status
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: int | None = None
    first_token_ms: int | None = None
    error: str | None = None

    def payload(self, message_id: str) -> ReplyFinished:
        if self.status == "complete" and not self.content.strip():
            raise GestureRefused(EMPTY_ANSWER)
        return ReplyFinished(
            message_id=message_id,
            content=self.content,
            status=self.status,
            finish_reason=self.finish_reason,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            latency_ms=self.latency_ms,
            first_token_ms=self.first_token_ms,
            error=self.error,
        )


@value(kw_only=True)
class Replied(Telling):
    """A model began to answer, and perhaps ended: the message ``parent_id``, or the last one of the visible path.

    ``retries`` names the answer that showed when another one was asked for; ``sampling`` is a JSON object as text.
    """

    model: str
    model_id: str
    model_revision: str | None = None
    sampling: str = "{}"
    parent_id: str | None = None
    retries: str | None = None
    end: End | None = None

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        _open(conversation)
        parent = self._question(conversation)
        prompt = conversation.started.system_prompt if conversation.started else None
        started = ReplyStarted(
            message_id=new_id,
            parent_id=parent.id,
            model=self.model,
            model_id=self.model_id,
            model_revision=self.model_revision,
            sampling=orjson.loads(self.sampling),
            system_prompt_sha256=text_sha256(prompt) if prompt else None,
            retries=self.retries,
        )
        return [started, self.end.payload(new_id)] if self.end else [started]

    def _question(self, conversation: Conversation) -> Message:
        named = self.parent_id or _tip(conversation)
        if self.retries is not None:
            shown = gestures.answer_in(conversation, self.retries)
            if shown.parent_id != (self.parent_id or shown.parent_id):
                raise GestureRefused(NO_QUESTION)
            named = shown.parent_id
        if named is None:
            raise GestureRefused(NO_QUESTION)
        question = gestures.message_in(conversation, named)
        if question.role != "user":
            raise GestureRefused(NO_QUESTION)
        return question

    def says(self, stored: Sequence[Payload]) -> bool:
        match stored:
            case [ReplyStarted() as started, *ends]:
                same = (started.model, started.model_id, started.model_revision, started.retries) == (
                    (self.model, self.model_id, self.model_revision, self.retries)
                )
                said = [self.end.payload(started.message_id)] if self.end else []
                placed = self.parent_id in (None, started.parent_id)
                return same and placed and dict(started.sampling) == orjson.loads(self.sampling) and ends == said
        return False


@value(kw_only=True)
class Ended(Telling):
    """An answer that had begun ended."""

    message_id: str
    end: End

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        answer = gestures.answer_in(conversation, self.message_id)
        finished = self.end.payload(self.message_id)
        if answer.status is not None and answer.finished != finished:
            raise GestureRefused(ENDED)
        return gestures.finish(conversation, finished)

    def says(self, stored: Sequence[Payload]) -> bool:
        return list(stored) == [self.end.payload(self.message_id)]


@value(kw_only=True)
class Edited(Telling):
    """The annotator rewrote an answer, or a message of their own, which then wants another answer."""

    message_id: str
    content: str

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        _open(conversation)
        message = gestures.message_in(conversation, self.message_id)
        if message.role == "assistant":
            return gestures.edit_answer(conversation, self.message_id, new_id, self.content)
        if not self.content.strip():
            raise GestureRefused(EMPTY)
        if self.content == message.content:
            return []
        sent = MessageSent(message_id=new_id, parent_id=message.parent_id, content=self.content, edits=self.message_id)
        return [sent]

    def says(self, stored: Sequence[Payload]) -> bool:
        match stored:
            case [AnswerEdited(edits=edits, content=content)] | [MessageSent(edits=edits, content=content)]:
                return (edits, content) == (self.message_id, self.content)
        return False


@value(kw_only=True)
class Selected(Telling):
    """The annotator turned to another sibling."""

    message_id: str

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        return gestures.select(conversation, self.message_id)

    def says(self, stored: Sequence[Payload]) -> bool:
        return list(stored) == [AnswerSelected(message_id=self.message_id)]


@value(kw_only=True)
class Undone(Telling):
    """The annotator took the last turn back, which began with ``message_id``."""

    message_id: str

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        gestures.message_in(conversation, self.message_id)
        undone = gestures.undo(conversation)
        match undone:
            case [TurnUndone(message_id=self.message_id)]:
                return undone
        raise MovedOn(NOT_THE_LAST)

    def says(self, stored: Sequence[Payload]) -> bool:
        match stored:
            case [TurnUndone(message_id=message_id)]:
                return message_id == self.message_id
        return False


@value(kw_only=True)
class Cleared(Telling):
    """The annotator cleared the chat."""

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        return gestures.clear(conversation)

    def says(self, stored: Sequence[Payload]) -> bool:
        return list(stored) == [ConversationCleared()]


@value(kw_only=True)
class Voted(Telling):
    """A like (1), a dislike (-1), or neither any more (0)."""

    message_id: str
    value: int

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        return gestures.vote(conversation, conversation.annotator_id, self.message_id, self.value)

    def says(self, stored: Sequence[Payload]) -> bool:
        match stored:
            case [VoteCast(message_id=message_id, vote=vote)]:
                return (message_id, vote) == (self.message_id, self.value)
        return self.value == 0 and list(stored) == [VoteWithdrawn(message_id=self.message_id)]


@value(kw_only=True)
class Explained(Telling):
    """Why the annotator voted so."""

    message_id: str
    reasons: tuple[str, ...] = ()
    comment: str = ""

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        return gestures.give_reason(
            conversation, conversation.annotator_id, self.message_id, self.reasons, self.comment
        )

    def says(self, stored: Sequence[Payload]) -> bool:
        given = ReasonGiven(message_id=self.message_id, reasons=self.reasons, comment=self.comment)
        return list(stored) == [given]


@value(kw_only=True)
class Preferred(Telling):
    """The annotator compared two answers to one message; ``winner`` None takes the last word on them back.

    ``strength`` is 1 to 3 for a preference, None for the usual 2; ``position`` and times as ``Compared`` has them.
    """

    message_a: str
    message_b: str
    winner: Winner | None
    strength: int | None = None
    position: str = ""
    reasons: tuple[str, ...] = ()
    comment: str = ""
    seen_a_ms: int | None = None
    seen_b_ms: int | None = None
    decision_ms: int | None = None

    def payload(self) -> Compared | ComparisonWithdrawn:
        if self.winner is None:
            return ComparisonWithdrawn(message_a=self.message_a, message_b=self.message_b)
        prefers = self.winner in ("a", "b")
        strength = self.strength if self.strength is not None else gestures.RETRY_STRENGTH if prefers else 0
        if (strength == 0) is prefers or not 0 <= strength <= LARGEST_STRENGTH:
            raise GestureRefused(STRENGTH)
        return Compared(
            message_a=self.message_a,
            message_b=self.message_b,
            winner=self.winner,
            strength=strength,
            position=self.position,
            reasons=self.reasons,
            comment=self.comment,
            seen_a_ms=self.seen_a_ms,
            seen_b_ms=self.seen_b_ms,
            decision_ms=self.decision_ms,
        )

    def decide(self, conversation: Conversation, new_id: str) -> list[Payload]:
        a, b = (gestures.answer_in(conversation, one) for one in (self.message_a, self.message_b))
        apart = a.parent_id != b.parent_id or normal(a.content) == normal(b.content)
        if apart or not (a.complete and b.complete):
            raise GestureRefused(NOT_BESIDE)
        payload = self.payload()
        before = conversation.comparison_of(conversation.annotator_id, frozenset((a.id, b.id)))
        unchanged = before is None if isinstance(payload, ComparisonWithdrawn) else before == payload
        return [] if unchanged else [payload]

    def says(self, stored: Sequence[Payload]) -> bool:
        return list(stored) == [self.payload()]


def _tip(conversation: Conversation) -> str | None:
    path = conversation.visible()
    return path[-1].id if path else None


def _open(conversation: Conversation) -> None:
    """Raises GestureRefused where nothing more can be said."""
    if conversation.cleared:
        raise GestureRefused(CLEARED)
    if len(conversation.messages) >= MOST_MESSAGES:
        raise GestureRefused(FULL)
