"""What rooms tell of their work while they do it, to whoever counts it or writes it down.

It is told on the threads that do the work: whoever listens is quick, waits for nothing and raises nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from labeler.core.events import Event, NewEvent, ReplyFinished

REQUEST: ContextVar[str | None] = ContextVar("labeler_request", default=None)
"""The id of the request that is being answered here, if one is."""


@dataclass(slots=True)  # not frozen: one is made for every request, and that would double its price
class Answered:
    """An HTTP request that was answered.

    ``route`` is one of a bounded set and holds nothing that a client chose. ``seconds`` is the time until the answer
    began; a stream goes on after that. ``annotator_id`` and ``conversation_id`` are there as far as they are proven.
    """

    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    annotator_id: str | None = None
    conversation_id: str | None = None


@dataclass(slots=True)
class Appended:
    """A gesture that the store has answered, so many seconds after it was submitted.

    ``stored`` is empty when it failed with ``error``. ``repeated``: it had been stored before, and was not again.
    """

    new: Sequence[NewEvent]
    stored: Sequence[Event]
    error: BaseException | None
    seconds: float
    request_id: str | None

    @property
    def repeated(self) -> bool:
        # What is stored keeps the time of its first delivery.
        return bool(self.stored) and (self.stored[0].at, self.stored[0].seq) != (self.new[0].at, self.new[0].seq)


class Watch:
    """Hears of everything and does nothing; a listener overrides what it wants to hear."""

    def answered(self, answered: Answered) -> None:
        """An HTTP request was answered."""

    def submitted(self) -> None:
        """A gesture waits to be stored."""

    def appended(self, appended: Appended) -> None:
        """The gesture waits no longer."""

    def reply_began(self, model: str) -> None:
        """A model was asked for an answer."""

    def reply_ended(self, model: str, end: ReplyFinished) -> None:
        """The answer is over, whatever became of it."""

    def reloaded(self, ok: bool) -> None:
        """The study file was read again, and taken or not."""


SILENT = Watch()


@dataclass(frozen=True, slots=True)
class Watches(Watch):
    """Several listeners as one."""

    listeners: Sequence[Watch]

    def answered(self, answered: Answered) -> None:
        for one in self.listeners:
            one.answered(answered)

    def submitted(self) -> None:
        for one in self.listeners:
            one.submitted()

    def appended(self, appended: Appended) -> None:
        for one in self.listeners:
            one.appended(appended)

    def reply_began(self, model: str) -> None:
        for one in self.listeners:
            one.reply_began(model)

    def reply_ended(self, model: str, end: ReplyFinished) -> None:
        for one in self.listeners:
            one.reply_ended(model, end)

    def reloaded(self, ok: bool) -> None:
        for one in self.listeners:
            one.reloaded(ok)


def watched(watch: Watch, new: Sequence[NewEvent], answer: Future[list[Event]]) -> Future[list[Event]]:
    """The answer of the store to a gesture just submitted; ``watch`` hears of it first."""
    begun, request_id = time.monotonic(), REQUEST.get()
    watch.submitted()

    def settle(done: Future[list[Event]]) -> None:
        error = None if done.cancelled() else done.exception()
        stored = [] if done.cancelled() or error else done.result()
        watch.appended(Appended(new, stored, error, time.monotonic() - begun, request_id))

    answer.add_done_callback(settle)
    return answer


@contextmanager
def for_request(request_id: str | None) -> Iterator[None]:
    """What is done inside, on this thread, is done for a request."""
    token = REQUEST.set(request_id)
    try:
        yield
    finally:
        REQUEST.reset(token)
