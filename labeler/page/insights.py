"""The page "Insights": how far to trust what was said, and whose work is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from labeler.chat import Overseer, Oversight
from labeler.core.roles import Visitor
from labeler.core.wishes import CONTROLS, Wishes
from labeler.errors import GestureRefused
from labeler.page.blocks import BARE, foot, sidebar, top, wire
from labeler.page.pacing import Pace
from labeler.page.render import Frame, facts, hidden_element
from labeler.page.screens import Applied
from labeler.page.toolkit import gr
from labeler.page.turns import Turns
from labeler.page.wire import MALFORMED, Turn
from labeler.study import Study

NAMED = "named"
LEAST_AGREEING = 20  # pairs of annotators that are shown
MOST_RATERS = 200


class InsightsScreen:
    """One document of statistics. What it is to be like (a page's wishes) stands where others have a conversation."""

    def __init__(self, overseer: Overseer) -> None:
        self._overseer = overseer

    def apply(self, visitor: Visitor, turn: Turn) -> Applied:
        match turn.kind:
            case "open":
                pass
            case "exclude":
                self._overseer.exclude(visitor, turn.nonce, turn.annotator, turn.text)
            case "include":
                self._overseer.include(visitor, turn.nonce, turn.annotator)
            case _:
                raise GestureRefused(MALFORMED)
        return self.latest(visitor, turn), ""

    def latest(self, visitor: Visitor, turn: Turn) -> str:
        return ",".join(sorted(set(turn.wishes)))

    def look(self, visitor: Visitor, conversation_id: str, pace: Pace) -> tuple[Any, bool]:
        wanted = conversation_id.split(",")
        controls = tuple(one for one in CONTROLS if one in wanted)
        seen = self._overseer.look(visitor, Wishes(controls, NAMED in wanted))
        return seen, seen.count.running

    def draw(self, frame: Frame, stamp: int) -> tuple[Any, ...]:
        known = None if frame.view is None else _facts(frame.view)
        return (hidden_element(facts(frame, stamp, known)),)


def _facts(seen: Oversight) -> dict[str, Any]:
    """What the browser script draws: the document, with names, and no more of it than people read."""
    count = seen.count
    return {
        "running": False,
        "messages": [],
        "position": count.position,
        "log": seen.position,
        "counting": {"done": count.done, "of": count.of} if count.running else None,
        "trouble": count.trouble,
        "names": {one: seen.names[one] for one in sorted(_shown(seen)) if one in seen.names},
        "excluded": [asdict(one) for one in seen.excluded],
        "may_exclude": seen.may_exclude,
        "document": None if count.document is None else _shortened(count.document),
    }


def _shown(seen: Oversight) -> set[str]:
    """Whose names the page needs: of nobody else are they sent."""
    document = seen.count.document or {}
    return {*(one["annotator"] for one in document.get("raters", ())), *(one.annotator_id for one in seen.excluded)}


def _shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    between: Sequence[Mapping[str, Any]] = document["between_annotators"]
    least = sorted(between, key=lambda one: one["percent"])[:LEAST_AGREEING]
    raters = sorted(document["raters"], key=_suspicion)[:MOST_RATERS]
    return {
        **document,
        "between_annotators": least,
        "between_all": len(between),
        "raters": raters,
        "raters_all": len(document["raters"]),
    }


def _suspicion(rater: Mapping[str, Any]) -> tuple[bool, float]:
    """Those who are marked come first, then those furthest below the others; who shared nothing comes last."""
    return not rater["flagged"], float("inf") if rater["z"] is None else rater["z"]


def build_insights(study: Study, turns: Turns) -> gr.Blocks:
    """The page as Gradio blocks, wired to its handlers."""
    blocks = gr.Blocks(title=f"Insights · {study.title}", analytics_enabled=False, fill_height=True, fill_width=True)
    with blocks:
        sidebar(study)
        with gr.Column(elem_id="chat-screen", scale=1):
            top(study)
            gr.HTML('<div id="insights"></div>', elem_id="insights-room", **BARE)
            bridge = foot()
        wire({blocks.load: "load", bridge.click: "bridge"}, turns, [bridge])
    return blocks
