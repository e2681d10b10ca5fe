"""Recording what is done in a foreign chat page: its log has no words of its own, only the client's copy.

A page tells what its browser shows: after every answer, and before it acts on a gesture. What happened in between is
found by comparing, so that a report which never arrived is made up for by the next one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from labeler.chat.consents import Consents
from labeler.chat.desk import Decide, Desk, Gesture
from labeler.chat.room import check_room, with_room
from labeler.chat.writing import check_text
from labeler.core import following, gestures
from labeler.core.bodies import canonical_json
from labeler.core.conversation import ATTACHED, Conversation
from labeler.core.copies import Copy
from labeler.core.events import ConversationStarted, Event, Payload, Status
from labeler.core.following import Hand, follow, same_chat, shown
from labeler.core.imports import named
from labeler.errors import ConsentNeeded, GestureRefused, NotFound, StoreError
from labeler.ids import new_id
from labeler.store import Store
from labeler.study import Study

KNOWN_CHATS = 20_000
# A report of an answer's end was sent before the thumb under it was pressed, and may be overtaken by it.
REPORT_SECONDS = 1.0
# A foreign page waits for us before it acts on a gesture: longer than this it must not.
COMMIT_SECONDS = 5.0

UNENDED = "This answer had not ended. Vote when it has."
NO_WORDS = "Nothing is recorded of a message that holds more than text, nor of what follows it."
NO_QUESTION = "Nothing is recorded of what is said before the first message."


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat of one annotator. ``session`` is what the page calls it; a new name is a new conversation."""

    annotator_id: str
    session: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What a browser showed at a moment. ``order`` grows from moment to moment; ``running``: an answer is being
    written there."""

    copy: Copy
    order: float
    running: bool = False


@dataclass(slots=True)
class _Known:
    """What is remembered of a chat: which of its conversations is open, and the latest moment it was seen at."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    number: int = 0
    latest: float = float("-inf")


