"""What our listeners do when they are called: make out who and where, have it recorded, and never fail."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labeler.attached.pace import Kind, Pace
from labeler.attached.people import People
from labeler.chat import Chat, Follower, Sight
from labeler.core.copies import copy_of, text_of
from labeler.core.events import Status
from labeler.errors import GestureRefused, LabelerError
from labeler.page.toolkit import gr, scope_of

KNOWN_TABS = 20_000
LONGEST_NAME = 256

UNREADABLE = "That gesture cannot be read, so it was not recorded."
NOBODY = "This was not recorded: nobody can tell who you are. Allow cookies for this page and reload it."
OTHER_OPTION = "Only likes and dislikes are recorded."
LOST = "This could not be recorded just now. Please tell whoever runs this page."

_LOG = logging.getLogger(__name__)

Running = Callable[[str | None, bool], bool]
"""Whether something writes into the chat of a browser tab; if asked so, only what shows piece by piece."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A gesture as it arrived: where, what showed, the browser tab, and what the browser says of it."""

    chat: Chat
    sight: Sight
    tab: str
    facts: Mapping[str, Any]

    @property
    def index(self) -> int:
        index = self.facts.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            raise GestureRefused(UNREADABLE)
        return index


Record = Callable[[Heard], None]


class Hearing:
    """Takes what listeners are called with. Safe to call from any thread.

    Args:
        named: whether the app names its chats; else every browser tab is one.
    """

    def __init__(self, follower: Follower, people: People, pace: Pace, running: Running, *, named: bool) -> None:
        self._follower = follower
        self._people = people
        self._pace = pace
        self._running = running
        self._named = named
        self._stopping: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self.gestures: dict[str, Record] = {
            "like": self._voted,
            "retry": self._retried,
            "undo": self._undone,
            "edit": self._edited,
            "clear": self._cleared,
        }

    def listener(self, record: Record, kind: Kind) -> Callable[..., str]:
        """A listener that has a gesture recorded; it returns the line for the person if it was not."""

        def heard(_: None, session: Any, moment: Any, words: Any, event: gr.EventData, request: gr.Request) -> str:
            try:
                told = self._heard(session, moment, words, event._data, request)
                self._pace.check(told.chat.annotator_id, scope_of(request), kind)
                record(told)
            except GestureRefused as refusal:
                _LOG.info("not recorded: %s", refusal)
                return str(refusal)
            except LabelerError as error:
                _LOG.warning("not recorded: %s", one_line(error))
                return LOST
            except Exception as error:  # noqa: BLE001 - an app goes on, whatever becomes of our record of it
                _LOG.error("not recorded: %s: %s", type(error).__name__, one_line(error))
                return LOST
            return ""

        return heard

    def quiet_listener(self, record: Record) -> Callable[..., None]:
        """The same for what the next report makes up for: nobody needs to be told."""
        loud = self.listener(record, "report")

        def heard(_: None, session: Any, moment: Any, words: Any, event: gr.EventData, request: gr.Request) -> None:
            loud(_, session, moment, words, event, request)

        return heard

    def _heard(self, session: Any, moment: Any, words: Any, facts: Any, request: gr.Request) -> Heard:
        annotator = self._people.annotator(request)
        if annotator is None:
            raise GestureRefused(NOBODY)
        tab = str(request.session_hash)
        name = f"named:{session}" if self._named and session else f"tab:{tab}"
        if len(name) > LONGEST_NAME or not isinstance(moment, int | float):
            raise GestureRefused(UNREADABLE)
        sight = Sight(copy_of(words), float(moment), self._running(tab, True))
        return Heard(Chat(annotator, name), sight, tab, facts if isinstance(facts, dict) else {})

    # ── gestures, as browsers tell of them ──

    def _voted(self, heard: Heard) -> None:
        """``liked`` is a truth value, an empty text for a thumb that was taken back, or another option's name."""
        liked = heard.facts.get("liked")
        value = (1 if liked else -1) if isinstance(liked, bool) else 0
        self._follower.vote(heard.chat, heard.sight, heard.index, value)
        if liked and not isinstance(liked, bool):
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

    # ── ends ──

    def stopping(self, tab: str | None) -> None:
        """Somebody is about to stop what is written in this tab: how it ends then is no failure."""
        if tab and self._running(tab, False):
            with self._lock:
                self._stopping[tab] = None
                if len(self._stopping) > KNOWN_TABS:
                    self._stopping.popitem(last=False)

    def settled(self, heard: Heard, *, failed: bool, answered: bool) -> None:
        """Whatever wrote into the chat has ended; ``answered``: it did so because of an edit."""
        with self._lock:
            stopped = heard.tab in self._stopping
            self._stopping.pop(heard.tab, None)
        ending: Status = "stopped" if stopped else "failed" if failed else "complete"
        self._follower.settled(heard.chat, heard.sight, ending, answered=answered)


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())
