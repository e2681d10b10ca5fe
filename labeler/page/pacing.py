"""Two answers at one pace: how fast a model writes must not tell which one it is.

While either is written, neither is ahead of the other; a shorter one that has ended stands still. What was written
meanwhile is shown at the same steady pace afterwards, not all at once: a jump would tell how fast it came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from labeler.chat import PairView
from labeler.chat.pairs import Side

STEP = 80  # characters a look; five looks a second


@dataclass(slots=True)
class Pace:
    """How much of a pair one tab has shown: ``shown`` characters of the pair whose left answer is ``pair``."""

    pair: str = ""
    shown: int = 0


def paced(view: PairView, pace: Pace) -> tuple[PairView, bool]:
    """As much of the two answers as may be shown at this look, and whether there will be more.

    A page that opens on two answers that have ended shows them at once.
    """
    pair = view.pair
    if pair is None:
        return view, view.running
    sides = (pair.left, pair.right)
    longest = max(len(side.text) for side in sides)
    written = [len(side.text) for side in sides if side.status == "writing"]
    if pace.pair != pair.left.id:
        pace.pair, pace.shown = pair.left.id, min(written, default=longest)
    pace.shown = min(pace.shown + STEP, longest, *written)
    if not written and pace.shown >= longest:
        return view, view.running
    left, right = (_so_far(side, pace.shown) for side in sides)
    return replace(view, running=True, pair=replace(pair, left=left, right=right, comparable=False)), True


def _so_far(side: Side, shown: int) -> Side:
    """Neither how an answer ended nor that it has ended is told before both have."""
    return replace(side, text=side.text[:shown], status="writing", error=None)