class Follower:
    """Safe to call from any thread.

    Methods raise GestureRefused (and its kinds), or StoreError, each with a line for whoever made the gesture; then it
    was not stored, or is not known to be.

    Args:
        model: what the page's answers are said to be by.
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        model: str,
        *,
        clock: Callable[[], str],
        ids: Callable[[], str] = new_id,
    ) -> None:
        self._study = study
        self._store = store
        self._model = model
        self._ids = ids
        self._desk = Desk(store, clock)
        self._consents = Consents(study.consent, store, clock)
        self._chats: OrderedDict[Chat, _Known] = OrderedDict()
        self._lock = threading.Lock()

    # ── what the page reports ──

    def settled(self, chat: Chat, sight: Sight, ending: Status = "complete", *, answered: bool = False) -> None:
        """An answer ended, or what the page shows has changed otherwise.

        ``answered``: it is what the page made of an edit. A report that was overtaken by a later one is dropped.
        """
        self._check(chat, sight.copy)
        with self._known(chat) as known:
            if sight.order >= known.latest:
                known.latest = sight.order
                self._sync(chat, known, sight.copy, self._hand(ending, answered=answered))
                known.changed.notify_all()

    def vote(self, chat: Chat, sight: Sight, index: int, value: int) -> None:
        """A thumb under the message with this index: like (1), dislike (-1) or neither (0)."""
        self._check(chat, sight.copy)
        copy, place = sight.copy, self._place(sight.copy, index)
        with self._known(chat) as known:
            if not sight.running and not self._recorded(chat, known, copy, place, copy.said[place].text):
                known.changed.wait_for(lambda: known.latest > sight.order, REPORT_SECONDS)
            if sight.order >= known.latest:
                known.latest = sight.order
                self._sync(chat, known, copy, self._hand(None if sight.running else "complete"))

            def decide(conversation: Conversation) -> list[Payload]:
                line = UNENDED if place == len(copy.said) - 1 else following.MOVED
                node = following.node_at(conversation, copy, place, line)
                return gestures.vote(conversation, chat.annotator_id, node.id, value)

            self._append(chat, known, copy, decide)

    def retry(self, chat: Chat, sight: Sight, index: int) -> None:
        """The page will answer the message with this index again; the answer it has shows still."""
        place = self._place(sight.copy, index)
        self._gesture(chat, sight, lambda one: following.retry(one, sight.copy, place, self._hand("complete")))

    def undo(self, chat: Chat, sight: Sight, index: int) -> None:
        """The page will take back the message with this index and what follows; all of it shows still."""
        place = self._place(sight.copy, index)
        self._gesture(chat, sight, lambda one: following.undo(one, sight.copy, place))

    def edit(self, chat: Chat, sight: Sight, index: int, previous: str) -> None:
        """The message with this index was rewritten: the copy has the new words, ``previous`` are the old ones."""
        self._check(chat, sight.copy)
        check_text(previous, self._study.limits.message_chars)
        copy = sight.copy
        place = copy.place(index)
        if place is None:
            raise GestureRefused(self._nowhere(copy, index, "An edit that leaves no words is not recorded."))
        text = copy.said[place].text
        alone = sum(one == place for one in copy.places) == 1
        before = copy.with_text(place, previous).upto(place + 1) if alone and previous else copy.upto(place)
        with self._known(chat) as known:
            self._in_order(known, sight)
            if not self._recorded(chat, known, before, place, text):
                self._sync(chat, known, before, self._hand("complete", whole=False))
            self._append(chat, known, before, lambda one: following.edit(one, place, text, self._hand("complete")))

    def clear(self, chat: Chat, order: float) -> None:
        """The page was emptied; its copy is empty already."""
        self._check(chat, Copy())
        with self._known(chat) as known:
            known.latest = max(known.latest, order)
            self._append(chat, known, Copy(), gestures.clear)

    # ── how ──

    def _gesture(self, chat: Chat, sight: Sight, decide: Decide) -> None:
        """A gesture on what shows: first that is recorded, then the gesture."""
        self._check(chat, sight.copy)
        with self._known(chat) as known:
            self._in_order(known, sight)
            self._sync(chat, known, sight.copy, self._hand("complete"))
            self._append(chat, known, sight.copy, decide)

    def _in_order(self, known: _Known, sight: Sight) -> None:
        if sight.order < known.latest:
            raise GestureRefused(following.MOVED)
        known.latest = sight.order

    def _check(self, chat: Chat, copy: Copy) -> None:
        if self._consents.needed(chat.annotator_id):
            raise ConsentNeeded("The study's consent text was not accepted, so nothing is recorded.")
        most = self._study.limits.conversation_messages
        if len(copy.said) > most:
            raise GestureRefused(f"That chat is too long: of more than {most:,} messages nothing is recorded.")
        for one in copy.said:
            check_text(one.text, self._study.limits.message_chars)
        check_text(copy.system or "", self._study.limits.message_chars)

    def _place(self, copy: Copy, index: int) -> int:
        place = copy.place(index)
        if place is None:
            raise GestureRefused(self._nowhere(copy, index, NO_QUESTION))
        return place

    def _nowhere(self, copy: Copy, index: int, otherwise: str) -> str:
        return NO_WORDS if copy.cut is not None and index >= copy.cut else otherwise

    def _hand(self, ending: Status | None, *, answered: bool = False, whole: bool = True) -> Hand:
        return Hand(ids=self._ids, model=self._model, ending=ending, answered=answered, whole=whole)

    def _recorded(self, chat: Chat, known: _Known, copy: Copy, place: int, text: str) -> bool:
        """Whether the words that show in this place are in the log."""
        conversation_id = self._find(chat, known, copy)
        if conversation_id is None:
            return False
        with self._desk.owned(chat.annotator_id, conversation_id) as conversation:
            path = shown(conversation)
            return place < len(path) and path[place].content == text

    def _sync(self, chat: Chat, known: _Known, copy: Copy, hand: Hand) -> None:
        conversation_id = self._find(chat, known, copy)
        if conversation_id is None:
            if copy.said:
                self._begin(chat, known, copy, hand)
            return
        self._store_gesture(chat, conversation_id, lambda conversation: follow(conversation, copy, hand))

    def _append(self, chat: Chat, known: _Known, copy: Copy, decide: Decide) -> None:
        conversation_id = self._find(chat, known, copy)
        if conversation_id is not None:
            self._store_gesture(chat, conversation_id, decide)

    def _store_gesture(self, chat: Chat, conversation_id: str, decide: Decide) -> None:
        roomy = with_room(decide, self._study.limits)
        _stored(self._desk.append(Gesture(chat.annotator_id, self._ids(), conversation_id, roomy)))

    def _begin(self, chat: Chat, known: _Known, copy: Copy, hand: Hand) -> None:
        conversation = Conversation(self._id(chat, known.number))
        started = ConversationStarted(
            study=self._study.name, mode=ATTACHED, model=self._model, system_prompt=copy.system
        )
        conversation.started = started
        payloads: Sequence[Payload] = [started, *follow(conversation, copy, hand)]
        conversation.started = None
        check_room(conversation, payloads, self._study.limits)
        _stored(self._store.submit(self._desk.new_events(conversation, chat.annotator_id, self._ids(), payloads)))

    # ── which conversation ──

    def _find(self, chat: Chat, known: _Known, copy: Copy) -> str | None:
        """The conversation that the copy is a state of; ``None``: it has to be begun, under ``known.number``."""
        number = known.number
        self._desk.look_again(self._id(chat, number))
        while (fits := self._fits(chat, number, copy)) is False:
            number += 1
        if fits is None:  # a page may go back to an earlier chat of the same session
            earlier = (one for one in reversed(range(known.number)) if copy.said and self._fits(chat, one, copy))
            number = next(earlier, number)
        known.number = number
        return self._id(chat, number) if self._fits(chat, number, copy) else None

    def _fits(self, chat: Chat, number: int, copy: Copy) -> bool | None:
        """Whether a conversation is open and can have come to this; ``None``: there is none of this number."""
        try:
            with self._desk.owned(chat.annotator_id, self._id(chat, number)) as conversation:
                return not conversation.cleared and same_chat(conversation, copy)
        except NotFound:  # what was erased has kept its name
            return False if self._store.last_seq(self._id(chat, number)) else None

    def _id(self, chat: Chat, number: int) -> str:
        """What a chat's conversations are called follows from what the page calls the chat: a restart changes
        nothing. Nobody can name somebody else's, since the annotator is part of it."""
        known = {"annotator": chat.annotator_id, "session": chat.session, "model": self._model, "number": number}
        return named(ATTACHED, self._study.name, canonical_json(known))

    @contextmanager
    def _known(self, chat: Chat) -> Iterator[_Known]:
        """What is remembered of a chat, for one at a time."""
        with self._lock:
            known = self._chats.setdefault(chat, _Known())
            self._chats.move_to_end(chat)
            if len(self._chats) > KNOWN_CHATS:
                self._chats.popitem(last=False)
        with known.changed:
            yield known


def _stored(submitted: Future[list[Event]]) -> None:
    try:
        submitted.result(COMMIT_SECONDS)
    except TimeoutError as error:
        raise StoreError(f"The database took more than {COMMIT_SECONDS:.0f} seconds.") from error
