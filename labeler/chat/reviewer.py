"""The use-cases of review: take what is needed most, judge it blind, skip or flag it.

A reviewer gets one item at a time, in hand for a while. They see the question and the answers, in random order and
without names, and never what anybody else said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from labeler.chat.desk import Gesture, Receipt
from labeler.chat.pairs import Line
from labeler.chat.writing import Writing
from labeler.core import reviewing
from labeler.core.choosing import Choice, Times, Verdict, compared_of
from labeler.core.conversation import Conversation
from labeler.core.events import (
    Adjudicated,
    AnswersFlagged,
    Compared,
    Flag,
    Payload,
    ReviewSkipped,
    Ruling,
    VoteCast,
    swapped,
)
from labeler.core.reviewing import Said
from labeler.core.roles import REVIEWERS, Visitor
from labeler.durations import later
from labeler.errors import GestureRefused, NotFound
from labeler.ids import event_id
from labeler.store.reviews import Asked, Lease, Rules, counts, give_back, hold, lease_of, take

STORING_SECONDS = 60.0  # no store takes longer to say yes or no
OVER = "You had this for too long, so somebody else may have it now. Here is the next one."


@dataclass(frozen=True, slots=True)
class Word:
    """What one of the others said: as the sides stand here (``a`` is left), ``good`` or ``bad``, or a flag.

    ``first`` is the word of who began the conversation. Nobody is named.
    """

    said: str
    reasons: tuple[str, ...]
    comment: str
    first: bool


@dataclass(frozen=True, slots=True)
class Task:
    """What a reviewer has in hand. Of one answer alone there is a ``left`` and no ``right``.

    ``words`` are there for who adjudicates: what everybody said, in the order in which they said it.
    """

    lease: str
    past: tuple[Line, ...]
    left_id: str
    left: str
    right_id: str | None
    right: str | None
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a reviewer says: of two answers a ``choice``, of one whether it is ``good``, of either a ``flag``, or, from
    who adjudicates, that nothing is to be made of it (``void``).

    None of them: it is skipped.
    """

    choice: Choice | None = None
    good: bool | None = None
    flag: Flag | None = None
    void: bool = False
    reasons: tuple[str, ...] = ()
    comment: str = ""
    times: Times = field(default_factory=Times)


class Reviewer:
    """What a reviewer can do. Safe to call from any thread; raises as ``Writing`` does, and RoleNeeded."""

    def __init__(self, writing: Writing, clock: Callable[[], str]) -> None:
        self._writing = writing
        self._clock = clock
        self._rules = Rules(writing.study.review.overlap, writing.study.consent is not None)

    def task(self, visitor: Visitor, *, ruling: bool = False) -> Task | None:
        """What the visitor has in hand, or what is needed most; None if there is nothing for them.

        ``ruling``: of what has to be adjudicated. Whoever voted on it is asked only if they are an admin.
        """
        visitor.must_be(REVIEWERS)
        self._writing.check_consent(visitor.annotator_id)
        now = self._clock()
        asked = Asked(
            annotator_id=visitor.annotator_id,
            lease_id=self._writing.ids(),
            now=now,
            until=later(now, self._writing.study.review.lease),
            a_left=self._writing.chance.random() < 0.5,
            ruling=ruling,
            voters=visitor.role == "admin",
            gold=self._writing.chance.random() < self._writing.study.review.gold_rate,
        )
        lease = take(self._writing.store, self._rules, asked)
        return None if lease is None else self._task(lease)

    def counts(self, visitor: Visitor) -> dict[str, int]:
        """How many items there are in each state."""
        visitor.must_be(REVIEWERS)
        return counts(self._writing.store, self._rules)

    def say(self, visitor: Visitor, lease_id: str, opinion: Opinion) -> Receipt:
        """Hand in a review. The same one delivered again stores nothing more."""
        visitor.must_be(REVIEWERS)
        writing, me = self._writing, visitor.annotator_id
        writing.check_consent(me)
        writing.check_comment(opinion.comment)
        reasons = writing.known_reasons(opinion.reasons)
        nonce = f"review:{lease_id}"  # no client's: these have no colon
        before = writing.store.find(event_id(me, nonce, 0))
        if before is not None:
            return Receipt((before.event_id,), before.position)
        lease = lease_of(writing.store, lease_id)
        if lease is None or lease.annotator_id != me:
            raise NotFound(OVER)
        payload = _ruling(lease, opinion, reasons) if lease.ruling else _payload(lease, opinion, reasons)
        now = self._clock()
        if not hold(writing.store, lease_id, me, now=now, until=later(now, STORING_SECONDS)):
            raise GestureRefused(OVER)

        def decide(conversation: Conversation) -> list[Payload]:
            if isinstance(payload, Adjudicated):
                return reviewing.rule(conversation, me, payload)
            return reviewing.review(conversation, me, payload)

        gesture = Gesture(me, nonce, lease.conversation_id, decide, owner=lease.owner)
        events = writing.desk.append(gesture).result()
        give_back(writing.store, self._rules, lease_id)
        return Receipt(tuple(event.event_id for event in events), events[-1].position if events else None)

    def _task(self, lease: Lease) -> Task:
        self._writing.desk.look_again(lease.conversation_id)
        with self._writing.desk.owned(lease.owner, lease.conversation_id) as conversation:
            left = conversation.messages[lease.left]
            other = lease.message_b if lease.left == lease.message_a else lease.message_a
            right = None if lease.message_b is None or other is None else conversation.messages[other]
            past = conversation.path(left.parent_id or left.id)
            return Task(
                lease=lease.id,
                past=tuple(map(Line.of, past)),
                left_id=left.id,
                left=left.content,
                right_id=right.id if right else None,
                right=right.content if right else None,
                words=_words(conversation, lease) if lease.ruling else None,
            )


