"""When several judgements meet on two answers: self-contradiction, disagreement (R26), and the limit of R4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from labeler.core.rules.evidence import PairClaim, Support, Tie, decided, majority_confidence
from labeler.core.rules.reading import Reading, Turn

FROM_VOTES = ("R4", "R4x")
TIE = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pair that stands: the claims for it, how far they are supported, and what the pair weighs in training."""

    claims: tuple[PairClaim, ...]
    support: Support
    weight: float = 1.0

    @property
    def from_votes(self) -> bool:
        return any(claim.evidence.rules[0] in FROM_VOTES for claim in self.claims)

    @property
    def from_votes_alone(self) -> bool:
        return all(claim.evidence.rules[0] in FROM_VOTES for claim in self.claims)


@dataclass(slots=True)
class _Question:
    """All that was said about two texts. An opinion is the text found better, or ``TIE``."""

    claims: list[PairClaim] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)


def settle(reading: Reading, turn: Turn, claims: Sequence[PairClaim], ties: Sequence[Tie]) -> list[Verdict]:
    """The pairs that stand, in the order of their answers."""
    questions: dict[tuple[str, ...], _Question] = {}
    for claim in claims:
        questions.setdefault(_texts(turn, claim.better, claim.worse), _Question()).claims.append(claim)
    for tie in ties:
        questions.setdefault(_texts(turn, tie.one, tie.other), _Question()).ties.append(tie)
    verdicts = [verdict for texts in sorted(questions) if (verdict := _decide(reading, turn, questions[texts]))]
    verdicts.sort(key=lambda one: (turn.place(one.claims[0].better), turn.place(one.claims[0].worse)))
    return _limited(reading, turn, verdicts)


def _texts(turn: Turn, one: str, other: str) -> tuple[str, ...]:
    return tuple(sorted((turn.texts[one], turn.texts[other])))


def _decide(reading: Reading, turn: Turn, question: _Question) -> Verdict | None:
    """R26: everybody agrees, or a majority of two thirds of three or more does."""
    _drop_self_contradictions(reading, turn, question)
    opinions = {claim.evidence.annotators: turn.texts[claim.better] for claim in question.claims}
    opinions |= {tie.evidence.annotators: TIE for tie in question.ties}
    if not question.claims:
        return None
    counts = {text: sum(one == text for one in opinions.values()) for text in sorted(set(opinions.values()) - {TIE})}
    winner = max(counts, key=counts.__getitem__)
    claims = tuple(claim for claim in question.claims if turn.texts[claim.better] == winner)
    found = [claim.evidence for claim in claims]
    agreeing, all_of_them = counts[winner], len(opinions)
    if agreeing == all_of_them:
        return Verdict(claims, Support(found))
    if not decided(agreeing, all_of_them) and (len(counts) > 1 or all_of_them > 2):
        reading.leave_out("contested_pair", claims[0].better, claims[0].worse)
        return None
    against = [claim.evidence for claim in question.claims if turn.texts[claim.better] != winner]
    against += [tie.evidence for tie in question.ties]
    confidence = majority_confidence(agreeing, all_of_them)
    return Verdict(claims, Support(found, against, agreeing / all_of_them, confidence))


def _drop_self_contradictions(reading: Reading, turn: Turn, question: _Question) -> None:
    """An annotator's last comparison stands against whatever else they said of the two; without one, nothing does."""
    compared = [(claim.evidence, turn.texts[claim.better]) for claim in question.claims if _is_comparison(claim)]
    compared += [(tie.evidence, TIE) for tie in question.ties]
    compared.sort(key=lambda word: word[0].events)
    words = {evidence.annotators: opinion for evidence, opinion in compared}
    for annotators in {claim.evidence.annotators for claim in question.claims} - words.keys():
        said = {turn.texts[claim.better] for claim in question.claims if claim.evidence.annotators == annotators}
        words[annotators] = said.pop() if len(said) == 1 else TIE
    for claim in question.claims:
        if words[claim.evidence.annotators] != turn.texts[claim.better]:
            reading.leave_out("self_contradiction", claim.better, claim.worse)
    question.claims = [one for one in question.claims if words[one.evidence.annotators] == turn.texts[one.better]]
    question.ties = [tie for tie in question.ties if words[tie.evidence.annotators] == TIE]


def _is_comparison(claim: PairClaim) -> bool:
    return claim.evidence.rules[0] == "R22"


# ── the limit of R4 ──


def _limited(reading: Reading, turn: Turn, verdicts: list[Verdict]) -> list[Verdict]:
    """R4: at most so many pairs from votes under one prompt, together as heavy as one pair.

    What a comparison or a rewrite says as well is always kept, and weighs as much as any such pair.
    """
    voted = [one for one in verdicts if one.from_votes]
    alone = _spread(turn, [one for one in voted if one.from_votes_alone])
    kept = alone[: max(0, reading.options.max_pairs_per_prompt - (len(voted) - len(alone)))]
    weight = round(1 / max(1, len(voted) - len(alone) + len(kept)), 6)
    for verdict in alone[len(kept) :]:
        reading.leave_out("over_pair_limit", verdict.claims[0].better, verdict.claims[0].worse)
    limited = []
    for verdict in verdicts:
        if verdict in kept:
            limited.append(replace(verdict, weight=weight))
        elif verdict not in alone:
            limited.append(verdict)
    return limited


def _spread(turn: Turn, verdicts: list[Verdict]) -> list[Verdict]:
    """One annotator's own pairs first; among those, every liked and disliked answer once before any of them again."""
    liked = sorted({turn.place(one.claims[0].better) for one in verdicts})
    disliked = sorted({turn.place(one.claims[0].worse) for one in verdicts})
    longer = max(len(liked), len(disliked), 1)

    def order(verdict: Verdict) -> tuple[bool, int, int]:
        claim = verdict.claims[0]
        row, column = liked.index(turn.place(claim.better)), disliked.index(turn.place(claim.worse))
        return claim.evidence.rules[0] == "R4x", (column - row) % longer, row

    return sorted(verdicts, key=order)
