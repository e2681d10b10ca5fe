"""Who has accepted the study's consent text, and in which version."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from labeler.chat.streams import append_about
from labeler.core.events import ConsentGiven, ConsentWithdrawn, Event, Payload
from labeler.errors import GestureRefused
from labeler.ids import text_sha256
from labeler.store import Store
from labeler.study import Consent

KNOWN_ANNOTATORS = 20_000
TRUSTED_SECONDS = 2.0  # how long a withdrawal that another process stored may take to be heard


@dataclass(frozen=True, slots=True)
class _Annotator:
    """What an annotator has accepted, as read some time before ``until`` (seconds that only grow)."""

    version: str | None
    until: float


class Consents:
    """The consent of each annotator, folded from the annotator's own stream.

    Given consent is remembered for a moment, missing consent never: another process may have stored it since.
    """

    def __init__(
        self,
        consent: Consent | None,
        store: Store,
        clock: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consent = consent
        self._monotonic = monotonic
        self._store = store
        self._clock = clock
        self._known: dict[str, _Annotator] = {}
        self._lock = threading.Lock()

    def needed(self, annotator_id: str) -> Consent | None:
        """The consent text, unless there is none or this annotator has accepted this version."""
        if self._consent is None or self._annotator(annotator_id).version == self._consent.version:
            return None
        return self._consent

    def at_hand(self, annotator_id: str) -> bool:
        """Whether ``needed`` can tell without a look into the log."""
        return self._consent is None or self._remembered(annotator_id) is not None

    def given(self, annotator_id: str) -> bool:
        """Whether the annotator has accepted any version and not withdrawn it."""
        return self._annotator(annotator_id).version is not None

    def give(self, annotator_id: str, nonce: str, version: str) -> None:
        """Store that the annotator accepted the text that was shown; a second time changes nothing."""
        if self._consent is None or version != self._consent.version:
            raise GestureRefused("The consent text has changed. Reload the page and read it again.")
        if self.needed(annotator_id):
            accepted = ConsentGiven(consent_version=version, text_sha256=text_sha256(self._consent.text))
            self._append(annotator_id, nonce, accepted)

    def withdraw(self, annotator_id: str, nonce: str) -> None:
        """Store that the annotator took consent back; a second time changes nothing."""
        if self.given(annotator_id):
            self._append(annotator_id, nonce, ConsentWithdrawn())

    def _append(self, annotator_id: str, nonce: str, payload: Payload) -> None:
        try:
            append_about(self._store, self._clock, annotator_id, payload, by=annotator_id, nonce=nonce)
        finally:
            self._forget(annotator_id)

    def _annotator(self, annotator_id: str) -> _Annotator:
        return self._remembered(annotator_id) or self._read(annotator_id)

    def _remembered(self, annotator_id: str) -> _Annotator | None:
        known = self._known.get(annotator_id)
        accepted = known is not None and self._consent is not None and known.version == self._consent.version
        return known if known and accepted and known.until > self._monotonic() else None

    def _read(self, annotator_id: str) -> _Annotator:
        """Read and remember under one lock: what was read before somebody's word was stored is forgotten after it."""
        with self._lock:
            if len(self._known) >= KNOWN_ANNOTATORS:
                self._known.clear()
            version = _fold(self._store.load(annotator_id))
            known = self._known[annotator_id] = _Annotator(version, self._monotonic() + TRUSTED_SECONDS)
            return known

    def _forget(self, annotator_id: str) -> None:
        with self._lock:
            self._known.pop(annotator_id, None)


def _fold(events: list[Event]) -> str | None:
    version = None
    for event in events:
        if isinstance(event.payload, ConsentGiven):
            version = event.payload.consent_version
        elif isinstance(event.payload, ConsentWithdrawn):
            version = None
    return version
