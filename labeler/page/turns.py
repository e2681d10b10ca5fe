"""Gestures that come through Gradio: apply one, then watch the conversation until nothing runs in it.

Answers belong to the server. What runs here only watches them, so a reload, a closed tab or another conversation stops
a watcher and nothing else. Of several watchers of one tab only the latest goes on; the others end by showing what is
true by then, because Gradio repeats the last thing a handler said.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from labeler.core.roles import Visitor
from labeler.doors import line_of
from labeler.errors import GestureRefused, LabelerError, SeqConflict, StoreError
from labeler.page.access import notes_in
from labeler.page.pacing import Pace
from labeler.page.recognition import visitor_in
from labeler.page.render import Echo, Frame
from labeler.page.screens import Screen
from labeler.page.toolkit import gr, scope_of
from labeler.page.wire import Turn, parse_turn
from labeler.rates import Seats
from labeler.study import Consent
from labeler.watching import for_request

WATCH_SECONDS = 0.2
THREADS = 32
NO_COOKIE = "This browser keeps no cookies for this page, so nothing can be stored. Allow them and reload."
TOO_MANY_TABS = "Too many answers are watched at once. Close some pages and load this one again; nothing was stored."
BROKEN = "Something went wrong on the server. Nothing was stored; reload the page and try again."

T = TypeVar("T")
Update = tuple[Any, ...]
_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Tab:
    """One page load. Nothing in it must survive a restart: it only says which of a tab's watchers is the latest."""

    watcher: int = 0
    conversation_id: str = ""
    pace: Pace = field(default_factory=Pace)

    def take(self, conversation_id: str) -> int:
        """Become the tab's watcher; older ones find out at their next look."""
        self.watcher += 1
        self.conversation_id = conversation_id
        return self.watcher


@dataclass(slots=True)
class Turns:
    """The handlers behind a page's Gradio events. ``consent_needed`` tells what an annotator has to accept first, and
    ``watchers`` how many gestures of one annotator may be under way at once."""

    screen: Screen
    consent_needed: Callable[[str], Consent | None]
    boot_id: str
    watchers: Seats = field(default_factory=lambda: Seats(None))
    _stamps: Iterator[int] = field(default_factory=itertools.count)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="page"))

    async def act(self, claims: Any, tab: Tab, request: gr.Request) -> AsyncIterator[Update]:
        """Apply one gesture and yield renders until no answer is being written in what the tab shows."""
        scope = scope_of(request)
        visitor, notes = visitor_in(scope), notes_in(scope)
        if visitor is None:
            yield self._update(Frame(self.boot_id, "", None, _refused(claims, NO_COOKIE)))
            return
        request_id = notes.request_id if notes else None
        with self.watchers.seat(visitor.annotator_id) as free:
            if not free:
                yield self._update(Frame(self.boot_id, visitor.annotator_id, None, _refused(claims, TOO_MANY_TABS)))
                return
            conversation_id, echo = await self._in_thread(lambda: self._applied(visitor, claims, request_id))
            async for update in self._watch(tab, visitor, conversation_id, echo):
                yield update

    # ── applying ──

    def _applied(self, visitor: Visitor, claims: object, request_id: str | None) -> tuple[str, Echo]:
        with for_request(request_id):
            return self._apply(visitor, claims)

    def _apply(self, visitor: Visitor, claims: object) -> tuple[str, Echo]:
        """What to show next, and what became of the gesture. Never raises: every failure is a line on the page."""
        turn = Turn(kind="open")
        try:
            turn = parse_turn(claims)
            conversation_id, text = self.screen.apply(visitor, turn)
            return conversation_id, Echo(turn.nonce, turn.kind, text=text)
        except (StoreError, GestureRefused) as error:
            again = isinstance(error, StoreError) and not isinstance(error, SeqConflict)
            echo = Echo(turn.nonce, turn.kind, ok=False, again=again, line=line_of(error))
        except Exception:  # noqa: BLE001 - the page must stay alive, and a traceback is not for annotators
            _LOG.exception("a gesture failed")
            echo = Echo(turn.nonce, turn.kind, ok=False, line=BROKEN)
        return self._standing(visitor, turn), echo

    def _standing(self, visitor: Visitor, turn: Turn) -> str:
        """What to show after a failure: the conversation the page was in, if it is theirs."""
        try:
            return self.screen.latest(visitor, turn)
        except StoreError:
            return turn.conversation or ""  # looked for until the log can be read
        except LabelerError:
            return ""

    # ── watching ──

    async def _watch(self, tab: Tab, visitor: Visitor, conversation_id: str, echo: Echo) -> AsyncIterator[Update]:
        mine, pace = tab.take(conversation_id), tab.pace
        before: Frame | None = None
        while True:
            frame, more = await self._in_thread(lambda: self._frame(visitor, conversation_id, echo, pace))
            if tab.watcher != mine:
                current = await self._in_thread(lambda: self._frame(visitor, tab.conversation_id, echo, pace))
                yield self._update(current[0])
                return
            if frame != before:
                yield self._update(frame)
                before = frame
            if not more:
                return
            await asyncio.sleep(WATCH_SECONDS)

    def _frame(self, visitor: Visitor, conversation_id: str, echo: Echo, pace: Pace) -> tuple[Frame, bool]:
        """What to show now, and whether that will change by itself."""
        try:
            consent = self.consent_needed(visitor.annotator_id)
            view, more = self.screen.look(visitor, "" if consent else conversation_id, pace)
            return Frame(self.boot_id, visitor.annotator_id, view, echo, consent), more
        except StoreError as error:
            # Looked for again; what has become of the gesture stands, whether its outcome can be shown now or not.
            told = Echo(echo.nonce, echo.kind, ok=False, line=line_of(error)) if echo.kind == "open" else echo
            return Frame(self.boot_id, visitor.annotator_id, None, told), True
        except LabelerError as error:
            told = Echo(echo.nonce, echo.kind, ok=False, line=line_of(error))
            return Frame(self.boot_id, visitor.annotator_id, None, told), False

    def _update(self, frame: Frame) -> Update:
        return self.screen.draw(frame, next(self._stamps))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _refused(claims: object, line: str) -> Echo:
    """The answer to a gesture that is not made, whatever it was: the page keeps what it shows."""
    try:
        turn = parse_turn(claims)
    except GestureRefused:
        turn = Turn(kind="open")
    return Echo(turn.nonce, turn.kind, ok=False, line=line)
