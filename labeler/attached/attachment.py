"""One chat that is listened to: our listeners, what they are told, and what the person is told when it fails."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from labeler.attached.order import Target, prove_first, put_first
from labeler.attached.people import KEEP, People
from labeler.attached.wiring import Listener, begins_with, hears, inside, last_writers, page_of, running, writes
from labeler.chat import Chat, Follower, Sight
from labeler.core.copies import copy_of, text_of
from labeler.core.events import Status
from labeler.errors import AttachRefused, GestureRefused, LabelerError
from labeler.page.toolkit import gr

_LOG = logging.getLogger(__name__)

# Moments of one browser: two that are sent together may arrive in any order.
IN_ORDER = "(chat, session) => [chat, session, performance.timeOrigin + performance.now()]"
QUIET: dict[str, Any] = {
    "queue": False,
    "trigger_mode": "multiple",
    "show_progress": "hidden",
    "api_visibility": "private",
}
KNOWN_TABS = 20_000
LONGEST_SESSION = 256

UNREADABLE = "That gesture cannot be read, so it was not recorded."
NOBODY = "This was not recorded: nobody can tell who you are. Allow cookies for this page and reload it."
OTHER_OPTION = "Only likes and dislikes are recorded."
LOST = "This was not recorded, through no fault of yours."

Told = tuple[int, str]
"""A line for the person; the number tells it from the same line before."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A gesture as it arrived."""

    chat: Chat
    sight: Sight
    facts: dict[str, Any]

    @property
    def index(self) -> int:
        index = self.facts.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            raise GestureRefused(UNREADABLE)
        return index


