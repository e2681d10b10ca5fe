"""What the page shows of a conversation: the visible path, each message with its votes and siblings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from labeler.core import gestures
from labeler.core.conversation import Conversation, Message
from labeler.core.events import Winner

TITLE_CHARS = 60
LOST = "The server stopped while this answer was being written. Retry to get a new one."


class Written(Protocol):
    """An answer that is being written. ``unsaved`` says why its end could not be stored yet."""

    @property
    def unsaved(self) -> str | None: ...

    def text(self) -> str:
        """The answer so far."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An answer that another replica writes, as it last told."""

    said: str
    unsaved: str | None = None

    def text(self) -> str:
        return self.said


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One message as the page shows it to one annotator.

    ``status`` is complete, stopped, failed or writing; ``place`` counts from 1 among ``of`` siblings; ``question`` asks
    "Was this answer better?", and ``compared`` is the answer that stands.
    """

    id: str
    role: str
    text: str
    status: str
    origin: str
    error: str | None = None
    vote: int = 0
    reasons: tuple[str, ...] = ()
    comment: str = ""
    place: int = 1
    of: int = 1
    previous_id: str | None = None
    next_id: str | None = None
    question: bool = False
    compared: Winner | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The visible path of one conversation. ``running`` says that an answer is being written in it."""

    conversation_id: str
    turn_seq: int
    running: bool
    shown: tuple[Shown, ...]


EMPTY = View("", 0, False, ())


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation in the annotator's list."""

    id: str
    title: str
    at: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How much an annotator has done."""

    conversations: int
    answers: int
    votes: int
    edits: int
    comparisons: int


def view_of(conversation: Conversation, replies: Mapping[str, Written], *, running: bool) -> View:
    """The view of the annotator who began the conversation; a cleared one is empty.

    ``running`` may be true a moment before ``replies`` are there: a reply is announced before it is stored.
    """
    if conversation.cleared:
        return EMPTY
    shown = tuple(_shown(conversation, message, replies, running=running) for message in conversation.visible())
    return View(conversation.id, conversation.turn_seq, running, shown)


def _shown(conversation: Conversation, message: Message, replies: Mapping[str, Written], *, running: bool) -> Shown:
    me = conversation.annotator_id
    siblings = [sibling.id for sibling in conversation.siblings(message.id)]
    place = siblings.index(message.id)
    reason = conversation.reason_of(me, message.id)
    question = gestures.retry_question(conversation, message.id)
    standing = conversation.comparison_of(me, frozenset(answer.id for answer in question)) if question else None
    text, status, error = text_of(message, replies, running=running)
    return Shown(
        id=message.id,
        role=message.role,
        text=text,
        status=status,
        error=error,
        origin=message.origin,
        vote=conversation.vote_of(me, message.id),
        reasons=reason.reasons if reason else (),
        comment=reason.comment if reason else "",
        place=place + 1,
        of=len(siblings),
        previous_id=siblings[place - 1] if place else None,
        next_id=siblings[place + 1] if place + 1 < len(siblings) else None,
        question=question is not None,
        compared=standing.winner if standing else None,
    )


def text_of(message: Message, replies: Mapping[str, Written], *, running: bool) -> tuple[str, str, str | None]:
    """Text, status and error line of a message, a running reply's as it is now."""
    if message.status is not None:
        return message.content, message.status, message.finished.error if message.finished else None
    reply = replies.get(message.id)
    if reply is not None:
        return reply.text(), "writing", reply.unsaved
    return ("", "writing", None) if running and not replies else ("", "failed", LOST)


def title_of(opener: str) -> str:
    """One short line that names a conversation by what it began with."""
    line = " ".join(opener.split())
    return line if len(line) <= TITLE_CHARS else f"{line[: TITLE_CHARS - 1].rstrip()}…"
