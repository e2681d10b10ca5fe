"""When several judgements meet on two answers: self-contradiction, disagreement (R26), and the limit of R4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labeler.core.rules.evidence import PairClaim, Support, Tie, decided, majority_confidence
from labeler.core.rules.reading import Reading, Turn

FROM_VOTES = ("R4", "R4x")
TIE = ""


class Verdict(NamedTuple):
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
    """All that was said about two texts, in the order of the answers. An opinion is the better text, or ``TIE``."""

    texts: tuple[str, str]
    claims: list[PairClaim] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)


def settle(reading: Reading, turn: Turn, claims: Sequence[PairClaim], ties: Sequence[Tie]) -> list[Verdict]:
    """The pairs that stand, in the order of their answers."""
    if not claims:
        return []
    questions: dict[tuple[str, str], _Question] = {}
    for claim in claims:
        _question(turn, questions, claim.better, claim.worse).claims.append(claim)
    for tie in ties:
        _question(turn, questions, tie.one, tie.other).ties.append(tie)
    verdicts = [verdict for one in questions.values() if (verdict := _decide(reading, turn, one))]
    if len(verdicts) > 1:
        verdicts.sort(key=lambda one: (turn.place(one.claims[0].better), turn.place(one.claims[0].worse)))
    return _limited(reading, turn, verdicts) if len(verdicts) > 1 else verdicts


def _question(turn: Turn, questions: dict[tuple[str, str], _Question], one: str, other: str) -> _Question:
    first, second = sorted((turn.texts[one], turn.texts[other]), key=turn.place)
    return questions.setdefault((first, second), _Question((first, second)))


def _decide(reading: Reading, turn: Turn, question: _Question) -> Verdict | None:
    """R26: everybody agrees, or a majority of two thirds of three or more does."""
    if len(question.claims) == 1 and not question.ties and not reading.rulings.ruled:
        return Verdict((question.claims[0],), Support((question.claims[0].evidence,)))
    if reading.rulings.ruled:
        _let_the_ruling_stand(reading, turn, question)
    _drop_self_contradictions(reading, turn, question)
    if not question.claims:
        return None
    opinions = {claim.evidence.annotators: turn.texts[claim.better] for claim in question.claims}
    opinions |= {tie.evidence.annotators: TIE for tie in question.ties}
    counts = {text: sum(one == text for one in opinions.values()) for text in sorted(set(opinions.values()) - {TIE})}
    winner = max(counts, key=counts.__getitem__)
    claims = tuple(sorted((one for one in question.claims if turn.texts[one.better] == winner), key=_by_annotator))
    found = [claim.evidence for claim in claims]
    agreeing, all_of_them = counts[winner], len(opinions)
    if agreeing == all_of_them:
        return Verdict(claims, Support(found))
    if not decided(agreeing, all_of_them) and (len(counts) > 1 or all_of_them > 2):
        reading.leave_out("contested_pair", *question.texts)
        return None
    against = [claim.evidence for claim in question.claims if turn.texts[claim.better] != winner]
    against += [tie.evidence for tie in question.ties]
    confidence = majority_confidence(agreeing, all_of_them)
    return Verdict(claims, Support(found, against, agreeing / all_of_them, confidence))


def _let_the_ruling_stand(reading: Reading, turn: Turn, question: _Question) -> None:
    """R31: what was ruled on these two texts is all that counts, be it that neither is better."""
    texts = {turn.texts[one] for one in question.texts}
    for answers in reading.rulings.ruled:
        if len(answers) > 1 and {turn.texts.get(one) for one in answers} == texts:
            question.claims = [claim for claim in question.claims if claim.evidence.rules[0] == "R31"]
            question.ties = []


def _by_annotator(claim: PairClaim) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, str]]:
    """An order that does not depend on who spoke first."""
    return claim.evidence.annotators, claim.evidence.rules, claim.positions


def _drop_self_contradictions(reading: Reading, turn: Turn, question: _Question) -> None:
    """Whoever says two things of the same two answers has said nothing of them."""
    said: dict[tuple[str, ...], set[str]] = {}
    for claim in question.claims:
        said.setdefault(claim.evidence.annotators, set()).add(turn.texts[claim.better])
    for tie in question.ties:
        said.setdefault(tie.evidence.annotators, set()).add(TIE)
    for opinions in said.values():
        if len(opinions) > 1:
            reading.leave_out("self_contradiction", *question.texts)
    question.claims = [claim for claim in question.claims if len(said[claim.evidence.annotators]) == 1]
    question.ties = [tie for tie in question.ties if len(said[tie.evidence.annotators]) == 1]


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
            limited.append(verdict._replace(weight=weight))
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
