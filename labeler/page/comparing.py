"""The page "Compare": two answers side by side, and a choice."""

from __future__ import annotations

import html
from typing import Any

from labeler.chat import Comparer, PairShown, PairView, Recorder
from labeler.chat.pairs import Side
from labeler.core.roles import Visitor
from labeler.page.blocks import BARE, BRIDGE, MATHS, WATCHING, composer, consent_screen, sidebar
from labeler.page.pacing import Pace, paced
from labeler.page.render import Frame, facts, hidden_element, text_message
from labeler.page.screens import Applied, Gestures, claim_of
from labeler.page.toolkit import gr
from labeler.page.turns import Tab, Turns
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
            gr.HTML(f"<h1>{html.escape(study.title)}</h1>", elem_id="top", **BARE)
            with gr.Column(elem_id="arena"):
                past = _chatbot("chat", placeholder=WELCOME, prompts=study.prompts)
                with gr.Row(elem_id="pair"):
                    columns = [_column("A", "left"), _column("B", "right")]
                gr.HTML('<div id="choices"></div>', elem_id="choosing", **BARE)
            buttons = composer()
            gr.HTML('<div id="status-line"></div>', elem_id="status", **BARE)
            bridge = gr.HTML("", elem_id="bridge", js_on_load=BRIDGE, **BARE)
        claims = gr.JSON(visible=False)
        tab = gr.State(Tab())
        shown = [past, *columns, bridge]
        events = {
            blocks.load: "load",
            buttons["send"].click: "send",
            buttons["stop"].click: "stop",
            buttons["new"].click: "new",
            bridge.click: "bridge",
        }
        for event, source in events.items():
            event(turns.act, [claims, tab], shown, js=f"() => window.labeler.gesture('{source}')", **WATCHING)
    return blocks


def _column(name: str, place: str) -> gr.Chatbot:
    with gr.Column(elem_id=f"column-{place}", min_width=280):
        gr.HTML(f'<div class="column-head" id="head-{place}"><h2>Answer {name}</h2></div>', **BARE)
        return _chatbot(place)


def _chatbot(elem_id: str, *, placeholder: str | None = None, prompts: tuple[str, ...] = ()) -> gr.Chatbot:
    return gr.Chatbot(
        elem_id=elem_id,
        show_label=False,
        container=False,
        height=None,
        layout="bubble",
        group_consecutive_messages=False,
        buttons=[],
        placeholder=placeholder,
        examples=[{"text": prompt} for prompt in prompts] or None,
        allow_file_downloads=False,
        latex_delimiters=MATHS,
    )
