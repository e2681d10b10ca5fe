"""Our listeners at one chat of an app: before its own where a gesture is concerned, after it where an answer ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gradio.context import Context
from gradio.events import EventListenerMethod

from labeler.attached.hearing import Hearing
from labeler.attached.order import Target, prove_first, put_first
from labeler.attached.pace import Pace
from labeler.attached.people import KEEP, People
from labeler.attached.wiring import (
    Listener,
    Page,
    head_of,
    hears,
    inside,
    last_writers,
    opens_page,
    page_of,
    running,
    writes,
)
from labeler.chat import Follower
from labeler.errors import AttachRefused
from labeler.page.toolkit import gr

# A browser sends the words that it shows, and no files, whatever else its messages hold. What is sent together may
# arrive in any order, so it says when it was.
AS_SHOWN = """(chat, session) => [
  null,
  session,
  performance.timeOrigin + performance.now(),
  (chat || []).map((message) => ({
    role: message.role,
    metadata: {title: message.metadata?.title ?? null},
    content: [message.content].flat().map((part) => (part?.type === 'text' ? part : (part?.type ?? part))),
  })),
]"""
# A script cannot show a message, but it can fail, and something else follows then.
LINE_OR_NOTHING = "(line) => { if (line) throw new Error(line); return []; }"
QUIET: dict[str, Any] = {
    "queue": False,
    "trigger_mode": "multiple",
    "show_progress": "hidden",
    "api_visibility": "private",
}
OUTCOMES = {"success": "trigger_only_on_success", "failure": "trigger_only_on_failure"}
# The other gestures are listened to where the app has them: a button that does nothing is worse than none.
ALWAYS = ("like", "clear")

_ATTACHED = "_labeler_attachment"


class Attachment:
    """A chat that is listened to.

    Args:
        session: the app's own component that names a chat; None: every opened page is a chat of its own.

    Raises:
        AttachRefused: it cannot be listened to.
    """

    def __init__(
        self, chatbot: gr.Chatbot, follower: Follower, people: People, pace: Pace, session: Any = None
    ) -> None:
        if hasattr(chatbot, _ATTACHED):
            raise AttachRefused("labeler.attach: this chat is attached already; once is enough")
        self._chatbot = chatbot
        self._page = page_of(chatbot)
        if session is not None and getattr(session, "_id", None) not in self._page.default_config.blocks:
            raise AttachRefused(
                "labeler.attach: session is no component of this page; hand over the one that names a chat"
            )
        self._people = people
        self._hearing = Hearing(follower, people, pace, self._running, named=session is not None)
        self._first: list[Listener] = []
        self._settles: dict[int, tuple[Listener, list[Listener]]] = {}
        with inside(self._page):
            self._told = gr.Textbox(visible=False)
            name = self._told if session is None else session
            self._inputs = [chatbot, name, gr.Number(visible=False), gr.JSON(visible=False)]
            self._hear_gestures()
            self._hear_stops()
            self._greet()
        self._go_along(self._page)
        setattr(chatbot, _ATTACHED, self)

    def _running(self, tab: str | None, shown: bool) -> bool:
        return running(self._page, tab, self._chatbot, shown=shown)

    @property
    def _listeners(self) -> dict[int, Listener]:
        """Everybody's, by id, in the order in which browsers are told of them."""
        listeners: dict[int, Listener] = self._page.default_config.fns
        return listeners

    # ── gestures: before the app ──

    def _hear_gestures(self) -> None:
        for event, record in self._hearing.gestures.items():
            if event in ALWAYS or self._is_offered(event):
                before = set(self._listeners)
                wire: Callable[..., Any] = getattr(self._chatbot, event)
                heard = self._hearing.listener(record, "vote" if event == "like" else "turn")
                wired = wire(heard, self._inputs, self._told, js=AS_SHOWN, api_name=f"labeler_{event}", **QUIET)
                self._first += [self._listeners[added] for added in set(self._listeners) - before]
                # Only what goes through the queue can show a message, and that takes too long to do it for nothing.
                checked = wired.success(None, self._told, None, js=LINE_OR_NOTHING)
                checked.failure(tell, self._told, None, api_visibility="private", show_progress="hidden")

    def _is_offered(self, event: str) -> bool:
        editable = event == "edit" and self._chatbot.editable is not None
        return editable or any(hears(one, self._chatbot, event) for one in self._listeners.values())

    def _hear_stops(self) -> None:
        """What the app is about to cancel ends like a failure, and is none."""

        def stopping(request: gr.Request) -> None:
            self._hearing.stopping(request.session_hash)

        blocks = self._page.default_config.blocks
        targets = {
            target
            for one in self._listeners.values()
            if any(writes(self._listeners[cancelled], self._chatbot) for cancelled in one.cancels)
            for target in map(tuple, one.targets)
            if target[0] in blocks
        }
        if targets:
            at = [EventListenerMethod(blocks[block], event) for block, event in sorted(targets)]
            self._first.append(self._added(at, stopping, None, None, api_name="labeler_stop"))

    def _added(self, targets: list[Any], heard: Callable[..., Any], *wires: Any, **options: Any) -> Listener:
        return self._page.default_config.set_event_trigger(targets, heard, *wires, **QUIET, **options)[0]

    # ── ends: after the app ──

    def _hear_ends(self) -> None:
        """Listen to the ends of all that writes into the chat last, as the app is wired by now."""
        ours = {id(one) for one in self._first} | {id(one) for _, ends in self._settles.values() for one in ends}
        theirs = [one for one in self._listeners.values() if id(one) not in ours]
        last = last_writers(theirs, self._chatbot)
        # What a page shows when it is opened is recorded when somebody does something there.
        writers = {id(one): one for one in last if not opens_page(head_of(one, theirs))}
        for gone in self._settles.keys() - writers.keys():
            for end in self._settles.pop(gone)[1]:
                self._listeners.pop(end._id, None)
        for key in writers.keys() - self._settles.keys():
            self._settles[key] = writers[key], self._ends_of(writers[key], theirs)

    def _ends_of(self, writer: Listener, theirs: list[Listener]) -> list[Listener]:
        answered = hears(head_of(writer, theirs), self._chatbot, "edit")
        return [
            self._added(
                [EventListenerMethod(None, outcome)],
                self._hearing.quiet_listener(
                    partial(self._hearing.settled, failed=outcome == "failure", answered=answered)
                ),
                self._inputs,
                None,
                js=AS_SHOWN,
                no_target=True,
                trigger_after=writer._id,
                api_name=f"labeler_{outcome}",
                **{only: True},
            )
            for outcome, only in OUTCOMES.items()
        ]

    # ── the person ──

    def _greet(self) -> None:
        """Whoever comes for the first time gets a cookie to be known by."""

        def welcome(request: gr.Request) -> str:
            return self._people.welcome(request)

        cookie = gr.Textbox(visible=False)
        welcomed = self._page.load(welcome, None, cookie, api_name="labeler_welcome", **QUIET)
        welcomed.success(None, cookie, None, js=KEEP)

    # ── the page, and whatever page it is put into ──

    def _go_along(self, page: Page) -> None:
        """Look at what browsers are told each time it is made, and move when the page is put into another one."""
        self._page = page
        tell, render = page.get_config_file, page.render

        def get_config_file() -> Any:
            if self._page is not page:
                return tell()
            self._hear_ends()
            told = tell()
            prove_first(told["dependencies"], self._must_be_first())
            return told

        def put_into_another() -> Any:
            rendered = render()
            outer = Context.root_block
            if outer is not None and outer is not page:
                self._go_along(outer)
            return rendered

        page.get_config_file, page.render = get_config_file, put_into_another
        put_first(self._listeners, self._first)

    def _must_be_first(self) -> dict[Target, int]:
        first: dict[Target, int] = {}
        for one in self._first:
            for target in one.targets:
                first.setdefault(tuple(target), one._id)
        return first


def tell(line: str) -> None:
    """Say why something was not recorded."""
    gr.Warning(line)
