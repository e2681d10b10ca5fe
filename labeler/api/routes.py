"""The routes of the API: what each takes, does and answers. The front does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from labeler.api import answers, shapes
from labeler.api.post import Post
from labeler.chat import Intake, Outcome, Teller, Told
from labeler.core.telling import Begun
from labeler.doors import status_of
from labeler.errors import LabelerError

KB = 1024
MAX_BODY = 1024 * KB
MAX_BULK = 4 * MAX_BODY
Method = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has come through the door. ``said`` has been checked to be of the route's shape."""

    intake: Intake
    post: Post
    teller: Teller
    said: Any
    key: str = ""
    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. ``takes`` is the shape of the body, or of the query of a GET."""

    method: Method
    path: str
    summary: str
    answers: type[BaseModel]
    handle: Callable[[Call], Awaitable[Mapping[str, Any]]]
    takes: type[BaseModel] | None = None
    keyed: bool = False
    max_body: int = MAX_BODY

    @property
    def statuses(self) -> tuple[int, ...]:
        """The refusals that it can answer."""
        found = [401, 403, 429, 503] if self.method == "POST" else [401, 429, 503]
        if "{" in self.path:
            found.append(404)
        if self.method == "POST":
            found += [409, 413, 415]
        return tuple(sorted({*found, 422}))


async def begin(call: Call) -> Mapping[str, Any]:
    return await _told(call, _begun(call.intake, call.key, call.said))


async def gesture(call: Call) -> Mapping[str, Any]:
    return await _told(call, _made(call.key, call.conversation_id, call.said))


async def consent(call: Call) -> Mapping[str, Any]:
    said: shapes.Consent = call.said
    await asyncio.to_thread(call.intake.consent, call.teller, said.annotator, call.key, said.version)
    return {"version": said.version}


async def bulk(call: Call) -> Mapping[str, Any]:
    entries = call.said.gestures
    many = [
        _begun(call.intake, entry.key, entry.body)
        if isinstance(entry, shapes.BulkConversation)
        else _made(entry.key, entry.conversation_id, entry.body)
        for entry in entries
    ]
    outcomes = await asyncio.to_thread(call.intake.tell_all, call.teller, many)
    return {"outcomes": [_told_of(entry.key, one) for entry, one in zip(entries, outcomes, strict=True)]}


async def read_conversation(call: Call) -> Mapping[str, Any]:
    return answers.reading_body(await asyncio.to_thread(call.intake.conversation, call.teller, call.conversation_id))


async def read_events(call: Call) -> Mapping[str, Any]:
    query: shapes.EventsQuery = call.said
    return answers.page_body(await asyncio.to_thread(call.intake.events, call.teller, query.after, query.limit))


async def read_study(call: Call) -> Mapping[str, Any]:
    return answers.study_body(call.intake.study)


async def _told(call: Call, told: Told) -> Mapping[str, Any]:
    """Decided here where everything is in memory, else where it may wait for the store."""
    if call.intake.at_hand(call.teller, told):
        answer = call.intake.tell(call.teller, told)
    else:
        answer = await asyncio.to_thread(call.intake.tell, call.teller, told)
    return answers.outcome_body(await call.post.delivered(answer))


def _told_of(key: str, one: Outcome | LabelerError) -> Mapping[str, Any]:
    if isinstance(one, LabelerError):
        return {"key": key, "status": status_of(one), "answer": {"error": str(one)}}
    return {"key": key, "status": 200, "answer": answers.outcome_body(one)}


def _begun(intake: Intake, key: str, said: shapes.Conversation) -> Told:
    begun = Begun(study=intake.study.name, system_prompt=said.system_prompt, language=said.language)
    return Told(key=key, gesture=begun, annotator=said.annotator)


def _made(key: str, conversation_id: str, said: shapes.GestureShape) -> Told:
    turn_seq = said.turn_seq if isinstance(said, shapes.OnTheTip) else None
    return Told(key=key, gesture=said.telling(), conversation_id=conversation_id, turn_seq=turn_seq)


def _of_gesture(shape: type[shapes.GestureShape]) -> Route:
    return Route(
        "POST",
        f"/conversations/{{conversation_id}}/{shape.noun}",
        (shape.__doc__ or "").strip(),
        answers.OutcomeAnswer,
        gesture,
        takes=shape,
        keyed=True,
    )


ROUTES: tuple[Route, ...] = (
    Route("GET", "/study", "What a front end must know of the study.", answers.StudyAnswer, read_study),
    Route(
        "POST",
        "/conversations",
        "An annotator began a conversation.",
        answers.OutcomeAnswer,
        begin,
        takes=shapes.Conversation,
        keyed=True,
    ),
    Route(
        "GET",
        "/conversations/{conversation_id}",
        "A conversation as its annotator left it: all its messages, and what was said of them.",
        answers.ConversationAnswer,
        read_conversation,
    ),
    *map(_of_gesture, shapes.GESTURES),
    Route(
        "POST",
        "/consents",
        (shapes.Consent.__doc__ or "").strip(),
        answers.ConsentAnswer,
        consent,
        takes=shapes.Consent,
        keyed=True,
    ),
    Route(
        "POST",
        "/bulk",
        "Many gestures in one call, each with a key and an outcome of its own.",
        answers.BulkAnswer,
        bulk,
        takes=shapes.Bulk,
        max_body=MAX_BULK,
    ),
    Route(
        "GET",
        "/events",
        "What this token's annotators did, in the order of the log.",
        answers.EventsAnswer,
        read_events,
        takes=shapes.EventsQuery,
    ),
)
