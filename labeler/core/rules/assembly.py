"""From findings to records: candidates, grounds, and what may not be exported for the prompt's sake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labeler.core.records import (
    Candidate,
    Demonstration,
    Derived,
    Grounds,
    Position,
    PreferencePair,
    Prompt,
    UnpairedPreference,
)
from labeler.core.rules.conflicts import Verdict
from labeler.core.rules.evidence import ALONE, Evidence, PairClaim, Support, grounds_of, weight_of_source
from labeler.core.rules.findings import Findings, Labels
from labeler.core.rules.prompts import Prompts
from labeler.core.rules.reading import Reading, Turn


@dataclass(frozen=True, slots=True)
class Assembly:
    """Builds the records of one conversation. ``candidates`` holds every answer of it."""

    reading: Reading
    prompts: Prompts
    candidates: dict[str, Candidate]
    derived: Derived

    def add(self, turn: Turn, findings: Findings) -> None:
        """Turn findings into records, or into exclusions if their prompt may not be exported."""
        labels = {text: label for text, label in findings.labels.items() if self._labelled(turn, text, *label)}
        demonstrations = _by_text(turn, findings.demonstrations)
        if not (findings.pairs or labels or demonstrations):
            return
        prompt = self.prompts.of(self.reading.conversation.path(turn.parent_id))
        if isinstance(prompt, str):
            for ids in _would_be(findings, labels, demonstrations):
                self.reading.leave_out(prompt, *ids)
            return
        self.derived.pairs.extend(self._pair(prompt, verdict) for verdict in findings.pairs)
        self.derived.unpaired.extend(self._unpaired(turn, prompt, text, *label) for text, label in labels.items())
        self.derived.demonstrations.extend(self._demonstration(prompt, found) for found in demonstrations.values())

    def _pair(self, prompt: Prompt, verdict: Verdict) -> PreferencePair:
        shown = verdict.claims[0]
        if len(verdict.claims) > 1:
            shown = max(verdict.claims, key=lambda claim: weight_of_source(claim.evidence))
        chosen, rejected = _positions(shown, verdict.claims)
        return PreferencePair(
            prompt,
            _shown(self.candidates[shown.better], chosen),
            _shown(self.candidates[shown.worse], rejected),
            self._grounds(verdict.support, shaping=("R26",) if verdict.support.against else (), weight=verdict.weight),
        )

    # ── labels ──

    def _labelled(self, turn: Turn, text: str, label: bool, support: Support) -> bool:
        """Whether a label becomes a row: not of stopped answers (R20) or a person's text (R10) unless asked for."""
        options = self.reading.options
        if text not in turn.texts:
            if not label and options.kto_truncated:
                return True
            self.reading.leave_out("answer_stopped" if label else "truncated", text)
            return False
        if turn.of(text).origin == "human_edit" and not (label and options.kto_liked_edits):
            self.reading.leave_out("off_policy", text)
            return False
        return True

    def _unpaired(self, turn: Turn, prompt: Prompt, text: str, label: bool, support: Support) -> UnpairedPreference:
        truncated = text not in turn.texts
        shaping = (
            *(("R20",) if truncated else ()),
            *(("R10",) if turn.of(text).origin == "human_edit" else ()),
            *(("R25",) if support.against else ()),
        )
        grounds = self._grounds(support, shaping=shaping, truncated=truncated)
        return UnpairedPreference(prompt, self.candidates[text], label, grounds)

    def _demonstration(self, prompt: Prompt, found: list[tuple[str, Evidence]]) -> Demonstration:
        message_id, _ = max(found, key=lambda one: weight_of_source(one[1]))
        support = Support([evidence for _, evidence in found])
        return Demonstration(prompt, self.candidates[message_id], self._grounds(support))

    def _grounds(
        self, support: Support, *, shaping: tuple[str, ...] = (), weight: float = 1.0, truncated: bool = False
    ) -> Grounds:
        consent = self._consent(support) if self.reading.standing.consents else None
        return grounds_of(support, consent, shaping=shaping, weight=weight, truncated=truncated)

    def _consent(self, support: Support) -> str | None:
        judges = {one for evidence in (*support.found, *support.against) for one in evidence.annotators}
        return self.reading.standing.consent_of({*judges, self.reading.conversation.annotator_id})


def _positions(shown: PairClaim, claims: tuple[PairClaim, ...]) -> tuple[Position, Position]:
    """How the two were shown, if one of the claims is a comparison of these very answers."""
    for claim in claims:
        if claim.positions != ALONE and (claim.better, claim.worse) == (shown.better, shown.worse):
            return claim.positions
    return ALONE


def _shown(candidate: Candidate, position: Position) -> Candidate:
    return candidate if position == candidate.position else candidate._replace(position=position)


def _by_text(turn: Turn, demonstrations: list[tuple[str, Evidence]]) -> dict[str, list[tuple[str, Evidence]]]:
    """R27, R28: the demonstrations of each text, in the order of the answers."""
    found: dict[str, list[tuple[str, Evidence]]] = {}
    for message_id, evidence in demonstrations:
        found.setdefault(turn.texts[message_id], []).append((message_id, evidence))
    return {text: found[text] for text in sorted(found, key=turn.place)}


def _would_be(
    findings: Findings, labels: Labels, demonstrations: dict[str, list[tuple[str, Evidence]]]
) -> Iterator[tuple[str, ...]]:
    """The answers of each record that the findings would make."""
    yield from ((verdict.claims[0].better, verdict.claims[0].worse) for verdict in findings.pairs)
    yield from ((text,) for text in (*labels, *demonstrations))
