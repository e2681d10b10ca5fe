"""A finder with a memory: each text is looked at once, whoever exports and however often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labeler.core.redaction import Span
from labeler.ids import text_sha256
from labeler.redaction.finders import Finder
from labeler.store import Store
from labeler.store.spans import known_spans, remember_spans

Found = tuple[Span, ...]


class Scanner:
    """Looks texts up by their SHA-256 in the database of the log, and scans those that nobody has scanned.

    What is new is remembered with ``save``: often enough that little is lost, and not for every text.
    """

    def __init__(self, store: Store, finder: Finder) -> None:
        self._store, self._finder = store, finder
        self._fresh: dict[str, Found] = {}
        self.scanned = 0

    def find(self, texts: Sequence[str]) -> Mapping[str, Found]:
        """The hits of each text. Raises StoreError if the database cannot be read."""
        digests = {text: text_sha256(text) for text in texts if text}
        unknown = [digest for digest in digests.values() if digest not in self._fresh]
        known = known_spans(self._store, self._finder.version, unknown)
        found: dict[str, Found] = dict.fromkeys(texts, ())
        for text, digest in digests.items():
            if digest in known:
                found[text] = known[digest]
                continue
            if digest not in self._fresh:
                self._fresh[digest] = self._finder.find(text)
                self.scanned += 1
            found[text] = self._fresh[digest]
        return found

    def save(self) -> None:
        """Remember what was new. Raises StoreError if the database cannot be written."""
        remember_spans(self._store, self._finder.version, self._fresh)
        self._fresh = {}
