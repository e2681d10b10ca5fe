"""The use-cases of other front ends: what their annotators did is told, checked as the page's gestures are, and kept.

A front end (the ``Teller``) speaks for annotators of its own and for nobody else. Each gesture comes with a key that is
unique among all that its teller tells: told twice it is stored once, and gets the same answer; another gesture under
the same key is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from labeler.chat.desk import Gesture
from labeler.chat.readings import Page, Reading, reading_of
from labeler.chat.room import check_room
from labeler.chat.tellers import USED, Answer, Outcome, Recent, Step, Teller, Told, outcome_of, referring
from labeler.chat.writing import Writing, check_nonce, check_text
from labeler.core.conversation import Conversation
from labeler.core.events import Erased, Event, Payload
from labeler.core.telling import Begun, Edited, Ended, Explained, Preferred, Replied, Said, Telling
from labeler.errors import EventConflict, GestureRefused, LabelerError, MovedOn, NotFound, StoreError
from labeler.ids import event_id
from labeler.study import Study

MAX_ANSWER = 200_000  # characters: models say more at once than people
THREADS = 8
WINDOW, WINDOWS = 10_000, 5
EVENTS = 2  # that one gesture is stored as, at most

GONE = "What that gesture stored was erased."
NOT_HERE = "That conversation is not here, or was not told with this token."
MOVED_ON = "The conversation moved on since it was read. Read it, and decide again."
CLOSING = "The server is closing. Send it again."


class Intake:
    """What a front end can tell and read. Safe to call from any thread.

    Futures and methods raise GestureRefused (and its kinds), EventConflict or StoreError, each with a line for whoever
    runs the front end; then nothing was stored.
    """

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._recent = Recent()
        self._pool = ThreadPoolExecutor(THREADS, "intake")

    @property
    def study(self) -> Study:
        return self._writing.study

    def close(self) -> None:
        """Answer what is under way, and no more."""
        self._pool.shutdown()

    # ── telling ──

    def at_hand(self, teller: Teller, told: Told) -> bool:
        """Whether ``tell`` decides from memory, so that whoever calls it does not wait for the store."""
        desk, named = self._writing.desk, told.conversation_id
        if named and not desk.at_hand(named):
            return False
        if self.study.consent is None:
            return True
        return self._writing.consents.at_hand(desk.owner_known(named) if named else teller.annotator(told.annotator))

    def tell(self, teller: Teller, told: Told) -> Answer:
        """Keep one gesture. The future resolves after the commit.

        Raises:
            EventConflict: the key was used for another gesture a moment ago.
            GestureRefused: it is no key.
        """
        check_nonce(told.key)
        answer, first = self._recent.claim(teller, told)
        if first:
            self._attempt(Step(teller, told, answer, self._settle))
        return answer

    def tell_all(self, teller: Teller, many: Sequence[Told]) -> list[Outcome | LabelerError]:
        """Keep many gestures in this order, and wait for the commits. Each has an outcome of its own.

        ``@KEY`` in the place of an id is what the gesture with this key, earlier among the many, made.
        """
        stored = self._writing.store.found([event_id(teller.id, told.key, 0) for told in many])
        steps: dict[str, Step] = {}
        outcomes: list[Step | LabelerError] = []
        for told in many:
            try:
                step = self._next(teller, told, steps, stored)
            except LabelerError as error:
                outcomes.append(error)
            else:
                steps[told.key] = step
                outcomes.append(step)
        return [one.outcome() if isinstance(one, Step) else one for one in outcomes]

    def _next(self, teller: Teller, told: Told, steps: dict[str, Step], stored: dict[str, Event]) -> Step:
        check_nonce(told.key)
        told, rests_on = referring(told, steps)
        answer, first = self._recent.claim(teller, told)
        step = Step(teller, told, answer, self._settle, rests_on)
        if first and event_id(teller.id, told.key, 0) in stored:
            self._look_twice(step, None)
        elif first:
            self._attempt(step)
            return step
        step.wait_for_what_was_made()
        return step

    def consent(self, teller: Teller, annotator: str, key: str, version: str | None) -> None:
        """An annotator accepted the consent text in this version, or took consent back. Waits for the commit."""
        check_nonce(key)
        who = teller.annotator(annotator)
        if version is None:
            self._writing.consents.withdraw(who, key)
        else:
            self._writing.consents.give(who, key, version)

    # ── reading ──

    def conversation(self, teller: Teller, conversation_id: str) -> Reading:
        """A conversation as it stands in the log now."""
        self._writing.desk.look_again(conversation_id)
        with self._writing.desk.owned(self._owner(teller, conversation_id), conversation_id) as conversation:
            return reading_of(conversation)

    def events(self, teller: Teller, after: int, limit: int) -> Page:
        """What the teller's annotators did, from behind a position. A page may be short, or empty, though there is
        more: the log is looked through piece by piece."""
        store = self._writing.store
        last = store.position()
        found: list[Event] = []
        at = after
        for _ in range(WINDOWS):
            upto = min(at + WINDOW, last)
            if upto <= at:
                break
            found += store.given_by(f"{teller.id}:", at, upto, limit - len(found))
            if len(found) == limit:
                at = found[-1].position
                break
            at = upto
        return Page(found, at, at < last)

    # ── how a gesture is kept ──

    def _attempt(self, step: Step) -> None:
        try:
            self._append(step)
        except LabelerError as error:
            self._look_twice(step, error)

    def _append(self, step: Step) -> None:
        told = step.told
        gesture = self._checked(told.gesture)
        desk = self._writing.desk

        def decide(conversation: Conversation) -> list[Payload]:
            if told.turn_seq not in (None, conversation.turn_seq):
                raise MovedOn(MOVED_ON)
            payloads = gesture.decide(conversation, step.made)
            check_room(conversation, payloads, self.study.limits)
            return payloads

        begun = isinstance(gesture, Begun)
        owner = step.teller.annotator(told.annotator) if begun else self._owner(step.teller, told.conversation_id)
        self._writing.check(owner, told.key)
        if begun:
            made = Gesture(owner, told.key, step.made, decide, scope=step.teller.id)
            desk.begin(Conversation(step.made), made, step)
        else:
            desk.append_to(Gesture(owner, told.key, told.conversation_id, decide, scope=step.teller.id), step)

    def _owner(self, teller: Teller, conversation_id: str) -> str:
        try:
            owner = self._writing.desk.owner_known(conversation_id)
        except NotFound:
            raise NotFound(NOT_HERE) from None
        if not teller.speaks_for(owner):
            raise NotFound(NOT_HERE)
        return owner

    def _checked(self, gesture: Telling) -> Telling:
        """The gesture, its reasons in the study's own order."""
        writing = self._writing
        match gesture:
            case Said():
                writing.check_text(gesture.content)
            case Edited():
                writing.check_rewrite(gesture.content)
            case Ended(end=end) | Replied(end=end) if end is not None:
                check_text(end.content, MAX_ANSWER)
            case Begun(system_prompt=str() as prompt):
                check_text(prompt, MAX_ANSWER)
            case Explained() | Preferred():
                writing.check_comment(gesture.comment)
                return replace(gesture, reasons=writing.known_reasons(gesture.reasons), comment=gesture.comment.strip())
        return gesture

    def _settle(self, step: Step, stored: Sequence[Event], error: BaseException | None) -> None:
        if stored:
            step.answer.set_result(outcome_of(stored))
        else:
            self._look_twice(step, error)

    def _failed(self, step: Step, error: BaseException) -> None:
        self._recent.forget(step)
        step.answer.set_exception(error)

    def _look_twice(self, step: Step, error: BaseException | None) -> None:
        """Nothing was stored just now, for one reason or another; the store knows whether something was before."""
        try:
            self._pool.submit(self._looked_twice, step, error)
        except RuntimeError:
            self._failed(step, StoreError(CLOSING))

    def _looked_twice(self, step: Step, error: BaseException | None) -> None:
        """Runs where it may wait for the store: on no thread that writes or serves."""
        try:
            before = self._told_before(step)
            if before is None and step.first_look and self._writing.desk.look_again(step.told.conversation_id):
                step.first_look = False  # another process changed it meanwhile: what was decided, was on old ground
                self._attempt(step)
            elif before is None and error is not None:
                self._failed(step, error)
            else:
                step.answer.set_result(before or step.nothing())
        except Exception as failure:  # noqa: BLE001 - whatever it is, nobody waits for ever
            self._failed(step, failure)

    def _told_before(self, step: Step) -> Outcome | None:
        """What was stored under this key.

        Raises:
            EventConflict: another gesture.
        """
        ids = [event_id(step.teller.id, step.told.key, index) for index in range(EVENTS)]
        found = self._writing.store.found(ids)
        stored = [found[one] for one in ids if one in found]
        if not stored:
            return None
        if any(isinstance(event.payload, Erased) for event in stored):
            raise GestureRefused(GONE)
        begun = isinstance(step.told.gesture, Begun)
        place = step.teller.annotator(step.told.annotator) if begun else step.told.conversation_id
        placed = stored[0].annotator_id if begun else stored[0].conversation_id
        gesture = self._checked(step.told.gesture)
        if place != placed or not gesture.says([event.payload for event in stored]):
            raise EventConflict(USED)
        return outcome_of(stored)
