"""Event histories told by name, for tests.

    told("ann").asks("Why is the sky blue?").answers("Scattering.").likes().retries("Because of Rayleigh.").better()

Every gesture goes through ``labeler.core.gestures``, so a story is always one that the page could have lived; what a
gesture refuses, the story refuses. Messages are called ``q1``, ``q2`` ... and answers (rewrites too) ``a1``, ``a2`` ...
in the order in which they came. Ids, times and seeds are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self

from labeler.core import choosing, gestures
from labeler.core.conversation import Conversation, Message
from labeler.core.events import (
    AnnotatorExcluded,
    AnnotatorIncluded,
    ConsentGiven,
    ConsentWithdrawn,
    ConversationStarted,
    Event,
    LogStarted,
    Payload,
    ReplyFinished,
    SpanReviewed,
    Status,
    Winner,
)
from labeler.core.folding import apply
from labeler.ids import event_id, text_sha256

BEGIN = datetime(2026, 11, 22, 10)
BETWEEN_GESTURES = timedelta(seconds=60)
SOURCE_ID = "source-of-the-tests"


def told(annotator_id: str = "ann", conversation_id: str = "c1", **setting: Any) -> Story:
    """Begin a conversation. ``setting`` takes ``model``, ``system_prompt``, ``language``, ``mode`` and ``day``."""
    return Story(annotator_id, conversation_id, **setting)


class _Teller:
    """Appends events to one stream, one gesture after the other, on a clock of its own."""

    def __init__(self, stream_id: str, day: int = 0) -> None:
        self.stream_id = stream_id
        self.events: list[Event] = []
        self._now = BEGIN + timedelta(days=day)
        self._gestures = 0
        self._pause = BETWEEN_GESTURES

    def after(self, seconds: float) -> Self:
        """Let that much time pass before the next gesture, instead of a minute."""
        self._pause = timedelta(seconds=seconds)
        return self

    def _append(self, annotator_id: str, payloads: Iterable[Payload]) -> list[Event]:
        self._now += self._pause
        self._pause = BETWEEN_GESTURES
        self._gestures += 1
        at = f"{self._now:%Y-%m-%dT%H:%M:%S.%f}Z"
        new = [
            Event(
                event_id=event_id(annotator_id, f"{self.stream_id}:{self._gestures}", index),
                conversation_id=self.stream_id,
                seq=len(self.events) + 1 + index,
                at=at,
                annotator_id=annotator_id,
                payload=payload,
                position=len(self.events) + 1 + index,
            )
            for index, payload in enumerate(payloads)
        ]
        self.events.extend(new)
        return new


class Story(_Teller):
    """One conversation as it is told. ``events`` is its log so far, ``conversation`` the fold of it."""

    def __init__(
        self,
        annotator_id: str,
        conversation_id: str,
        *,
        model: str = "small",
        system_prompt: str | None = None,
        language: str | None = "en",
        mode: str = "chat",
        day: int = 0,
    ) -> None:
        super().__init__(conversation_id, day)
        self.owner = annotator_id
        self.teller = annotator_id
        self.conversation = Conversation(conversation_id)
        self._model = model
        self._prompt_sha256 = text_sha256(system_prompt) if system_prompt else None
        self._tell(
            ConversationStarted(study="stories", mode=mode, model=model, system_prompt=system_prompt, language=language)
        )

    # ── who speaks, and of what ──

    def by(self, annotator_id: str) -> Self:
        """Let somebody else make the gestures that follow."""
        self.teller = annotator_id
        return self

    def id(self, name: str) -> str:
        """The message id behind ``q1`` or ``a2``."""
        return f"{self.stream_id}.{name}"

    def __getitem__(self, name: str) -> Message:
        return self.conversation.messages[self.id(name)]

    def reviewed(self, digest: str, start: int, end: int, kind: str, restored: bool) -> Self:
        """A reviewer says what a hit in a text is."""
        review = SpanReviewed(text_sha256=digest, start=start, end=end, span_kind=kind, restored=restored)
        teller, self.teller = self.teller, "labeler"
        self._tell(review)
        self.teller = teller
        return self

    # ── turns ──

    def asks(self, text: str) -> Self:
        """Send a message; its answer is told by what comes next."""
        return self._tell(*gestures.send(self.conversation, self._new("q"), text, self._draw()))

    def asks_two(self, text: str) -> Self:
        """Send a message that two models answer side by side; ``answers`` ends the second of them, then the first."""
        first = self._draw()
        number = int(first.message_id.rpartition("a")[2]) + 1
        second = replace(self._draw(), message_id=self.id(f"a{number}"), model="other")
        draw = choosing.PairDraw(a=first, b=second, left="a", policy="uniform", propensity=1.0)
        return self._tell(*choosing.ask(self.conversation, self._new("q"), text, draw, "a"))

    def chooses(self, choice: choosing.Choice | None) -> Self:
        """Choose between the two answers at the end."""
        pair = choosing.last_pair(self.conversation)
        assert pair is not None
        verdict = choosing.Verdict(choice=choice)
        return self._tell(*choosing.choose(self.conversation, self.teller, pair.drawn.message_id, verdict))

    def answers(self, text: str, **measures: Any) -> Self:
        """The model ends its answer. ``measures`` are further fields of ``ReplyFinished``."""
        return self._finish(text, "complete", measures)

    def stopped(self, text: str) -> Self:
        """The annotator presses Stop in mid-answer."""
        return self._finish(text, "stopped", {"finish_reason": "stop_button"})

    def fails(self, text: str = "", error: str = "the model died") -> Self:
        """The model dies in mid-answer."""
        return self._finish(text, "failed", {"error": error})

    def retries(self, text: str | None = None) -> Self:
        """Ask for another answer, which comes at once if ``text`` is given."""
        self._tell(*gestures.retry(self.conversation, self._draw()))
        return self if text is None else self.answers(text)

    def edits(self, text: str, name: str | None = None) -> Self:
        """Rewrite an answer."""
        return self._tell(*gestures.edit_answer(self.conversation, self._answer(name), self._new("a"), text))

    def rewrites(self, text: str, name: str | None = None) -> Self:
        """Rewrite one's own message; its answer is told by what comes next."""
        message_id = self.id(name) if name else self._last("user")
        draw = self._draw()
        return self._tell(*gestures.edit_message(self.conversation, message_id, self._new("q"), text, draw))

    def selects(self, name: str) -> Self:
        """Turn to another sibling."""
        return self._tell(*gestures.select(self.conversation, self.id(name)))

    def undoes(self) -> Self:
        return self._tell(*gestures.undo(self.conversation))

    def clears(self) -> Self:
        return self._tell(*gestures.clear(self.conversation))

    def adopted_by(self, annotator_id: str) -> Self:
        """Whoever began it signs in, and takes it over."""
        self.teller = annotator_id
        return self._tell(*gestures.adopt(self.conversation, annotator_id))

    # ── judgements ──

    def votes(self, value: int, name: str | None = None) -> Self:
        return self._tell(*gestures.vote(self.conversation, self.teller, self._answer(name), value))

    def likes(self, name: str | None = None) -> Self:
        return self.votes(1, name)

    def dislikes(self, name: str | None = None) -> Self:
        return self.votes(-1, name)

    def withdraws(self, name: str | None = None) -> Self:
        """Take the vote back."""
        return self.votes(0, name)

    def explains(self, *reasons: str, comment: str = "", name: str | None = None) -> Self:
        """Say why one voted so."""
        return self._tell(*gestures.give_reason(self.conversation, self.teller, self._answer(name), reasons, comment))

    def compares(self, winner: Winner | None, name: str | None = None) -> Self:
        """Answer "Was this answer better?" about a retry; ``None`` takes it back."""
        return self._tell(*gestures.compare_retry(self.conversation, self.teller, self._answer(name), winner))

    def better(self, name: str | None = None) -> Self:
        return self.compares("b", name)

    def worse(self, name: str | None = None) -> Self:
        return self.compares("a", name)

    def about_the_same(self, name: str | None = None) -> Self:
        return self.compares("tie", name)

    def adds(self, *payloads: Payload) -> Self:
        """Append events that no gesture of this page makes: other modes, other programs, older logs."""
        return self._tell(*payloads)

    # ── inside ──

    def _tell(self, *payloads: Payload) -> Self:
        for event in self._append(self.teller, payloads):
            apply(self.conversation, event)
        return self

    def _finish(self, text: str, status: Status, measures: dict[str, Any]) -> Self:
        self._pause = min(self._pause, timedelta(seconds=2))
        facts: dict[str, Any] = {
            "finish_reason": "stop",
            "prompt_tokens": 20,
            "completion_tokens": len(text.split()),
            "latency_ms": 1500,
        }
        running = self._running()
        finished = ReplyFinished(message_id=running, content=text, status=status, **(facts | measures))
        return self._tell(*gestures.finish(self.conversation, finished))

    def _running(self) -> str:
        running = [message.id for message in self.conversation.messages.values() if message.status is None]
        if not running:
            raise AssertionError("no answer is being written: ask, retry or rewrite first")
        return running[-1]

    def _draw(self) -> gestures.Draw:
        message_id = self._new("a")
        return gestures.Draw(
            message_id=message_id,
            model=self._model,
            model_id=f"org/{self._model}",
            model_revision="main",
            sampling={
                "temperature": 0.8,
                "top_p": 0.95,
                "max_tokens": 64,
                "seed": len(self.conversation.messages),
                "stop": [],
            },
            system_prompt_sha256=self._prompt_sha256,
        )

    def _new(self, letter: str) -> str:
        role = "user" if letter == "q" else "assistant"
        taken = sum(message.role == role for message in self.conversation.messages.values())
        return self.id(f"{letter}{taken + 1}")

    def _answer(self, name: str | None) -> str:
        return self.id(name) if name else self._last("assistant")

    def _last(self, role: str) -> str:
        return next(message.id for message in reversed(self.conversation.visible()) if message.role == role)


