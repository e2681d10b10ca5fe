"""Whose work may be exported, as of a position of the log (R30)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labeler.core.events import AnnotatorExcluded, AnnotatorIncluded, ConsentGiven, ConsentWithdrawn, NewEvent

# What stands before the name of a source of imported rows: nobody who could be asked.
NOBODY = "imported:"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where each annotator stands. Built by ``standing_of``; an empty one lets everybody in.

    ``consents`` maps annotators to the version that they accepted last, unless they withdrew. Any accepted version
    will do: a new text asks for new work, not for the old work again. A withdrawal counts even in a study that no
    longer asks.
    """

    consent_needed: bool = False
    consents: dict[str, str] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    def refusal(self, annotator_id: str) -> str | None:
        """Why nothing of this annotator may be exported, as a reason of the ledger; ``None``: it may."""
        if annotator_id in self.withdrawn:
            return "consent_withdrawn"
        if annotator_id in self.excluded:
            return "annotator_excluded"
        if self.consent_needed and annotator_id not in self.consents and not annotator_id.startswith(NOBODY):
            return "consent_missing"
        return None

    def consent_of(self, annotator_ids: Iterable[str]) -> str | None:
        """The consent versions of these annotators, sorted and joined by commas; ``None`` if nobody was asked."""
        versions = {self.consents[one] for one in annotator_ids if one in self.consents}
        return ",".join(sorted(versions)) if versions else None


def standing_of(events: Iterable[NewEvent], *, consent_needed: bool) -> Standing:
    """Fold the events of the annotators' streams, each stream in its own order; other events say nothing here.

    A stream's id is the annotator's: an exclusion is written by somebody else.
    """
    consents: dict[str, str] = {}
    withdrawn: set[str] = set()
    excluded: set[str] = set()
    for event in events:
        match event.payload:
            case ConsentGiven(consent_version=version):
                consents[event.conversation_id] = version
                withdrawn.discard(event.conversation_id)
            case ConsentWithdrawn():
                consents.pop(event.conversation_id, None)
                withdrawn.add(event.conversation_id)
            case AnnotatorExcluded():
                excluded.add(event.conversation_id)
            case AnnotatorIncluded():
                excluded.discard(event.conversation_id)
            case _:
                pass
    return Standing(consent_needed, consents, frozenset(withdrawn), frozenset(excluded))
