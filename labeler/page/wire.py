"""What the browser may say: the shapes of gestures, checked at the door.

Everything in here is a claim. Whether the conversation exists, is this annotator's and still stands where the page saw
it is for the recorder to decide.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from labeler.errors import GestureRefused

Id = Annotated[str, Field(max_length=64)]
Milliseconds = Annotated[int | None, Field(ge=0, le=2**31 - 1)]
Kind = Literal[
    "open",
    "new",
    "send",
    "retry",
    "edit",
    "undo",
    "clear",
    "select",
    "stop",
    "accept_consent",
    "withdraw_consent",
    "exclude",
    "include",
]
MALFORMED = "That gesture is malformed. Reload the page."


class _Door(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Turn(_Door):
    """A gesture that comes through a Gradio event; ``conversation`` is ``None`` when the page shows none yet."""

    kind: Kind
    nonce: Id = ""
    conversation: Id | None = None
    turn_seq: int = Field(0, ge=0)
    message: Id = ""
    text: str = ""
    version: str = ""
    queue: Literal["reviews", "disputes"] = "reviews"
    wishes: list[Literal["length", "style", "named"]] = Field(default_factory=list, max_length=3)
    annotator: Annotated[str, Field(max_length=1000)] = ""


class VoteGesture(_Door):
    kind: Literal["vote"]
    nonce: Id
    conversation: Id
    message: Id
    value: int = Field(ge=-1, le=1)


class ReasonGesture(_Door):
    kind: Literal["reason"]
    nonce: Id
    conversation: Id
    message: Id
    reasons: tuple[Annotated[str, Field(max_length=1000)], ...] = Field((), max_length=100)
    comment: str = ""


class CompareGesture(_Door):
    """``message`` is the new answer of a retry; ``winner`` is ``b`` for it, ``a`` for the one before it."""

    kind: Literal["compare"]
    nonce: Id
    conversation: Id
    message: Id
    winner: Literal["a", "b", "tie"] | None


class ChooseGesture(_Door):
    """``message`` is the question that two answers stand under; ``choice`` is None to take the last one back.

    Times are milliseconds until the choice: since each side was first in view, and since both answers were there.
    """

    kind: Literal["choose"]
    nonce: Id
    conversation: Id
    message: Id
    choice: Literal["a_much", "a", "same", "both_bad", "b", "b_much"] | None
    reasons: tuple[Annotated[str, Field(max_length=1000)], ...] = Field((), max_length=100)
    comment: str = ""
    seen_left: Milliseconds = None
    seen_right: Milliseconds = None
    decision: Milliseconds = None


class ReviewGesture(_Door):
    """What a reviewer says of what they have in hand (``lease``): one of the four, or none to skip it.

    ``conversation`` is what every gesture carries; a review is found by its lease.
    """

    kind: Literal["review"]
    nonce: Id
    conversation: Id = ""
    lease: Id
    choice: Literal["a_much", "a", "same", "both_bad", "b", "b_much"] | None = None
    good: bool | None = None
    flag: Literal["unsafe", "personal_data", "broken"] | None = None
    void: bool = False
    reasons: tuple[Annotated[str, Field(max_length=1000)], ...] = Field((), max_length=100)
    comment: str = ""
    seen_left: Milliseconds = None
    seen_right: Milliseconds = None
    decision: Milliseconds = None


Posted = Annotated[
    VoteGesture | ReasonGesture | CompareGesture | ChooseGesture | ReviewGesture, Field(discriminator="kind")
]
_POSTED: TypeAdapter[Posted] = TypeAdapter(Posted)


def parse_turn(claims: object) -> Turn:
    """Check what a Gradio event carried. Raises GestureRefused."""
    try:
        return Turn.model_validate(claims)
    except ValidationError as error:
        raise GestureRefused(MALFORMED) from error


def parse_posted(body: bytes) -> Posted:
    """Check the body of a gesture that came over our own route. Raises GestureRefused."""
    try:
        return _POSTED.validate_json(body)
    except ValidationError as error:
        raise GestureRefused(MALFORMED) from error
