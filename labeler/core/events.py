"""What happened: the payload of every kind of event.

An event is a fact in the past tense and never changes. ``bodies`` has the form in which it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from labeler.core.values import value

Vote = Literal[1, -1]
Status = Literal["complete", "stopped", "failed"]
Winner = Literal["a", "b", "tie", "both_good", "both_bad"]
Side = Literal["a", "b"]
Flag = Literal["unsafe", "personal_data", "broken"]
Ruling = Literal["a", "b", "tie", "both_bad", "good", "bad", "void"]

W = TypeVar("W", bound=str)


def swapped(word: W) -> W:
    """A word on two answers, told of them the other way round; what speaks of both alike stays."""
    return {"a": "b", "b": "a"}.get(word, word)  # type: ignore[return-value]


# Counts and measures have 32 bits, as in the exported columns: a larger number is none that a model's server counted.
LARGEST = 2**31 - 1


@value(kw_only=True)
class Payload:
    """The part of an event that says what happened."""

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1


@value(kw_only=True)
class LogStarted(Payload):
    """The first event of every log: where the data comes from."""

    kind: ClassVar[str] = "log_started"
    source_id: str


@value(kw_only=True)
class ConversationStarted(Payload):
    """An annotator began a conversation; its model was drawn and stays."""

    kind: ClassVar[str] = "conversation_started"
    study: str
    mode: str
    model: str
    system_prompt: str | None = None
    language: str | None = None


@value(kw_only=True)
class MessageSent(Payload):
    """The annotator wrote a message, or rewrote their own (``edits``), which opens a new branch."""

    kind: ClassVar[str] = "message_sent"
    message_id: str
    parent_id: str | None
    content: str
    edits: str | None = None


@value(kw_only=True)
class ReplyStarted(Payload):
    """A model began to answer ``parent_id``; ``retries`` names the answer that showed when Retry was pressed."""

    kind: ClassVar[str] = "reply_started"
    message_id: str
    parent_id: str
    model: str
    model_id: str
    model_revision: str | None
    sampling: Mapping[str, Any]
    system_prompt_sha256: str | None
    retries: str | None = None


@value(kw_only=True)
class PairDrawn(Payload):
    """Two models were drawn to answer ``message_id`` side by side, without their names.

    ``left`` is the answer that stands on the left. ``propensity`` is the chance with which these two models were drawn
    under ``policy``, whatever their order: statistics can undo by it that some pairs are drawn more often.
    """

    kind: ClassVar[str] = "pair_drawn"
    message_id: str
    answer_a: str
    answer_b: str
    model_a: str
    model_b: str
    left: Side
    policy: str
    propensity: float


@value(kw_only=True)
class ReplyFinished(Payload):
    """The answer ended. ``content`` is exactly what the annotator saw."""

    kind: ClassVar[str] = "reply_finished"
    message_id: str
    content: str
    status: Status
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: int | None = None
    first_token_ms: int | None = None
    error: str | None = None


@value(kw_only=True)
class AnswerEdited(Payload):
    """The annotator rewrote an answer: a sibling of ``edits``, written by a person."""

    kind: ClassVar[str] = "answer_edited"
    message_id: str
    parent_id: str
    edits: str
    content: str


@value(kw_only=True)
class AnswerSelected(Payload):
    """The annotator turned to another sibling; the visible path follows it."""

    kind: ClassVar[str] = "answer_selected"
    message_id: str


@value(kw_only=True)
class VoteCast(Payload):
    """A like (1) or a dislike (-1)."""

    kind: ClassVar[str] = "vote_cast"
    message_id: str
    vote: Vote


@value(kw_only=True)
class VoteWithdrawn(Payload):
    """The annotator took their vote back."""

    kind: ClassVar[str] = "vote_withdrawn"
    message_id: str


@value(kw_only=True)
class ReasonGiven(Payload):
    """Why the annotator voted so; the last one stands."""

    kind: ClassVar[str] = "reason_given"
    message_id: str
    reasons: tuple[str, ...] = ()
    comment: str = ""


@value(kw_only=True)
class Compared(Payload):
    """The annotator compared two sibling answers; the last word on a pair stands.

    ``strength`` is 0 for ties, 1 to 3 for a preference. ``position`` says how the two were shown:
    ``a_first`` and ``b_first`` one after the other, ``a_left`` and ``b_left`` side by side. Times are what the page
    measured, in milliseconds: from when each answer was first in view, and from when both were there, to the choice.
    """

    kind: ClassVar[str] = "compared"
    version: ClassVar[int] = 2
    message_a: str
    message_b: str
    winner: Winner
    strength: int
    position: str
    reasons: tuple[str, ...] = ()
    comment: str = ""
    seen_a_ms: int | None = None
    seen_b_ms: int | None = None
    decision_ms: int | None = None


@value(kw_only=True)
class ComparisonWithdrawn(Payload):
    """The annotator took a comparison back."""

    kind: ClassVar[str] = "comparison_withdrawn"
    message_a: str
    message_b: str


@value(kw_only=True)
class ReviewSkipped(Payload):
    """A reviewer left what they were asked to judge to others: two answers, or one if ``message_b`` is none.

    It is no judgement, and no tie.
    """

    kind: ClassVar[str] = "review_skipped"
    message_a: str
    message_b: str | None


@value(kw_only=True)
class AnswersFlagged(Payload):
    """A reviewer says that what they were asked to judge must not be used as it is."""

    kind: ClassVar[str] = "answers_flagged"
    message_a: str
    message_b: str | None
    flag: Flag
    comment: str = ""


@value(kw_only=True)
class Adjudicated(Payload):
    """The last word on what reviewers disagreed about: it outranks what everybody else said.

    Of two answers the ``verdict`` is a winner; of one (``message_b`` is none) it is ``good`` or ``bad``. ``void`` says
    that nothing is to be made of it.
    """

    kind: ClassVar[str] = "adjudicated"
    message_a: str
    message_b: str | None
    verdict: Ruling
    strength: int = 0
    reasons: tuple[str, ...] = ()
    comment: str = ""


@value(kw_only=True)
class TurnUndone(Payload):
    """The last turn was taken off the visible path: the message and the answer that showed under it."""

    kind: ClassVar[str] = "turn_undone"
    message_id: str
    answer_id: str | None


@value(kw_only=True)
class ConversationCleared(Payload):
    """The annotator cleared the chat: the conversation is closed, nothing is inferred."""

    kind: ClassVar[str] = "conversation_cleared"


@value(kw_only=True)
class ConversationAdopted(Payload):
    """An annotator took over a conversation of theirs that they had begun as ``former``, before they signed in.

    From then on it is theirs, with all that ``former`` gave in it.
    """

    kind: ClassVar[str] = "conversation_adopted"
    former: str


@value(kw_only=True)
class ConsentGiven(Payload):
    """The annotator accepted the study's consent text in this version."""

    kind: ClassVar[str] = "consent_given"
    consent_version: str
    text_sha256: str


