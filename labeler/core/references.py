"""Which messages an event makes or names, what rests on what, and which texts it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labeler.core.events import AnswerEdited, Event, MessageSent, Payload, ReplyStarted

_NAMING = ("message_id", "parent_id", "edits", "retries", "message_a", "message_b", "answer_id", "answer_a", "answer_b")
_MAKING = (MessageSent, ReplyStarted, AnswerEdited)


def messages_of(event: Event) -> tuple[str, ...]:
    """The messages that an event makes or names."""
    named = (getattr(event.payload, name, None) for name in _NAMING)
    return tuple(one for one in named if isinstance(one, str))


def texts_in(payload: Payload) -> tuple[str, ...]:
    """What somebody typed or a model wrote, as far as it may be published."""
    texts = (getattr(payload, name, None) for name in ("system_prompt", "content", "comment"))
    return tuple(text for text in texts if isinstance(text, str) and text)


def dependents(stream: Sequence[Event], roots: Sequence[Event]) -> Iterator[Event]:
    """The events of a conversation that name a message which ``roots`` made, or one that rests on it.

    Without them what remains of the conversation can be replayed when the roots are gone.
    """
    gone = {message_id for event in roots if (message_id := made_by(event))}
    known = {event.event_id for event in roots}
    for event in stream:
        if event.event_id not in known and gone.intersection(messages_of(event)):
            if message_id := made_by(event):
                gone.add(message_id)
            yield event


def made_by(event: Event) -> str | None:
    """The message that came into being with this event."""
    payload = event.payload
    return payload.message_id if isinstance(payload, _MAKING) else None
