"""What the API answers: the shapes of good answers, for its OpenAPI document, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, Field

from labeler.chat import Outcome, Page, Reading
from labeler.core.bodies import body_of
from labeler.study import Study


class OutcomeAnswer(BaseModel):
    """What was stored: the same again for the same key. Nothing changed: no events, and no seq."""

    conversation_id: str
    message_id: str | None = Field(description="The message that was made, or that it is about.")
    event_ids: list[str]
    seq: int | None = Field(description="The place of the last event in its conversation.")


class ErrorAnswer(BaseModel):
    """One line that says what is wrong, and what to do."""

    error: str


class ConsentAnswer(BaseModel):
    version: str | None


class ConsentText(BaseModel):
    version: str
    text: str


class StudyAnswer(BaseModel):
    """What a front end must know of the study."""

    name: str
    title: str
    guidelines: str
    vote_reasons: list[str]
    consent: ConsentText | None
    max_message_chars: int


class MessageAnswer(BaseModel):
    message_id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    origin: Literal["user", "model", "human_edit"]
    content: str
    status: Literal["complete", "stopped", "failed", "started"]
    visible: bool
    model: str | None
    edits: str | None
    retries: str | None
    vote: Literal[-1, 0, 1]
    reasons: list[str]
    comment: str


class ComparisonAnswer(BaseModel):
    message_a: str
    message_b: str
    winner: Literal["a", "b", "tie", "both_good", "both_bad"]
    strength: int
    reasons: list[str]
    comment: str


class ConversationAnswer(BaseModel):
    """A conversation as its annotator left it."""

    conversation_id: str
    annotator_id: str
    system_prompt: str | None
    language: str | None
    seq: int
    turn_seq: int
    cleared: bool
    messages: list[MessageAnswer]
    comparisons: list[ComparisonAnswer]


class EventAnswer(BaseModel):
    """An event as the log has it; ``body`` is as its kind has it, with its version as ``v``."""

    position: int
    event_id: str
    conversation_id: str
    seq: int
    kind: str
    at: str
    annotator_id: str
    body: dict[str, Any]


class EventsAnswer(BaseModel):
    """``after`` is where the next page begins; ``more``: there is more by now, though a page may be empty."""

    events: list[EventAnswer]
    after: int
    more: bool


class BulkOutcome(BaseModel):
    """What a call with this one gesture would have answered."""

    key: str
    status: int
    answer: OutcomeAnswer | ErrorAnswer


class BulkAnswer(BaseModel):
    outcomes: list[BulkOutcome]


def outcome_body(outcome: Outcome) -> dict[str, Any]:
    return {
        "conversation_id": outcome.conversation_id,
        "message_id": outcome.message_id,
        "event_ids": outcome.event_ids,
        "seq": outcome.seq,
    }


def reading_body(reading: Reading) -> dict[str, Any]:
    return asdict(reading)


def page_body(page: Page) -> dict[str, Any]:
    events = [
        {
            "position": event.position,
            "event_id": event.event_id,
            "conversation_id": event.conversation_id,
            "seq": event.seq,
            "kind": event.payload.kind,
            "at": event.at,
            "annotator_id": event.annotator_id,
            "body": body_of(event.payload),
        }
        for event in page.events
    ]
    return {"events": events, "after": page.after, "more": page.more}


def study_body(study: Study) -> Mapping[str, Any]:
    consent = study.consent
    return {
        "name": study.name,
        "title": study.title,
        "guidelines": study.guidelines,
        "vote_reasons": study.vote_reasons,
        "consent": {"version": consent.version, "text": consent.text} if consent else None,
        "max_message_chars": study.limits.message_chars,
    }
