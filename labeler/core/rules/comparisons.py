"""Two answers side by side, or one after the other (R22-R24)."""

from __future__ import annotations

from collections.abc import Iterator

from labeler.core.conversation import ComparisonFact
from labeler.core.events import Compared
from labeler.core.records import PLACES
from labeler.core.rules.book import confidence_of
from labeler.core.rules.evidence import ALONE, Ballot, Evidence, PairClaim, Tie
from labeler.core.rules.reading import Reading, Turn
from labeler.core.rules.votes import DISLIKE, LIKE, Ballots

BOTH_GOOD_CONFIDENCE = 0.6
BOTH_BAD_CONFIDENCE = 0.7

Comparisons = list[tuple[ComparisonFact, Compared]]


def usable(reading: Reading, turn: Turn) -> Comparisons:
    """The turn's comparisons of two candidates with different texts; the others go into the ledger."""
    kept: Comparisons = []
    for fact in reading.heard:
        if fact.message_a not in turn.texts and fact.message_a not in turn.fates:
            continue
        reason = _flaw(turn, fact)
        if reason is not None:
            reading.leave_out(reason, fact.message_a, fact.message_b)
        elif fact.compared is not None:
            kept.append((fact, fact.compared))
    return kept


def _flaw(turn: Turn, fact: ComparisonFact) -> str | None:
    for one in (fact.message_a, fact.message_b):
        if one in turn.fates:
            return turn.fates[one]
        if one not in turn.texts:
            return "different_prompts"
    return "same_text" if turn.texts[fact.message_a] == turn.texts[fact.message_b] else None


def pairs_from_comparisons(reading: Reading, comparisons: Comparisons) -> Iterator[PairClaim]:
    """R22: the winner is better, as strongly as was said. R31: and as was ruled."""
    ruled = reading.rulings.events
    for fact, compared in comparisons:
        if compared.winner not in ("a", "b"):
            continue
        rule = "R31" if fact.event_id in ruled else "R22"
        evidence = _evidence(rule, confidence_of(rule), fact, strength=min(3, max(1, compared.strength)))
        a, b = PLACES.get(compared.position, ALONE)
        if compared.winner == "a":
            yield PairClaim(fact.message_a, fact.message_b, evidence, (a, b))
        else:
            yield PairClaim(fact.message_b, fact.message_a, evidence, (b, a))


def ties_from_comparisons(reading: Reading, comparisons: Comparisons) -> Iterator[Tie]:
    """R23, R24: neither is better, which is no pair, and speaks against one."""
    for fact, compared in comparisons:
        if compared.winner in ("a", "b"):
            continue
        if compared.winner == "tie":
            reading.leave_out("tie", fact.message_a, fact.message_b)
        rule = "R23" if compared.winner == "tie" else "R24"
        yield Tie(fact.message_a, fact.message_b, _evidence(rule, 0.0, fact))


def add_verdicts_on_both(reading: Reading, turn: Turn, comparisons: Comparisons, ballots: Ballots) -> None:
    """R24: both good or both bad is a ballot on each, unless the annotator's own thumb is there."""
    for fact, compared in comparisons:
        if compared.winner not in ("both_good", "both_bad"):
            continue
        good = compared.winner == "both_good"
        evidence = _evidence("R24", BOTH_GOOD_CONFIDENCE if good else BOTH_BAD_CONFIDENCE, fact)
        for text in (turn.texts[fact.message_a], turn.texts[fact.message_b]):
            own = ballots.setdefault(text, {}).setdefault(
                fact.annotator_id, Ballot(LIKE if good else DISLIKE, evidence)
            )
            if (own.value == LIKE) != good:
                reading.leave_out("self_contradiction", text)


def _evidence(rule: str, confidence: float, fact: ComparisonFact, *, strength: int | None = None) -> Evidence:
    return Evidence((rule,), confidence, (fact.annotator_id,), ((fact.seq, fact.event_id),), fact.at, strength)