class AnnotatorStory(_Teller):
    """The stream of one annotator: consent and exclusion."""

    def consents(self, version: str = "1") -> Self:
        return self._tell(ConsentGiven(consent_version=version, text_sha256=text_sha256(version)))

    def withdraws_consent(self) -> Self:
        return self._tell(ConsentWithdrawn())

    def is_excluded(self, reason: str = "answers at random") -> Self:
        return self._tell(AnnotatorExcluded(reason=reason), annotator_id="lead")

    def is_included(self) -> Self:
        return self._tell(AnnotatorIncluded(), annotator_id="lead")

    def _tell(self, payload: Payload, *, annotator_id: str | None = None) -> Self:
        self._append(annotator_id or self.stream_id, [payload])
        return self


def told_of(annotator_id: str, day: int = 0) -> AnnotatorStory:
    """Begin an annotator's own stream."""
    return AnnotatorStory(annotator_id, day)


def one_log(*streams: Sequence[Event] | _Teller, source_id: str = SOURCE_ID) -> list[Event]:
    """Several streams as one log, stream after stream, with dense positions behind the log's first event."""
    first = LogStarted(source_id=source_id)
    events = [
        Event(
            event_id=event_id("labeler", source_id, 0),
            conversation_id=source_id,
            seq=1,
            at=f"{BEGIN:%Y-%m-%dT%H:%M:%S.%f}Z",
            annotator_id="labeler",
            payload=first,
            position=1,
        )
    ]
    for stream in streams:
        for event in stream.events if isinstance(stream, _Teller) else stream:
            events.append(replace(event, position=len(events) + 1))
    return events
