"""Who tells, what is told, and what comes of it: the small parts of ``intake``."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace

from labeler.core.events import Event
from labeler.core.telling import Begun, Edited, Replied, Said, Telling
from labeler.errors import EventConflict, GestureRefused, LabelerError, StoreError
from labeler.ids import new_id, sha256_hex

REMEMBERED = 10_000
EARLIER = re.compile(r"@([A-Za-z0-9_-]{8,64})")

USED = "That key was used for another gesture. Make a new key for a new gesture."
NOT_EARLIER = "There is no gesture with that key earlier in this call."
RESTS = "It rests on a gesture of this call that was not stored."
AGAIN = "It rests on a gesture of this call that had been stored before. Send it again."


@dataclass(frozen=True, slots=True)
class Teller:
    """A front end: ``id`` is what the ids of its annotators begin with."""

    id: str

    def annotator(self, name: str) -> str:
        """The id under which the log knows an annotator of this front end: nobody else's, and it holds no name."""
        return f"{self.id}:{sha256_hex(self.id, name)[:32]}"

    def speaks_for(self, annotator_id: str) -> bool:
        return annotator_id.startswith(f"{self.id}:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A gesture as it arrives. ``annotator`` begins a conversation; all else happens in ``conversation_id``.

    ``turn_seq`` is where the front end saw the conversation, if it wants to hear that it has moved on.
    """

    key: str
    gesture: Telling
    conversation_id: str = ""
    annotator: str = ""
    turn_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was stored of a gesture; no events and no seq where it changed nothing.

    ``message_id`` is the message that it made or is about; ``seq`` is the last event's.
    """

    conversation_id: str
    message_id: str | None
    event_ids: tuple[str, ...]
    seq: int | None


Answer = Future[Outcome]


def outcome_of(events: Sequence[Event]) -> Outcome:
    """What the stored events of one gesture say of it: the same whenever it is asked."""
    named = getattr(events[0].payload, "message_id", None)
    return Outcome(events[0].conversation_id, named, tuple(event.event_id for event in events), events[-1].seq)


@dataclass(slots=True)
class Step:
    """A gesture on its way; the desk tells it what was stored, and it passes that on to ``settle``.

    ``made`` is the id that it gives to what it makes. ``rests_on`` are earlier ones of the same call, each with the id
    of what it made as it is named here.
    """

    teller: Teller
    told: Told
    answer: Answer
    settle: Callable[[Step, Sequence[Event], BaseException | None], None]
    rests_on: list[tuple[Step, str]] = field(default_factory=list)
    first_look: bool = True
    made: str = ""
    ended: Outcome | LabelerError | None = None

    def __post_init__(self) -> None:
        if isinstance(self.told.gesture, MAKES):
            self.made = new_id()

    def set_result(self, events: Sequence[Event], /) -> None:
        self.settle(self, events, None)

    def set_exception(self, error: BaseException, /) -> None:
        self.settle(self, (), error)

    def nothing(self) -> Outcome:
        """The outcome of a gesture that changed nothing."""
        return Outcome(self.told.conversation_id, getattr(self.told.gesture, "message_id", None), (), None)

    def wait_for_what_was_made(self) -> None:
        """It was told before, so that what it made has an id already."""
        if self.answer.exception() is None:
            self.made = self._made_by(self.answer.result())

    def outcome(self) -> Outcome | LabelerError:
        """How it ended; waits until it has."""
        if self.ended is None:
            self.ended = self._concluded()
        return self.ended

    def _concluded(self) -> Outcome | LabelerError:
        """One that failed because an earlier one was stored by somebody else meanwhile, under another id, may come
        again."""
        error = self.answer.exception()
        if error is None:
            return self.answer.result()
        for root, used in self.rests_on:
            outcome = root.outcome()
            if isinstance(outcome, LabelerError):
                return StoreError(RESTS) if isinstance(outcome, StoreError) else GestureRefused(RESTS)
            if root._made_by(outcome) != used:
                return StoreError(AGAIN)
        if not isinstance(error, LabelerError):
            raise error
        return error

    def _made_by(self, outcome: Outcome) -> str:
        begun = isinstance(self.told.gesture, Begun)
        return outcome.conversation_id if begun else outcome.message_id or ""


def referring(told: Told, steps: Mapping[str, Step]) -> tuple[Told, list[tuple[Step, str]]]:
    """The same with the ids of what earlier steps made in the place of ``@KEY``; and these steps.

    Raises:
        GestureRefused: there is no such step.
    """
    rests_on: list[tuple[Step, str]] = []

    def named(value: object) -> object:
        found = EARLIER.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            return value
        step = steps.get(found[1])
        if step is None:
            raise GestureRefused(NOT_EARLIER)
        rests_on.append((step, step.made))
        return step.made

    ids = {one.name: getattr(told.gesture, one.name) for one in fields(told.gesture) if one.name in IDS}
    gesture = replace(told.gesture, **{name: named(value) for name, value in ids.items()})
    conversation_id = str(named(told.conversation_id))
    return replace(told, gesture=gesture, conversation_id=conversation_id), rests_on


MAKES = (Begun, Said, Replied, Edited)
IDS = ("message_id", "parent_id", "retries", "message_a", "message_b")


class Recent:
    """The gestures that were told a moment ago, with their answers: told again meanwhile, they are not decided again.

    What failed is forgotten at once, since it may come again.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str], tuple[int, Answer]] = OrderedDict()
        self._lock = threading.Lock()

    def claim(self, teller: Teller, told: Told) -> tuple[Answer, bool]:
        """The answer to a gesture, and whether it is for the caller to bring it about.

        Raises:
            EventConflict: its key was used for another one.
        """
        # Of a gesture a hash of 64 bits is kept, not its texts; the store compares those.
        name, digest = (teller.id, told.key), hash(told)
        with self._lock:
            before = self._answers.get(name)
            if before is None:
                answer: Answer = Future()
                answer.set_running_or_notify_cancel()  # whoever gives up waiting takes nothing back
                self._answers[name] = digest, answer
                if len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
                return answer, True
        if before[0] != digest:
            raise EventConflict(USED)
        return before[1], False

    def forget(self, step: Step) -> None:
        """What failed may come again."""
        name = (step.teller.id, step.told.key)
        with self._lock:
            known = self._answers.get(name)
            if known is not None and known[1] is step.answer:
                del self._answers[name]