class Attachment:
    """Puts listeners to a chatbot of an app, before the app's own.

    Args:
        session: the app's own component that names a chat; None: every opened page is a chat.

    Raises:
        AttachRefused: it cannot be listened to.
    """

    def __init__(self, chatbot: gr.Chatbot, follower: Follower, people: People, session: Any = None) -> None:
        self.chatbot = chatbot
        self._follower = follower
        self._people = people
        self._page = page_of(chatbot)
        if getattr(chatbot, "_labeler", None) is not None:
            raise AttachRefused("labeler.attach: this chat is attached already; once is enough")
        self._first: list[Listener] = []
        self._settles: dict[int, tuple[Listener, list[Listener]]] = {}
        self._numbers = itertools.count(1)
        self._stopping: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        with inside(self._page):
            self._order = gr.Number(visible=False)
            self._notice = gr.State(None)
            self._session = self._notice if session is None else session
            self._named = session is not None
            self._hear_gestures()
            self._greet()
        self._follow_page(self._page)
        chatbot._labeler = self

    # ── listeners ──

    def _hear_gestures(self) -> None:
        """Thumbs, and of the other gestures those that the app has: a button that does nothing is worse than none."""
        events: dict[str, Callable[[Heard], None]] = {
            "like": self._voted,
            "retry": self._retried,
            "undo": self._undone,
            "edit": self._edited,
            "clear": self._cleared,
        }
        theirs = self._listeners()
        for event, record in events.items():
            editable = event == "edit" and self.chatbot.editable is not None
            if event in ("like", "clear") or editable or any(hears(one, self.chatbot, event) for one in theirs):
                self._first.append(self._added(getattr(self.chatbot, event), record, f"labeler_{event}"))
        for one in theirs:
            if any(writes(self._listener(cancelled), self.chatbot) for cancelled in one.cancels):
                self._hear_stop(one)

    def _added(self, event: Callable[..., Any], record: Callable[[Heard], None], name: str, **options: Any) -> Listener:
        inputs = [self.chatbot, self._session, self._order]
        handler = self._handler(record)
        before = set(self._page.default_config.fns)
        event(handler, inputs, self._notice, js=IN_ORDER, api_name=name, **QUIET, **options)
        (added,) = set(self._page.default_config.fns) - before
        return self._page.default_config.fns[added]

    def _hear_stop(self, listener: Listener) -> None:
        """Before an app cancels what writes into its chat it must be known that this is no failure."""

        def stopping(request: gr.Request) -> None:
            if request.session_hash and running(self._page, request.session_hash, self.chatbot, shown=False):
                with self._lock:
                    self._stopping[request.session_hash] = None
                    if len(self._stopping) > KNOWN_TABS:
                        self._stopping.popitem(last=False)

        targets = [
            gr.events.EventListenerMethod(self._page.default_config.blocks[block], event)
            for block, event in listener.targets
            if block in self._page.default_config.blocks
        ]
        if targets:
            self._first.append(
                self._page.default_config.set_event_trigger(
                    targets, stopping, None, None, api_name="labeler_stop", **QUIET
                )[0]
            )

    def _greet(self) -> None:
        """Give whoever comes for the first time a cookie to be known by."""
        cookie = gr.Textbox(visible=False)

        def welcome(request: gr.Request) -> str:
            return self._people.welcome(request)

        kept = self._page.load(welcome, None, cookie, api_name="labeler_welcome", **QUIET)
        kept.success(None, cookie, None, js=KEEP)

        def tell(told: Told | None) -> None:
            if told is not None:
                gr.Warning(told[1])

        self._notice.change(tell, self._notice, None, api_visibility="private", show_progress="hidden")

    def _hear_settled(self) -> None:
        """Hear of the end of everything that writes into the chat last, as the app is wired by now."""
        listeners = [one for one in self._listeners() if one not in self._ours()]
        last = {id(one): one for one in last_writers(listeners, self.chatbot)}
        for gone in self._settles.keys() - last.keys():
            for settle in self._settles.pop(gone)[1]:
                del self._page.default_config.fns[settle._id]
        for name, writer in last.items():
            if name not in self._settles:
                self._settles[name] = writer, self._settling(writer, listeners)

    def _settling(self, writer: Listener, listeners: list[Listener]) -> list[Listener]:
        answered = begins_with(writer, listeners, self.chatbot, "edit")
        add = partial(self._page.default_config.set_event_trigger, no_target=True, trigger_after=writer._id)
        found = []
        for outcome, only in (("success", "trigger_only_on_success"), ("failure", "trigger_only_on_failure")):
            record = partial(self._settled, failed=outcome == "failure", answered=answered)
            found.append(
                add(
                    [gr.events.EventListenerMethod(None, outcome)],
                    self._handler(record, quietly=True),
                    [self.chatbot, self._session, self._order],
                    self._notice,
                    js=IN_ORDER,
                    api_name=f"labeler_{outcome}",
                    **{only: True},
                    **QUIET,
                )[0]
            )
        return found

    # ── the page, and whatever page it is put into ──

    def _follow_page(self, page: gr.Blocks) -> None:
        """Look at what browsers are told each time it is made, and go along when the page is put into another."""
        self._page = page
        told, render = page.get_config_file, page.render

        def get_config_file() -> Any:
            self._hear_settled()
            config = told()
            if self._page is page:
                prove_first(config["dependencies"], self._must_be_first())
            return config

        def rendered() -> Any:
            result = render()
            outer = gr.context.Context.root_block
            if outer is not None and outer is not page:
                self._follow_page(outer)
            return result

        page.get_config_file, page.render = get_config_file, rendered
        put_first(page.default_config.fns, self._first)

    def _must_be_first(self) -> dict[Target, int]:
        return {
            target: one._id
            for one in reversed(self._first)
            for target in map(tuple, one.targets)
            if target[0] == self.chatbot._id
        }

    def _listeners(self) -> list[Listener]:
        return list(self._page.default_config.fns.values())

    def _listener(self, number: int) -> Listener:
        return self._page.default_config.fns[number]

    def _ours(self) -> list[Listener]:
        return [*self._first, *(settle for _, settles in self._settles.values() for settle in settles)]

    # ── what they are told ──

    def _handler(self, record: Callable[[Heard], None], *, quietly: bool = False) -> Callable[..., Any]:
        """A listener that never fails: what the app does next must not depend on us.

        ``quietly``: what is lost is made up for by the next report, so the person is not told.
        """

        def heard(history: Any, session: Any, order: Any, event: gr.EventData, request: gr.Request) -> Any:
            try:
                line = self._recorded(record, history, session, order, event, request)
            except Exception as error:  # noqa: BLE001 - an app goes on whatever becomes of our record of it
                _LOG.error("not recorded: %s", _one_line(error))
                line = LOST
            return gr.skip() if line is None or quietly else (next(self._numbers), line)

        return heard

    def _recorded(
        self, record: Callable[[Heard], None], history: Any, session: Any, order: Any, event: Any, request: gr.Request
    ) -> str | None:
        """Record a gesture; returns the line for the person if it was not."""
        annotator = self._people.annotator(request)
        if annotator is None:
            return NOBODY
        facts = event._data if isinstance(event._data, dict) else {}
        name = f"named:{session}" if self._named and session else f"tab:{request.session_hash}"
        shown = running(self._page, request.session_hash, self.chatbot, shown=True)
        moment = float(order) if isinstance(order, int | float) else 0.0
        try:
            if len(name) > LONGEST_SESSION:
                raise GestureRefused(UNREADABLE)
            record(
                Heard(
                    Chat(annotator, name),
                    Sight(copy_of(history), moment, shown),
                    {**facts, "tab": request.session_hash},
                )
            )
        except GestureRefused as refusal:
            _LOG.info("not recorded: %s", refusal)
            return str(refusal)
        except LabelerError as error:
            _LOG.warning("not recorded: %s", _one_line(error))
            return LOST
        return None

    def _voted(self, heard: Heard) -> None:
        liked = heard.facts.get("liked")
        value = {True: 1, False: -1}.get(liked, 0) if isinstance(liked, bool) else 0
        self._follower.vote(heard.chat, heard.sight, heard.index, value)
        if isinstance(liked, str) and liked:
            raise GestureRefused(OTHER_OPTION)

    def _retried(self, heard: Heard) -> None:
        self._follower.retry(heard.chat, heard.sight, heard.index)

    def _undone(self, heard: Heard) -> None:
        self._follower.undo(heard.chat, heard.sight, heard.index)

    def _edited(self, heard: Heard) -> None:
        previous = text_of(heard.facts.get("previous_value"))
        if previous is None:
            raise GestureRefused(UNREADABLE)
        self._follower.edit(heard.chat, heard.sight, heard.index, previous)

    def _cleared(self, heard: Heard) -> None:
        self._follower.clear(heard.chat, heard.sight.order)

    def _settled(self, heard: Heard, *, failed: bool, answered: bool) -> None:
        with self._lock:
            stopped = self._stopping.pop(str(heard.facts["tab"]), True) is None
        ending: Status = "complete" if not failed else "stopped" if stopped else "failed"
        self._follower.settled(heard.chat, heard.sight, ending, answered=answered)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
