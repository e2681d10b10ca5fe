"""What the API takes: the shapes of bodies and of queries, checked at the door and described in its OpenAPI document.

Everything in here is a claim: whether it names what is there, and is allowed, is for the use-cases to decide.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from labeler.core import telling
from labeler.core.bodies import canonical_json
from labeler.core.events import LARGEST
from labeler.core.telling import Telling

MOST_GESTURES = 1000
MOST_EVENTS = 1000
LARGEST_SAMPLING = 16 * 1024
LARGEST_POSITION = 2**53 - 1
KEY_PATTERN = r"^[A-Za-z0-9_-]{8,64}$"
ID_PATTERN = r"^(@[A-Za-z0-9_-]{8,64}|[A-Za-z0-9][A-Za-z0-9._:-]{0,79})$"


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character; leave it out")
    return text


def _plain(sampling: dict[str, Any]) -> dict[str, Any]:
    """Parameters that the log can keep."""
    text = canonical_json(sampling)  # refuses NaN and infinities
    try:
        orjson.dumps(sampling)
    except orjson.JSONEncodeError as error:
        raise ValueError("a number in it has more than 64 bits") from error
    if len(text) > LARGEST_SAMPLING:
        raise ValueError(f"it has more than {LARGEST_SAMPLING:,} characters")
    if "\\u0000" in text:
        raise ValueError("it holds a NUL character; leave it out")
    return sampling


Text = Annotated[str, AfterValidator(_no_nul)]
Id = Annotated[str, Field(pattern=ID_PATTERN, description="An id that the API gave.")]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Reasons = Annotated[
    tuple[Annotated[Text, Field(max_length=1000)], ...],
    Field(max_length=100, description="Some of the study's vote_reasons."),
]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
TurnSeq = Annotated[
    int,
    Field(ge=0, le=LARGEST, description="Where the conversation stood: 409 if its visible path moved on since."),
]
Key = Annotated[str, Field(pattern=KEY_PATTERN, description="As the header Idempotency-Key.")]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GestureShape(Shape):
    """A body that says one gesture in a conversation."""

    noun: ClassVar[str] = ""

    def telling(self) -> Telling:
        """The gesture that it says."""
        raise NotImplementedError


class OnTheTip(GestureShape):
    """A body that says a gesture on the tip of a conversation."""

    turn_seq: TurnSeq | None = None


class OfAnnotator(Shape):
    """What names an annotator."""

    annotator: Annotated[
        Name,
        Field(description="The front end's own id of a person; the log keeps a digest of it, in this token's name."),
    ]


class Conversation(OfAnnotator):
    """An annotator began a conversation."""

    system_prompt: Text | None = None
    language: Annotated[Text, Field(min_length=1, max_length=35)] | None = None


class Message(OnTheTip):
    """The annotator wrote a message."""

    noun: ClassVar[str] = "messages"
    content: Text
    parent_id: Id | None = Field(None, description="What it follows; without it, the end of the visible path.")

    def telling(self) -> Telling:
        return telling.Said(content=self.content, parent_id=self.parent_id)


class End(Shape):
    """How an answer ended, with exactly the text that the annotator saw."""

    content: Text
    status: Literal["complete", "stopped", "failed"] = "complete"
    finish_reason: Annotated[Text, Field(max_length=100)] | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    latency_ms: Count | None = None
    first_token_ms: Count | None = None
    error: Annotated[Text, Field(max_length=1000)] | None = None

    def end(self) -> telling.End:
        said = {name: getattr(self, name) for name in End.model_fields}
        return telling.End(**said)


class Reply(OnTheTip):
    """A model answered; without ``end``, it began to."""

    noun: ClassVar[str] = "replies"
    model: Annotated[Name, Field(description="What the dataset calls the model.")]
    model_id: Name | None = Field(None, description="Which one exactly; without it, as `model`.")
    model_revision: Name | None = None
    sampling: Annotated[dict[Text, JsonValue], AfterValidator(_plain)] = Field(
        default_factory=dict, description="Temperature, top_p, seed and so on, as they were."
    )
    parent_id: Id | None = Field(None, description="The message it answers; without it, the last one of the path.")
    retries: Id | None = Field(None, description="The answer that showed when another one was asked for.")
    end: End | None = None

    def telling(self) -> Telling:
        return telling.Replied(
            model=self.model,
            model_id=self.model_id or self.model,
            model_revision=self.model_revision,
            sampling=canonical_json(self.sampling),
            parent_id=self.parent_id,
            retries=self.retries,
            end=self.end.end() if self.end else None,
        )


class ReplyEnd(GestureShape):
    """An answer that had begun ended."""

    noun: ClassVar[str] = "ends"
    message_id: Id
    end: End

    def telling(self) -> Telling:
        return telling.Ended(message_id=self.message_id, end=self.end.end())


class Edit(OnTheTip):
    """The annotator rewrote an answer (a sibling of it), or a message of their own (a new branch)."""

    noun: ClassVar[str] = "edits"
    message_id: Id
    content: Text

    def telling(self) -> Telling:
        return telling.Edited(message_id=self.message_id, content=self.content)


class Selection(GestureShape):
    """The annotator turned to another sibling."""

    noun: ClassVar[str] = "selections"
    message_id: Id

    def telling(self) -> Telling:
        return telling.Selected(message_id=self.message_id)


class Undo(OnTheTip):
    """The annotator took the last turn back: ``message_id`` is the message it began with."""

    noun: ClassVar[str] = "undos"
    message_id: Id

    def telling(self) -> Telling:
        return telling.Undone(message_id=self.message_id)


class Clear(OnTheTip):
    """The annotator cleared the chat."""

    noun: ClassVar[str] = "clears"

    def telling(self) -> Telling:
        return telling.Cleared()


class Vote(GestureShape):
    """A like (1), a dislike (-1), or neither any more (0)."""

    noun: ClassVar[str] = "votes"
    message_id: Id
    value: int = Field(ge=-1, le=1)

    def telling(self) -> Telling:
        return telling.Voted(message_id=self.message_id, value=self.value)


class Reason(GestureShape):
    """Why the annotator voted so; the last one stands."""

    noun: ClassVar[str] = "reasons"
    message_id: Id
    reasons: Reasons = ()
    comment: Text = ""

    def telling(self) -> Telling:
        return telling.Explained(message_id=self.message_id, reasons=self.reasons, comment=self.comment)


class Comparison(GestureShape):
    """The annotator compared two answers to one message; ``winner`` null takes the last word on them back."""

    noun: ClassVar[str] = "comparisons"
    message_a: Id
    message_b: Id
    winner: Literal["a", "b", "tie", "both_good", "both_bad"] | None
    strength: int | None = Field(None, ge=0, le=3, description="1 to 3 for a preference, 2 if not said.")
    position: Literal["", "a_first", "b_first", "a_left", "b_left"] = Field("", description="How the two were shown.")
    reasons: Reasons = ()
    comment: Text = ""
    seen_a_ms: Count | None = None
    seen_b_ms: Count | None = None
    decision_ms: Count | None = None

    def telling(self) -> Telling:
        said = {name: getattr(self, name) for name in Comparison.model_fields}
        return telling.Preferred(**said)


class Consent(OfAnnotator):
    """An annotator accepted the consent text in this version; null takes consent back."""

    version: Annotated[Text, Field(max_length=64)] | None


# ── many at once ──


class BulkConversation(Shape):
    key: Key
    kind: Literal["conversations"]
    body: Conversation


class BulkGesture(Shape):
    key: Key
    conversation_id: Id


class BulkMessage(BulkGesture):
    kind: Literal["messages"]
    body: Message


class BulkReply(BulkGesture):
    kind: Literal["replies"]
    body: Reply


class BulkReplyEnd(BulkGesture):
    kind: Literal["ends"]
    body: ReplyEnd


class BulkEdit(BulkGesture):
    kind: Literal["edits"]
    body: Edit


class BulkSelection(BulkGesture):
    kind: Literal["selections"]
    body: Selection


class BulkUndo(BulkGesture):
    kind: Literal["undos"]
    body: Undo


class BulkClear(BulkGesture):
    kind: Literal["clears"]
    body: Clear


class BulkVote(BulkGesture):
    kind: Literal["votes"]
    body: Vote


class BulkReason(BulkGesture):
    kind: Literal["reasons"]
    body: Reason


class BulkComparison(BulkGesture):
    kind: Literal["comparisons"]
    body: Comparison


Entry = Annotated[
    BulkConversation
    | BulkMessage
    | BulkReply
    | BulkReplyEnd
    | BulkEdit
    | BulkSelection
    | BulkUndo
    | BulkClear
    | BulkVote
    | BulkReason
    | BulkComparison,
    Field(discriminator="kind"),
]


class Bulk(Shape):
    """Gestures in the order in which they were made. ``@KEY`` in the place of an id is what an earlier one made."""

    gestures: list[Entry] = Field(min_length=1, max_length=MOST_GESTURES)


# ── queries ──


class EventsQuery(BaseModel):
    """Where to go on, and how much to take."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    after: int = Field(0, ge=0, le=LARGEST_POSITION, description="The `after` of the page before.")
    limit: int = Field(100, ge=1, le=MOST_EVENTS)


GESTURES: tuple[type[GestureShape], ...] = (
    Message,
    Reply,
    ReplyEnd,
    Edit,
    Selection,
    Undo,
    Clear,
    Vote,
    Reason,
    Comparison,
)
