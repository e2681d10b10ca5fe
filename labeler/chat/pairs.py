"""What the page shows of a conversation whose answers are compared: its past, and the two answers at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labeler.chat.views import Written, text_of
from labeler.core.blindness import named_itself
from labeler.core.choosing import Choice, answers_of, choice_of, comparable, last_pair, standing_choice
from labeler.core.conversation import Conversation, Message, PairFact


@dataclass(frozen=True, slots=True)
class Side:
    """One of two answers. ``status`` is complete, stopped, failed or writing. ``model`` is told after the choice;
    ``named_itself`` says that the answer had given it away before."""

    id: str
    text: str
    status: str
    error: str | None = None
    model: str | None = None
    named_itself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PairShown:
    """The two answers at the end of a conversation, left one first, and what was chosen."""

    message_id: str
    left: Side
    right: Side
    comparable: bool = False
    choice: Choice | None = None
    reasons: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A message of the past: a question, or the answer that the conversation went on from."""

    id: str
    role: str
    text: str

    @classmethod
    def of(cls, message: Message) -> Line:
        return cls(message.id, message.role, message.content)


@dataclass(frozen=True, slots=True)
class PairView:
    """One conversation. ``running`` says that answers are being written in it."""

    conversation_id: str
    turn_seq: int
    running: bool
    past: tuple[Line, ...]
    pair: PairShown | None


NO_PAIR = PairView("", 0, False, (), None)


def pair_view_of(conversation: Conversation, replies: Mapping[str, Written], *, running: bool) -> PairView:
    """The view of the annotator who began the conversation; a cleared one is empty."""
    if conversation.cleared:
        return NO_PAIR
    path = conversation.visible()
    pair = last_pair(conversation)
    past = path if pair is None else path[:-1]
    shown = None if pair is None else _shown(conversation, pair, replies, running=running)
    lines = tuple(map(Line.of, past))
    return PairView(conversation.id, conversation.turn_seq, running, lines, shown)


def _shown(conversation: Conversation, pair: PairFact, replies: Mapping[str, Written], *, running: bool) -> PairShown:
    standing = standing_choice(conversation, conversation.annotator_id, pair)

    def side(answer: Message) -> Side:
        text, status, error = text_of(answer, replies, running=running)
        if standing is None or answer.started is None:
            return Side(answer.id, text, status, error)
        return Side(answer.id, text, status, error, answer.started.model, named_itself(conversation, answer))

    left, right = (side(answer) for answer in answers_of(conversation, pair))
    return PairShown(
        message_id=pair.drawn.message_id,
        left=left,
        right=right,
        comparable=comparable(conversation, pair),
        choice=choice_of(pair, standing) if standing else None,
        reasons=standing.reasons if standing else (),
        comment=standing.comment if standing else "",
    )