def _words(conversation: Conversation, lease: Lease) -> tuple[Word, ...]:
    """What was said of an item, with reasons."""
    item = reviewing.item_in(conversation, lease.message_a, lease.message_b)
    subject = frozenset(one for one in (lease.message_a, lease.message_b) if one is not None)
    turned = lease.left != item.message_a
    words = []
    for annotator, said in item.said.items():
        if said == reviewing.SKIP:
            continue
        reasons, comment = _grounds(conversation, annotator, subject)
        shown = swapped(said) if turned else said
        words.append(Word(shown, reasons, comment, annotator == item.owner))
    return tuple(words)


def _grounds(conversation: Conversation, annotator: str, subject: frozenset[str]) -> tuple[tuple[str, ...], str]:
    """Why somebody said it."""
    for review in reversed(conversation.reviewed):
        if review.annotator_id == annotator and review.of == subject and isinstance(review.payload, AnswersFlagged):
            return (), review.payload.comment
    if len(subject) > 1:
        compared = conversation.comparison_of(annotator, subject)
        return (compared.reasons, compared.comment) if compared else ((), "")
    reason = conversation.reason_of(annotator, next(iter(subject)))
    return (reason.reasons, reason.comment) if reason else ((), "")


def _ruling(lease: Lease, opinion: Opinion, reasons: tuple[str, ...]) -> Said | Adjudicated:
    if opinion == Opinion(times=opinion.times):
        return ReviewSkipped(message_a=lease.message_a, message_b=lease.message_b)
    verdict: Ruling = "void"
    strength = 0
    if not opinion.void:
        payload = _payload(lease, opinion, reasons)
        if isinstance(payload, Compared):
            verdict, strength = payload.winner, payload.strength  # type: ignore[assignment]
        elif isinstance(payload, VoteCast):
            verdict = "good" if payload.vote == 1 else "bad"
        else:
            raise GestureRefused("Rule on it: choose, or say that nothing is to be made of it.")
    return Adjudicated(
        message_a=lease.message_a,
        message_b=lease.message_b,
        verdict=verdict,
        strength=strength,
        reasons=reasons,
        comment=opinion.comment,
    )


def _payload(lease: Lease, opinion: Opinion, reasons: tuple[str, ...]) -> Said:
    """An opinion on left and right as what it says of the answers."""
    a, b = lease.message_a, lease.message_b
    if opinion.flag is not None:
        return AnswersFlagged(message_a=a, message_b=b, flag=opinion.flag, comment=opinion.comment)
    if opinion.choice is None and opinion.good is None:
        return ReviewSkipped(message_a=a, message_b=b)
    if b is None:
        if opinion.good is None:
            raise GestureRefused("There is one answer here; say whether it is good.")
        return VoteCast(message_id=a, vote=1 if opinion.good else -1)
    if opinion.choice is None:
        raise GestureRefused("There are two answers here; choose between them.")
    verdict = Verdict(choice=opinion.choice, reasons=reasons, comment=opinion.comment, times=opinion.times)
    return compared_of(a, b, verdict, opinion.choice, a_left=lease.left == a)
