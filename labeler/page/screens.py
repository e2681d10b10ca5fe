"""What a page with a conversation does with a gesture, and what it shows: one screen a mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from labeler.chat import Claim, Recorder
from labeler.core.roles import Visitor
from labeler.errors import GestureRefused
from labeler.page.pacing import Pace
from labeler.page.render import Frame, chat_value, facts, hidden_element, view_facts
from labeler.page.wire import MALFORMED, Turn

# Which conversation to show next, and what goes into the message box.
Applied = tuple[str, str]


class Screen(Protocol):
    """One page with a conversation. Methods raise LabelerError, one line."""

    def apply(self, visitor: Visitor, turn: Turn) -> Applied:
        """Make a gesture. Returns the conversation to show and the text for the message box."""

    def latest(self, visitor: Visitor, turn: Turn) -> str:
        """What to show after a failure: the conversation the page was in, if it is theirs."""

    def look(self, visitor: Visitor, conversation_id: str, pace: Pace) -> tuple[Any, bool]:
        """What a tab shows now, and whether that will change by itself."""

    def draw(self, frame: Frame, stamp: int) -> tuple[Any, ...]:
        """One render: a value for each component of the page."""


def claim_of(turn: Turn) -> Claim:
    return Claim(turn.conversation or "", turn.turn_seq, turn.nonce)


class Gestures:
    """The gestures that every page with a conversation has."""

    def __init__(self, recorder: Recorder, mode: str) -> None:
        self._recorder = recorder
        self._mode = mode
        self._own: Mapping[str, Callable[[str, Turn], Applied]] = {}

    def apply(self, visitor: Visitor, turn: Turn) -> Applied:
        """Make a gesture. Raises GestureRefused for one that this page has not."""
        shared: Mapping[str, Callable[[str, Turn], Applied]] = {
            "open": self._open,
            "new": self._new,
            "stop": self._stop,
            "accept_consent": self._agree,
            "withdraw_consent": self._withdraw,
        }
        made = shared.get(turn.kind) or self._own.get(turn.kind)
        if made is None:
            raise GestureRefused(MALFORMED)
        return made(visitor.annotator_id, turn)

    def latest(self, visitor: Visitor, turn: Turn) -> str:
        return self._open(visitor.annotator_id, turn)[0]

    def _open(self, annotator: str, turn: Turn) -> Applied:
        """Open what the page names; a page that names nothing gets the conversation used last."""
        if turn.conversation is None:
            return self._recorder.latest(annotator, self._mode), ""
        return self._recorder.opened(annotator, turn.conversation, self._mode), ""

    def _new(self, annotator: str, turn: Turn) -> Applied:
        if turn.conversation:
            self._recorder.stop(annotator, turn.conversation)
        return "", ""

    def _stop(self, annotator: str, turn: Turn) -> Applied:
        if turn.conversation:
            self._recorder.stop(annotator, turn.conversation)
        return turn.conversation or "", ""

    def _agree(self, annotator: str, turn: Turn) -> Applied:
        self._recorder.give_consent(annotator, turn.nonce, turn.version)
        return self._open(annotator, turn)

    def _withdraw(self, annotator: str, turn: Turn) -> Applied:
        self._recorder.withdraw_consent(annotator, turn.nonce)
        return "", ""


class ChatScreen(Gestures):
    """The chat: one answer at a time, judged."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder, "chat")
        self._own = {
            "send": self._send,
            "retry": self._retry,
            "edit": self._edit,
            "undo": self._undo,
            "clear": self._clear,
            "select": self._select,
        }

    def look(self, visitor: Visitor, conversation_id: str, pace: Pace) -> tuple[Any, bool]:
        view = self._recorder.view(visitor.annotator_id, conversation_id)
        return view, view.running

    def draw(self, frame: Frame, stamp: int) -> tuple[Any, ...]:
        known = None if frame.view is None else view_facts(frame.view)
        return chat_value(frame), hidden_element(facts(frame, stamp, known))

    def _send(self, annotator: str, turn: Turn) -> Applied:
        return self._recorder.send(annotator, claim_of(turn), turn.text), ""

    def _retry(self, annotator: str, turn: Turn) -> Applied:
        self._recorder.retry(annotator, claim_of(turn))
        return turn.conversation or "", ""

    def _edit(self, annotator: str, turn: Turn) -> Applied:
        self._recorder.edit(annotator, claim_of(turn), turn.message, turn.text)
        return turn.conversation or "", ""

    def _undo(self, annotator: str, turn: Turn) -> Applied:
        return turn.conversation or "", self._recorder.undo(annotator, claim_of(turn))

    def _clear(self, annotator: str, turn: Turn) -> Applied:
        self._recorder.clear(annotator, claim_of(turn))
        return "", ""

    def _select(self, annotator: str, turn: Turn) -> Applied:
        self._recorder.select(annotator, claim_of(turn), turn.message)
        return turn.conversation or "", ""
