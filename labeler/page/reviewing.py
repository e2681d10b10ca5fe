"""The page "Review": what others gave, judged again without knowing what they said."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from labeler.chat import Recorder, Reviewer, Task
from labeler.core.roles import Visitor
from labeler.page.blocks import BARE, consent_screen, foot, sidebar, top, wire
from labeler.page.pacing import Pace
from labeler.page.render import Frame, facts, hidden_element, text_message
from labeler.page.screens import Applied, Gestures
from labeler.page.sides import columns, plain_chatbot
from labeler.page.toolkit import gr
from labeler.page.turns import Turns
from labeler.page.wire import Turn
from labeler.study import Study

SKIPPED = 3
REVIEWS, DISPUTES = "reviews", "disputes"


class ReviewScreen(Gestures):
    """One item at a time. Opening the page, or asking for the next one, takes it in hand."""

    def __init__(self, recorder: Recorder, reviewer: Reviewer) -> None:
        super().__init__(recorder, "review")
        self._reviewer = reviewer

    def apply(self, visitor: Visitor, turn: Turn) -> Applied:
        # What is shown is found by who looks, not by what the page says.
        return (turn.queue, "") if turn.kind == "open" else super().apply(visitor, turn)

    def latest(self, visitor: Visitor, turn: Turn) -> str:
        return turn.queue

    def look(self, visitor: Visitor, conversation_id: str, pace: Pace) -> tuple[Any, bool]:
        task = self._reviewer.task(visitor, ruling=conversation_id == DISPUTES)
        return (task, self._reviewer.counts(visitor), conversation_id or REVIEWS), False

    def draw(self, frame: Frame, stamp: int) -> tuple[Any, ...]:
        if frame.view is None or frame.consent is not None:
            return *(gr.skip() for _ in range(SKIPPED)), hidden_element(facts(frame, stamp, None))
        task, counts, queue = frame.view
        known = {"conversation": "", "turn_seq": 0, "running": False, "messages": [], "task": None}
        known |= {"counts": {state: n for state, n in counts.items() if state != "gold"}, "queue": queue}
        if task is None:
            return [], [], [], hidden_element(facts(frame, stamp, known))
        past = [text_message(line.id, line.role, line.text) for line in task.past]
        left = [text_message(task.left_id, "assistant", task.left)]
        right = [] if task.right is None else [text_message(str(task.right_id), "assistant", task.right)]
        return past, left, right, hidden_element(facts(frame, stamp, known | {"task": _facts(task)}))


def _facts(task: Task) -> dict[str, Any]:
    """What the browser script needs to know: nothing that anybody said of it, unless it is to be adjudicated."""
    words = None if task.words is None else [asdict(word) for word in task.words]
    return {"lease": task.lease, "left": task.left_id, "right": task.right_id, "words": words}


def build_review(study: Study, turns: Turns) -> gr.Blocks:
    """The page as Gradio blocks, wired to its handlers."""
    blocks = gr.Blocks(title=f"Review · {study.title}", analytics_enabled=False, fill_height=True, fill_width=True)
    with blocks:
        sidebar(study)
        consent_screen(study)
        with gr.Column(elem_id="chat-screen", scale=1):
            top(study)
            with gr.Column(elem_id="arena"):
                gr.HTML('<div id="queue"></div>', elem_id="queue-line", **BARE)
                past = plain_chatbot("chat", placeholder="")
                sides = columns()
                gr.HTML('<div id="choices"></div>', elem_id="choosing", **BARE)
            bridge = foot()
        wire({blocks.load: "load", bridge.click: "bridge"}, turns, [past, *sides, bridge])
    return blocks
