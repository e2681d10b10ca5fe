"""What a rule found, before records are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import NamedTuple

from labeler.core.records import Grounds, Position
from labeler.core.rules.book import in_book_order, place_of

MOST_CONFIDENT = 0.99
FLIP_COST = 0.2
UNDONE_FACTOR = 0.5
ALONE: tuple[Position, Position] = ("only", "only")


class Evidence(NamedTuple):
    """One finding of one rule. ``rules`` begins with the rule that found it; those that shaped it follow.

    ``annotators`` are sorted, each once; ``events`` are (seq, event id) of the gestures it rests on, each once; ``at``
    is the time of the last of them.
    """

    rules: tuple[str, ...]
    confidence: float
    annotators: tuple[str, ...]
    events: tuple[tuple[int, str], ...]
    at: str
    strength: int | None = None
    flips: int = 0
    undone: bool = False

    def without_strength(self) -> Evidence:
        """The same for a record that is about one answer, which is stronger than nothing."""
        return self._replace(strength=None)


class Ballot(NamedTuple):
    """One annotator's judgement of one answer text: 1 or -1."""

    value: int
    evidence: Evidence


class PairClaim(NamedTuple):
    """Evidence that one answer is better than a sibling. Both are message ids."""

    better: str
    worse: str
    evidence: Evidence
    positions: tuple[Position, Position] = ALONE


class Tie(NamedTuple):
    """An annotator's word that neither of two answers is better. Both are message ids."""

    one: str
    other: str
    evidence: Evidence


class Support(NamedTuple):
    """How a question with several answers was decided: evidence for the outcome, against it, and the share for it.

    ``confidence`` is ``None`` while nobody disagrees: then it follows from the evidence.
    """

    found: Sequence[Evidence]
    against: Sequence[Evidence] = ()
    agreement: float = 1.0
    confidence: float | None = None


def discounted(confidence: float, flips: int, *, undone_like: bool) -> float:
    """R14 and R16: what remains of a vote's confidence. Zero or less: nothing remains."""
    remaining = round(confidence - FLIP_COST * flips, 6)
    return remaining * UNDONE_FACTOR if undone_like else remaining


def combined(confidences: Iterable[float]) -> float:
    """R27: independent findings of the same add up, and never to certainty."""
    return min(MOST_CONFIDENT, 1.0 - prod([1.0 - confidence for confidence in confidences]))


def majority_confidence(agreeing: int, all_of_them: int) -> float:
    """R25, R26: the rule of succession."""
    return (agreeing + 1) / (all_of_them + 2)


def decided(agreeing: int, all_of_them: int) -> bool:
    """R25, R26: whether a majority is one: two thirds, of three at least."""
    return all_of_them >= 3 and 3 * agreeing >= 2 * all_of_them


def weight_of_source(evidence: Evidence) -> tuple[int, float, bool, int]:
    """What makes a finding the one that names the record: strength, confidence, a comparison before all else, and then
    the order of the book."""
    rule = evidence.rules[0]
    return evidence.strength or 0, evidence.confidence, rule == "R22", -place_of(rule)


def grounds_of(
    support: Support,
    consent: str | None,
    *,
    shaping: tuple[str, ...] = (),
    weight: float = 1.0,
    truncated: bool = False,
) -> Grounds:
    """R27: one record's grounds from all that was found for and against it; ``shaping`` are rules beside those."""
    found = support.found
    if len(found) == 1 and not support.against:
        return _grounds_of_one(found[0], consent, shaping, weight, truncated)
    everything = (*found, *support.against)
    confidence = support.confidence or combined([one.confidence for one in found])
    return Grounds(
        max(found, key=weight_of_source).rules[0],
        in_book_order([*shaping, *(rule for one in found for rule in one.rules)]),
        max((one.strength for one in found if one.strength), default=None),
        round(confidence, 6),
        tuple(sorted({annotator for one in everything for annotator in one.annotators})),
        round(support.agreement, 6),
        _in_log_order({event for one in everything for event in one.events}),
        max(one.at for one in everything)[:10],
        consent,
        weight,
        max(one.flips for one in found),
        any(one.undone for one in found),
        truncated,
    )


def _grounds_of_one(
    found: Evidence, consent: str | None, shaping: tuple[str, ...], weight: float, truncated: bool
) -> Grounds:
    """The same for what most records rest on: one finding that nobody contradicts."""
    return Grounds(
        found.rules[0],
        in_book_order((*shaping, *found.rules)),
        found.strength,
        round(found.confidence, 6),
        found.annotators,
        1.0,
        _in_log_order(found.events),
        found.at[:10],
        consent,
        weight,
        found.flips,
        found.undone,
        truncated,
    )


def _in_log_order(events: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    return tuple([event_id for _, event_id in sorted(events)])
