"""What is done side by side: two models answer, somebody chooses, and the choice decides which answer goes on.

Pure functions from a conversation to the payloads of new events, as in ``gestures``. A pair of answers has been seen by
nobody who knows which model wrote which, until a choice is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from labeler.core.conversation import Conversation, Message, PairFact
from labeler.core.events import (
    AnswerSelected,
    Compared,
    ComparisonWithdrawn,
    MessageSent,
    PairDrawn,
    Payload,
    Side,
    Winner,
    swapped,
)
from labeler.core.gestures import Draw
from labeler.errors import GestureRefused, NotFound

# As the page names them: A stands on the left.
Choice = Literal["a_much", "a", "same", "both_bad", "b", "b_much"]
BETTER, MUCH_BETTER = 2, 3
MEANING: Mapping[Choice, tuple[Winner, int]] = {
    "a_much": ("a", MUCH_BETTER),
    "a": ("a", BETTER),
    "same": ("tie", 0),
    "both_bad": ("both_bad", 0),
    "b": ("b", BETTER),
    "b_much": ("b", MUCH_BETTER),
}

WRITING = "Both answers have to end first."
CHOOSE_FIRST = "Choose between the two answers first; then go on."
NOTHING_TO_COMPARE = "There is nothing to compare here: one of the two answers is not complete. Try again, or go on."
GONE_ON = "You have gone on from here, so this choice stands."
TRY_AGAIN = "Neither of the two answers can be gone on from. Try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDraw:
    """What was drawn for one turn: two replies, which of them stands left, and how likely the two models were."""

    a: Draw
    b: Draw
    left: Side
    policy: str
    propensity: float

    def payloads(self, message_id: str) -> list[Payload]:
        drawn = PairDrawn(
            message_id=message_id,
            answer_a=self.a.message_id,
            answer_b=self.b.message_id,
            model_a=self.a.model,
            model_b=self.b.model,
            left=self.left,
            policy=self.policy,
            propensity=self.propensity,
        )
        return [drawn, self.a.reply(message_id), self.b.reply(message_id)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Milliseconds until the choice: since each side was first in view, and since both answers were there."""

    seen_left: int | None = None
    seen_right: int | None = None
    decision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What somebody chose, and why; ``choice`` None takes it back."""

    choice: Choice | None
    reasons: tuple[str, ...] = ()
    comment: str = ""
    times: Times = Times()


def answers_of(conversation: Conversation, pair: PairFact) -> tuple[Message, Message]:
    """The two answers, left one first."""
    a, b = (conversation.messages[one] for one in (pair.drawn.answer_a, pair.drawn.answer_b))
    return (a, b) if pair.drawn.left == "a" else (b, a)


def _ended(conversation: Conversation, pair: PairFact) -> tuple[Message, Message]:
    """The two answers. Raises GestureRefused while one of them is being written."""
    both = answers_of(conversation, pair)
    if any(answer.status is None for answer in both):
        raise GestureRefused(WRITING)
    return both


def comparable(conversation: Conversation, pair: PairFact) -> bool:
    """Whether both answers are complete."""
    return all(answer.complete for answer in answers_of(conversation, pair))


def gone_on(conversation: Conversation, pair: PairFact) -> bool:
    """Whether the conversation went on from one of the two answers."""
    return any(answer.children for answer in answers_of(conversation, pair))


def standing_choice(conversation: Conversation, annotator_id: str, pair: PairFact) -> Compared | None:
    """The annotator's word on a pair, or None."""
    return conversation.comparison_of(annotator_id, frozenset((pair.drawn.answer_a, pair.drawn.answer_b)))


def last_pair(conversation: Conversation) -> PairFact | None:
    """The pair at the end of the visible path."""
    path = conversation.visible()
    return conversation.pairs.get(path[-1].parent_id or "") if path else None


def ask(conversation: Conversation, message_id: str, content: str, draw: PairDraw, coin: Side) -> list[Payload]:
    """Say something, and let two models answer; ``coin`` says which of two equally good answers goes on."""
    if not content.strip():
        return []
    selected, parent_id = _continuing(conversation, coin)
    sent = MessageSent(message_id=message_id, parent_id=parent_id, content=content)
    return [*selected, sent, *draw.payloads(message_id)]


