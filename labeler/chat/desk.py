"""The conversations in use: read once, kept as folds, appended to in the order in which they were decided.

A decision is taken in while its commit is still under way, so that the next one builds on it. When a commit fails, or
the store answers with other events than were sent (another process was first, or the gesture had been stored before),
the fold is dropped and read anew on next use. So it is when a gesture would be refused, or would change nothing: what
another process has stored since may say otherwise.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple, Protocol

from labeler.core.conversation import Conversation
from labeler.core.events import ConversationStarted, Event, NewEvent, Payload
from labeler.core.folding import apply, replay
from labeler.errors import GestureRefused, NotFound, SeqConflict
from labeler.ids import event_id
from labeler.store import Store

MOVED_ON = "This conversation moved on in another tab. Here is where it stands now; please decide again."
OPEN_CONVERSATIONS = 20_000
# Whoever comes back later than this waits for a read; meanwhile memory is for those who work.
IDLE_SECONDS = 3_600.0
APPEND_TRIES = 8

Decide = Callable[[Conversation], list[Payload]]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored for a gesture; empty when it changed nothing. ``position`` is the last event's."""

    event_ids: tuple[str, ...]
    position: int | None


@dataclass(slots=True)
class _Open:
    """A conversation in use, and when it was last asked for. ``pending`` counts appends that were not answered yet."""

    used: float
    lock: threading.RLock = field(default_factory=threading.RLock)
    conversation: Conversation | None = None
    pending: int = 0


class _UnderWay(NamedTuple):
    """What was submitted and is not answered yet, and the fold that it was decided on and is taken into."""

    entry: _Open
    conversation: Conversation
    events: Sequence[NewEvent]


@dataclass(frozen=True, slots=True)
class Gesture:
    """One gesture on one conversation: who, with which nonce, and what it means on the state as it is.

    ``tries`` is how often it is decided, anew when another append came first or one before it failed; what must not be
    decided on another state than was seen sees to that itself. ``owner`` is whose conversation it is, where it is not
    the annotator's own; ``scope`` is in whose name the nonce is unique, where that is not the annotator's.
    """

    annotator_id: str
    nonce: str
    conversation_id: str
    decide: Decide
    tries: int = APPEND_TRIES
    owner: str = ""
    scope: str = ""


