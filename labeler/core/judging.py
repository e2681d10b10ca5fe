"""What annotators said of answers, in the form that statistics ask for: who judged what, how, and of which models.

Pure: a conversation in, judgements out. The same answers judged by several people are one unit, in whose terms all of
them are told: a is the answer that came first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labeler.core.blindness import named_itself
from labeler.core.conversation import ComparisonFact, Conversation, Message
from labeler.core.events import Compared, Winner, swapped
from labeler.core.reviewing import GOLD, item_id
from labeler.core.rules.facts import last_comparisons
from labeler.core.standing import Standing
from labeler.core.values import value

# Ordinal: from "a is much better" to "b is much better".
STEPS = ("a3", "a2", "a1", "tie", "b1", "b2", "b3")
WINNERS = ("a", "tie", "both_bad", "b")
VOTES = ("like", "dislike")
BY_HAND = "(rewritten by hand)"
_MARKS = re.compile(r"^#{1,6} |^\s*[-*+] |^\s*\d+\. |\*\*|`", re.MULTILINE)


@value()
class PairJudgement:
    """An annotator's word on two answers.

    ``side`` is 1 if a stood on the left, -1 if on the right, 0 if they did not stand side by side. ``length`` and
    ``style`` compare the answers: (a − b) / (a + b) of their lengths and of their Markdown marks. ``named``: one of
    the answers gave its model away.
    """

    unit: str
    annotator: str
    winner: Winner
    strength: int
    model_a: str
    model_b: str
    side: int
    length: float
    style: float
    named: bool
    reasons: tuple[str, ...]
    day: str
    decision_ms: int | None
    owner: bool
    gold: bool

    @property
    def step(self) -> str:
        """Where it stands on the ordinal scale; ties and "both bad" are its middle."""
        return f"{self.winner}{min(3, max(1, self.strength))}" if self.winner in ("a", "b") else "tie"

    @property
    def outcome(self) -> float:
        """1 if a is better, 0 if b is, 0.5 for any tie."""
        return {"a": 1.0, "b": 0.0}.get(self.winner, 0.5)


@value()
class VoteJudgement:
    """An annotator's thumb on an answer."""

    unit: str
    annotator: str
    like: bool
    model: str
    reasons: tuple[str, ...]
    day: str
    owner: bool
    gold: bool


def pair_judgements(conversation: Conversation, standing: Standing) -> Iterator[PairJudgement]:
    """The last word of everybody who may be heard on each two answers."""
    facts = [fact for fact in last_comparisons(conversation, standing) if len(fact.pair) == 2]
    places = {message_id: place for place, message_id in enumerate(conversation.messages)} if facts else {}
    compared_answers: dict[frozenset[str], _Answers] = {}
    for fact in facts:
        if fact.compared is None:
            continue
        answers = compared_answers.get(fact.pair)
        if answers is None:
            a, b = (conversation.messages[one] for one in sorted(fact.pair, key=places.__getitem__))
            answers = compared_answers[fact.pair] = _Answers.of(conversation, a, b)
        yield _pair(conversation, fact, fact.compared, answers)


@value()
class _Answers:
    """Two answers, and what a judgement of them says of them whoever made it."""

    a: Message
    b: Message
    length: float
    style: float
    named: bool

    @classmethod
    def of(cls, conversation: Conversation, a: Message, b: Message) -> _Answers:
        return cls(
            a,
            b,
            _contrast(len(a.content), len(b.content)),
            _contrast(len(_MARKS.findall(a.content)), len(_MARKS.findall(b.content))),
            named_itself(conversation, a) or named_itself(conversation, b),
        )


def _pair(conversation: Conversation, fact: ComparisonFact, compared: Compared, answers: _Answers) -> PairJudgement:
    a, b = answers.a, answers.b
    left = {"a_left": compared.message_a, "b_left": compared.message_b}.get(compared.position)
    return PairJudgement(
        item_id(conversation.id, a.id, b.id),
        fact.annotator_id,
        compared.winner if compared.message_a == a.id else swapped(compared.winner),
        compared.strength,
        model_of(a),
        model_of(b),
        0 if left is None else 1 if left == a.id else -1,
        answers.length,
        answers.style,
        answers.named,
        compared.reasons,
        fact.at[:10],
        compared.decision_ms,
        fact.annotator_id == conversation.annotator_id,
        conversation.mode == GOLD,
    )


def vote_judgements(conversation: Conversation, standing: Standing) -> Iterator[VoteJudgement]:
    """The standing thumbs of everybody who may be heard."""
    last = {(fact.message_id, fact.annotator_id): fact for fact in conversation.votes}
    for fact in last.values():
        if not fact.vote or standing.refusal(fact.annotator_id) is not None:
            continue
        reason = conversation.reason_of(fact.annotator_id, fact.message_id)
        yield VoteJudgement(
            item_id(conversation.id, fact.message_id, None),
            fact.annotator_id,
            fact.vote == 1,
            model_of(conversation.messages[fact.message_id]),
            reason.reasons if reason else (),
            fact.at[:10],
            fact.annotator_id == conversation.annotator_id,
            conversation.mode == GOLD,
        )


def model_of(message: Message) -> str:
    """The study's name of the model that wrote an answer."""
    return message.started.model if message.started else BY_HAND


def _contrast(a: int, b: int) -> float:
    """(a − b) / (a + b), to a tenth: what is alike is counted together."""
    return round((a - b) / (a + b), 1) if a + b else 0.0