def _continuing(conversation: Conversation, coin: Side) -> tuple[list[Payload], str | None]:
    pair = last_pair(conversation)
    if pair is None:
        path = conversation.visible()
        return [], path[-1].id if path else None
    answer = _successor(conversation, pair, coin)
    if conversation.active.get(answer.parent_id) == answer.id:
        return [], answer.id
    return [AnswerSelected(message_id=answer.id)], answer.id


def _successor(conversation: Conversation, pair: PairFact, coin: Side) -> Message:
    """The answer that goes on: the better one; of two as good a random one; and the only one, if the other failed."""
    both = _ended(conversation, pair)
    if comparable(conversation, pair):
        choice = standing_choice(conversation, conversation.annotator_id, pair)
        if choice is None:
            raise GestureRefused(CHOOSE_FIRST)
        if choice.winner in ("a", "b"):
            return conversation.messages[choice.message_a if choice.winner == "a" else choice.message_b]
        return both[0 if coin == "a" else 1]
    usable = [answer for answer in both if answer.complete] or [one for one in both if one.status == "stopped"]
    if not usable or not usable[0].content.strip():
        raise GestureRefused(TRY_AGAIN)
    return usable[0]


def try_again(conversation: Conversation, draw: PairDraw) -> list[Payload]:
    """Have the last message answered by a new pair, because there was nothing to compare."""
    pair = last_pair(conversation)
    if pair is None:
        raise GestureRefused("There is nothing to try again yet.")
    _ended(conversation, pair)
    if comparable(conversation, pair):
        raise GestureRefused(CHOOSE_FIRST)
    return draw.payloads(pair.drawn.message_id)


def choose(conversation: Conversation, annotator_id: str, message_id: str, verdict: Verdict) -> list[Payload]:
    """Choose between the answers to a message, or take the choice back, until the next turn."""
    pair = conversation.pairs.get(message_id)
    if pair is None:
        raise NotFound("That comparison is not in this conversation. Reload the page.")
    _ended(conversation, pair)
    if not comparable(conversation, pair):
        raise GestureRefused(NOTHING_TO_COMPARE)
    if gone_on(conversation, pair):
        raise GestureRefused(GONE_ON)
    before = standing_choice(conversation, annotator_id, pair)
    if verdict.choice is None:
        both = {"message_a": pair.drawn.answer_a, "message_b": pair.drawn.answer_b}
        return [ComparisonWithdrawn(**both)] if before else []
    drawn = pair.drawn
    compared = compared_of(drawn.answer_a, drawn.answer_b, verdict, verdict.choice, a_left=drawn.left == "a")
    return [] if before is not None and _says(before) == _says(compared) else [compared]


def compared_of(message_a: str, message_b: str, verdict: Verdict, choice: Choice, *, a_left: bool) -> Compared:
    """A choice between left and right as one between the answers a and b."""
    winner, strength = MEANING[choice]
    seen = (verdict.times.seen_left, verdict.times.seen_right)
    seen_a, seen_b = seen if a_left else seen[::-1]
    return Compared(
        message_a=message_a,
        message_b=message_b,
        winner=winner if a_left else swapped(winner),
        strength=strength,
        position="a_left" if a_left else "b_left",
        reasons=verdict.reasons,
        comment=verdict.comment,
        seen_a_ms=seen_a,
        seen_b_ms=seen_b,
        decision_ms=verdict.times.decision,
    )


def choice_of(pair: PairFact, compared: Compared) -> Choice | None:
    """The other way round: how the page names what was chosen; None if it has no name for it."""
    winner = compared.winner if pair.drawn.left == "a" else swapped(compared.winner)
    for choice, meaning in MEANING.items():
        if meaning == (winner, compared.strength):
            return choice
    return None


def _says(compared: Compared) -> tuple[object, ...]:
    return compared.winner, compared.strength, compared.reasons, compared.comment
