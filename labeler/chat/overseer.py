"""The use-cases of those who look after a study: how far to trust what was said, and whose work is left out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labeler.chat.streams import append_about
from labeler.chat.writing import MAX_COMMENT, check_text
from labeler.core.events import AnnotatorExcluded, AnnotatorIncluded
from labeler.core.roles import ADMINS, REVIEWERS, Visitor
from labeler.core.wishes import Wishes
from labeler.errors import NotFound
from labeler.store import Store


@dataclass(frozen=True, slots=True)
class Count:
    """Statistics as of a position of the log; ``document`` is None before the first time.

    ``running``: a newer count is on its way, with ``done`` conversations taken in ``of`` so many. ``trouble`` is one
    line on why the last one failed.
    """

    position: int = 0
    document: Mapping[str, Any] | None = None
    running: bool = False
    done: int = 0
    of: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Excluded:
    """An annotator whose work is left out of statistics and exports, and why."""

    annotator_id: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Oversight:
    """What somebody who looks after the study sees. ``names`` are those of accounts, by annotator id.

    ``position`` is how far the log goes; the ``count`` may be of a moment before. ``may_exclude``: they may leave
    somebody's work out.
    """

    count: Count
    position: int
    excluded: tuple[Excluded, ...]
    names: Mapping[str, str]
    may_exclude: bool


Counting = Callable[[Wishes], Count]
"""The last count at once; a newer one is begun if the log has grown."""


class Overseer:
    """Safe to call from any thread; raises RoleNeeded, and StoreError.

    Args:
        names: the names of accounts by annotator id.
    """

    def __init__(
        self, store: Store, clock: Callable[[], str], counting: Counting, names: Callable[[], Mapping[str, str]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._counting = counting
        self._names = names
        self._known: tuple[int, tuple[Excluded, ...]] = (-1, ())
        self._lock = threading.Lock()

    def look(self, visitor: Visitor, wishes: Wishes) -> Oversight:
        """How things stand."""
        visitor.must_be(REVIEWERS)
        position = self._store.position()
        return Oversight(
            count=self._counting(wishes),
            position=position,
            excluded=self._excluded(position),
            names=self._names(),
            may_exclude=visitor.role in ADMINS,
        )

    def exclude(self, visitor: Visitor, nonce: str, annotator_id: str, reason: str = "") -> None:
        """Leave an annotator's work out of statistics and exports from now on; a second time changes nothing.

        Raises:
            NotFound: nobody has this id.
            GestureRefused: the reason is too long, or no text.
        """
        visitor.must_be(ADMINS)
        check_text(reason, MAX_COMMENT)
        if not self._store.tally(annotator_id):
            raise NotFound("No annotator has this id. labeler stats lists them.")
        if not self._is_excluded(annotator_id):
            payload = AnnotatorExcluded(reason=reason.strip())
            append_about(self._store, self._clock, annotator_id, payload, by=visitor.annotator_id, nonce=nonce)

    def include(self, visitor: Visitor, nonce: str, annotator_id: str) -> None:
        """Reverse an exclusion; of whoever is not excluded nothing changes."""
        visitor.must_be(ADMINS)
        if self._is_excluded(annotator_id):
            payload = AnnotatorIncluded()
            append_about(self._store, self._clock, annotator_id, payload, by=visitor.annotator_id, nonce=nonce)

    def _is_excluded(self, annotator_id: str) -> bool:
        return any(one.annotator_id == annotator_id for one in self._excluded(self._store.position()))

    def _excluded(self, position: int) -> tuple[Excluded, ...]:
        """Those excluded by now; read anew when the log has grown."""
        with self._lock:
            if self._known[0] == position:
                return self._known[1]
        found: dict[str, Excluded] = {}
        for event in self._store.annotator_events(position):
            match event.payload:
                case AnnotatorExcluded(reason=reason):
                    found[event.conversation_id] = Excluded(event.conversation_id, reason, event.at)
                case AnnotatorIncluded():
                    found.pop(event.conversation_id, None)
                case _:
                    pass
        excluded = tuple(found.values())
        with self._lock:
            self._known = position, excluded
        return excluded