class Sink(Protocol):
    """Hears how an append ended, on whatever thread that is; a future is one."""

    def set_result(self, result: list[Event], /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...


class Desk:
    """Safe to call from any thread; one lock a conversation, none over the store's writes."""

    def __init__(self, store: Store, clock: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def owned(self, annotator_id: str, conversation_id: str) -> Iterator[Conversation]:
        """The conversation, locked.

        Raises:
            NotFound: it is not there, or somebody else began it.
        """
        entry = self._entry(conversation_id)
        with entry.lock:
            conversation = entry.conversation or self._read(conversation_id)
            if conversation is not None and conversation.annotator_id != annotator_id and self._stale(entry):
                conversation = self._read(conversation_id)  # it has changed hands in another process
            if conversation is None or conversation.annotator_id != annotator_id:
                raise NotFound("That conversation is not here, or not yours. Reload the page.")
            entry.conversation = conversation
            yield conversation

    @property
    def known(self) -> int:
        """How many conversations are in memory."""
        return len(self._open)

    def at_hand(self, conversation_id: str) -> bool:
        """Whether a conversation is in use, and nobody holds it now: a moment later that may have changed."""
        entry = self._open.get(conversation_id)
        if entry is None or not entry.lock.acquire(blocking=False):
            return False
        try:
            return entry.conversation is not None
        finally:
            entry.lock.release()

    def owner_known(self, conversation_id: str) -> str:
        """Whose a conversation is, from memory if it is there. Raises NotFound: there is none."""
        owner = self._owner(conversation_id)
        if owner is None:
            raise NotFound("That conversation is not here, or not yours. Reload the page.")
        return owner

    def owner(self, conversation_id: str) -> str | None:
        """Whose a conversation is, as the log says now; None if it is not there."""
        self.look_again(conversation_id)
        return self._owner(conversation_id)

    def _owner(self, conversation_id: str) -> str | None:
        entry = self._entry(conversation_id)
        with entry.lock:
            conversation = entry.conversation = entry.conversation or self._read(conversation_id)
            return None if conversation is None else conversation.annotator_id

    def look_again(self, *conversation_ids: str) -> bool:
        """Read them anew on next use if another process has changed them: what was erased is not shown from memory.

        Returns whether one had changed.
        """
        with self._lock:
            entries = {one: self._open[one] for one in conversation_ids if one in self._open}
        last = self._store.last_seqs(list(entries)) if entries else {}
        changed = False
        for conversation_id, entry in entries.items():
            with entry.lock:
                known = entry.conversation
                if known is not None and not entry.pending and known.seq != last.get(conversation_id):
                    entry.conversation = None
                    changed = True
        return changed

    def _stale(self, entry: _Open) -> bool:
        """Whether a fold was no longer what the log says; then it is dropped. What is under way is not looked at."""
        known = entry.conversation
        if known is None or entry.pending or self._store.last_seq(known.id) == known.seq:
            return False
        entry.conversation = None
        return True

    def begin(self, conversation: Conversation, gesture: Gesture, outcome: Sink) -> None:
        """Submit the first events of a new conversation, which is in use from now on."""
        payloads = gesture.decide(conversation)
        entry = self._entry(conversation.id)
        with entry.lock:
            events = self.new_events(conversation, gesture.annotator_id, gesture.nonce, payloads, scope=gesture.scope)
            for event in events:
                apply(conversation, event)
            entry.conversation = conversation
            entry.pending += 1
            under_way = _UnderWay(entry, conversation, events)
            submitted = self._store.submit(events)
        once = replace(gesture, tries=1)
        submitted.add_done_callback(lambda done: self._settle(once, under_way, done, outcome))

    def append(self, gesture: Gesture) -> Future[list[Event]]:
        """Decide and submit. The future resolves after the durable commit, to nothing if nothing changed."""
        outcome: Future[list[Event]] = Future()
        self.append_to(gesture, outcome)
        return outcome

    def new_events(
        self,
        conversation: Conversation,
        annotator_id: str,
        nonce: str,
        payloads: Sequence[Payload],
        *,
        scope: str = "",
    ) -> list[NewEvent]:
        """The payloads of one gesture as the conversation's next events."""
        at = self._clock()
        return [
            NewEvent(
                event_id=event_id(scope or annotator_id, nonce, index),
                conversation_id=conversation.id,
                seq=conversation.seq + 1 + index,
                at=at,
                annotator_id=annotator_id,
                payload=payload,
            )
            for index, payload in enumerate(payloads)
        ]

    def append_to(self, gesture: Gesture, outcome: Sink) -> None:
        """As ``append``, for one who waits otherwise than for a future."""
        with self.owned(gesture.owner or gesture.annotator_id, gesture.conversation_id) as conversation:
            entry = self._entry(gesture.conversation_id)
            payloads = self._decided(gesture, conversation, entry)
            if payloads is None:
                return self.append_to(gesture, outcome)
            if payloads:
                events = self.new_events(
                    conversation, gesture.annotator_id, gesture.nonce, payloads, scope=gesture.scope
                )
                for event in events:
                    apply(conversation, event)
                entry.pending += 1
                under_way = _UnderWay(entry, conversation, events)
                submitted = self._store.submit(events)
        if payloads:
            submitted.add_done_callback(lambda done: self._settle(gesture, under_way, done, outcome))
        else:
            outcome.set_result([])

    def _decided(self, gesture: Gesture, conversation: Conversation, entry: _Open) -> list[Payload] | None:
        """What a gesture means; None if nothing came of it because another process has stored something since."""
        try:
            payloads = gesture.decide(conversation)
        except (GestureRefused, SeqConflict):
            if self._stale(entry):
                return None
            raise
        return None if not payloads and self._stale(entry) else payloads

    def _settle(self, gesture: Gesture, under_way: _UnderWay, done: Future[list[Event]], outcome: Sink) -> None:
        error = done.exception()
        stored = [] if error else done.result()
        entry, decided_on, events = under_way
        as_sent = [(one.event_id, one.seq) for one in stored] == [(one.event_id, one.seq) for one in events]
        with entry.lock:
            entry.pending -= 1
            # Another fold was read while the commit was under way, because one before it failed: it may lack these.
            if not as_sent or entry.conversation is not decided_on:
                entry.conversation = None
        if error is None:
            outcome.set_result(stored)
        elif isinstance(error, SeqConflict) and gesture.tries > 1:
            self._again(gesture, outcome)
        else:
            outcome.set_exception(SeqConflict(MOVED_ON) if isinstance(error, SeqConflict) else error)

    def _again(self, gesture: Gesture, outcome: Sink) -> None:
        once_less = replace(gesture, tries=gesture.tries - 1)
        try:
            self.append_to(once_less, outcome)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the one who waits
            outcome.set_exception(error)

    def _read(self, conversation_id: str) -> Conversation | None:
        events = self._store.load(conversation_id)
        if not events or not isinstance(events[0].payload, ConversationStarted):
            return None
        return replay(conversation_id, events)

    def _entry(self, conversation_id: str) -> _Open:
        now = time.monotonic()
        with self._lock:
            entry = self._open.get(conversation_id)
            if entry is None:
                entry = self._open[conversation_id] = _Open(now)
            else:
                entry.used = now
                self._open.move_to_end(conversation_id)
            self._let_go(now)
            return entry

    def _let_go(self, now: float) -> None:
        """Of what nobody has used for long, and of too many, the oldest: two at most, so that nobody waits for it."""
        for conversation_id in list(islice(self._open, 2)):
            entry = self._open[conversation_id]
            if len(self._open) <= OPEN_CONVERSATIONS and now - entry.used < IDLE_SECONDS:
                return
            if not entry.pending:
                del self._open[conversation_id]