@value(kw_only=True)
class ConsentWithdrawn(Payload):
    """The annotator withdrew consent: nothing of theirs is exported from now on."""

    kind: ClassVar[str] = "consent_withdrawn"


@value(kw_only=True)
class AnnotatorExcluded(Payload):
    """A data lead took an annotator's work out of the exports, reversibly."""

    kind: ClassVar[str] = "annotator_excluded"
    reason: str = ""


@value(kw_only=True)
class AnnotatorIncluded(Payload):
    """An exclusion was reversed."""

    kind: ClassVar[str] = "annotator_included"
    reason: str = ""


@value(kw_only=True)
class SpanReviewed(Payload):
    """Somebody looked at what a redactor had found in a text, and says that it may be shown, or may not after all.

    The text is named by its SHA-256, the place in code points, and what was found there by its kind: the value itself
    does not stand here.
    """

    kind: ClassVar[str] = "span_reviewed"
    text_sha256: str
    start: int
    end: int
    span_kind: str
    restored: bool


@value(kw_only=True)
class Erased(Payload):
    """A tombstone: an event stood here, its content is gone for good."""

    kind: ClassVar[str] = "erased"
    erased_kind: str
    reason: str = ""


PAYLOADS: tuple[type[Payload], ...] = (
    LogStarted,
    ConversationStarted,
    MessageSent,
    PairDrawn,
    ReplyStarted,
    ReplyFinished,
    AnswerEdited,
    AnswerSelected,
    VoteCast,
    VoteWithdrawn,
    ReasonGiven,
    Compared,
    ComparisonWithdrawn,
    ReviewSkipped,
    AnswersFlagged,
    Adjudicated,
    TurnUndone,
    ConversationCleared,
    ConversationAdopted,
    ConsentGiven,
    ConsentWithdrawn,
    AnnotatorExcluded,
    AnnotatorIncluded,
    SpanReviewed,
    Erased,
)
KINDS: Mapping[str, type[Payload]] = {payload.kind: payload for payload in PAYLOADS}


@value(kw_only=True)
class NewEvent:
    """An event that is about to be appended: everything but its position."""

    event_id: str
    conversation_id: str
    seq: int
    at: str
    annotator_id: str
    payload: Payload


@value(kw_only=True)
class Event(NewEvent):
    """A stored event. ``position`` is dense over the whole log, ``seq`` (from 1) over its conversation.

    ``at`` is UTC in the fixed form ``2026-11-22T10:00:00.000000Z``, so that it sorts and dumps byte for byte.
    """

    position: int
