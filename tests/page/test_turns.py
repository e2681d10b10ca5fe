"""What a page is told while the log is away: a gesture that was stored stays stored, and is shown when it can be."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labeler.core.roles import Visitor
from labeler.errors import LabelerError, NotFound, StoreError
from labeler.page.recognition import VISITOR
from labeler.page.render import Frame
from labeler.page.turns import Tab, Turns
from tests.loops import run

AWAY = StoreError("the log is away")
REQUEST: Any = SimpleNamespace(request=SimpleNamespace(scope={VISITOR: Visitor("ann", "annotator")}))
SEND = {"kind": "send", "nonce": "n" * 16, "conversation": "c", "text": "Hello"}


class Screen:
    """A screen that has these looks in turn, the last one for ever; an error is raised."""

    def __init__(self, *looks: object, lost: LabelerError | None = None) -> None:
        self.lost = lost
        self.shown: list[str] = []
        self._looks = iter(looks)
        self._last = looks[-1]
        self.frames: list[Frame] = []

    def apply(self, visitor: Visitor, turn: Any) -> tuple[str, str]:
        if self.lost:
            raise self.lost
        return "c", ""

    def latest(self, visitor: Visitor, turn: Any) -> str:
        raise self.lost if self.lost else AssertionError("nothing has failed")

    def look(self, visitor: Visitor, conversation_id: str, pace: object) -> tuple[Any, bool]:
        self.shown.append(conversation_id)
        look = next(self._looks, self._last)
        if isinstance(look, Exception):
            raise look
        return look, False

    def draw(self, frame: Frame, stamp: int) -> tuple[Any, ...]:
        self.frames.append(frame)
        return ()


def shown(screen: Screen, claims: object) -> Iterator[tuple[bool, str, Any]]:
    """What a tab is told, until nothing changes by itself: whether the gesture was stored, a line, what is shown."""

    async def watch() -> None:
        turns = Turns(screen, lambda annotator: None, "boot")
        async for _ in turns.act(claims, Tab(), REQUEST):
            pass

    run(watch(), 20)
    return iter((frame.echo.ok, frame.echo.line, frame.view) for frame in screen.frames)


def test_a_gesture_that_was_stored_is_not_called_refused_because_it_cannot_be_shown_yet() -> None:
    assert list(shown(Screen(AWAY, AWAY, "the view"), SEND)) == [(True, "", None), (True, "", "the view")]


def test_a_page_that_opens_while_the_log_is_away_hears_why_and_fills_when_it_is_back() -> None:
    told = list(shown(Screen(AWAY, "the view"), {"kind": "open", "conversation": "c"}))
    assert told == [(False, "The log is away", None), (True, "", "the view")]


@pytest.mark.parametrize("claims", [SEND, {"kind": "open", "conversation": "c"}], ids=["send", "open"])
def test_what_is_not_there_is_not_looked_for_again(claims: object) -> None:
    gone = NotFound("not here")
    assert list(shown(Screen(gone), claims)) == [(False, "Not here", None)]


def test_a_page_that_opens_while_the_log_is_away_stays_in_its_conversation() -> None:
    screen = Screen(AWAY, "the view", lost=AWAY)
    told = list(shown(screen, {"kind": "open", "conversation": "c"}))
    assert told[-1][2] == "the view"
    assert set(screen.shown) == {"c"}


def test_a_page_that_opens_what_is_not_there_is_empty() -> None:
    screen = Screen("nothing", lost=NotFound("not here"))
    assert list(shown(screen, {"kind": "open", "conversation": "c"})) == [(False, "Not here", "nothing")]
    assert screen.shown == [""]
