"""The page "Compare": two answers side by side, and a choice."""

from __future__ import annotations

from typing import Any

from labeler.chat import Comparer, PairShown, PairView, Recorder
from labeler.chat.pairs import Side
from labeler.core.roles import Visitor
from labeler.page.blocks import BARE, composer, consent_screen, foot, sidebar, top, wire
from labeler.page.pacing import Pace, paced
from labeler.page.render import Frame, facts, hidden_element, text_message
from labeler.page.screens import Applied, Gestures, claim_of
from labeler.page.sides import columns, plain_chatbot
from labeler.page.toolkit import gr
from labeler.page.turns import Turns
from labeler.page.wire import Turn
from labeler.study import Study

WELCOME = "## What would you like to ask?\nTwo models answer. Choose the better answer, and go on from there."
SKIPPED = 3


class CompareScreen(Gestures):
    """Side by side: two answers at a time, chosen between."""

    def __init__(self, recorder: Recorder, comparer: Comparer) -> None:
        super().__init__(recorder, "compare")
        self._comparer = comparer
        self._own = {"send": self._send, "retry": self._retry}

    def look(self, visitor: Visitor, conversation_id: str, pace: Pace) -> tuple[Any, bool]:
        return paced(self._comparer.view(visitor.annotator_id, conversation_id), pace)

    def draw(self, frame: Frame, stamp: int) -> tuple[Any, ...]:
        view: PairView | None = frame.view
        if view is None:
            return *(gr.skip() for _ in range(SKIPPED)), hidden_element(facts(frame, stamp, None))
        past = [text_message(line.id, line.role, line.text) for line in view.past]
        sides = [] if view.pair is None else [view.pair.left, view.pair.right]
        columns = [[text_message(side.id, "assistant", side.text)] * bool(side.text.strip()) for side in sides]
        return past, *(columns or [[], []]), hidden_element(facts(frame, stamp, pair_facts(view)))

    def _send(self, annotator: str, turn: Turn) -> Applied:
        return self._comparer.send(annotator, claim_of(turn), turn.text), ""

    def _retry(self, annotator: str, turn: Turn) -> Applied:
        self._comparer.try_again(annotator, claim_of(turn))
        return turn.conversation or "", ""


def pair_facts(view: PairView) -> dict[str, Any]:
    """What the browser script needs to know of a conversation. No model is named before the choice."""
    return {
        "conversation": view.conversation_id,
        "turn_seq": view.turn_seq,
        "running": view.running,
        "messages": [],
        "pair": None if view.pair is None else _pair(view.pair),
    }


def _pair(pair: PairShown) -> dict[str, Any]:
    return {
        "message": pair.message_id,
        "left": _side(pair.left),
        "right": _side(pair.right),
        "comparable": pair.comparable,
        "choice": pair.choice,
        "reasons": list(pair.reasons),
        "comment": pair.comment,
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "id": side.id,
        "status": side.status,
        "empty": not side.text.strip(),
        "error": side.error,
        "model": side.model,
        "named_itself": side.named_itself,
    }


# ── the layout ──


def build_compare(study: Study, turns: Turns) -> gr.Blocks:
    """The page as Gradio blocks, wired to its handlers."""
    blocks = gr.Blocks(title=f"Compare · {study.title}", analytics_enabled=False, fill_height=True, fill_width=True)
    with blocks:
        sidebar(study)
        consent_screen(study)
        with gr.Column(elem_id="chat-screen", scale=1):
            top(study)
            with gr.Column(elem_id="arena"):
                past = plain_chatbot("chat", placeholder=WELCOME, prompts=study.prompts)
                sides = columns()
                gr.HTML('<div id="choices"></div>', elem_id="choosing", **BARE)
            buttons = composer()
            bridge = foot()
        events = {
            blocks.load: "load",
            buttons["send"].click: "send",
            buttons["stop"].click: "stop",
            buttons["new"].click: "new",
            bridge.click: "bridge",
        }
        wire(events, turns, [past, *sides, bridge])
    return blocks
