"""All rules on one turn, in their order: who can be a candidate, what was withdrawn, explicit, implicit, conflicts."""

from __future__ import annotations

from typing import NamedTuple

from labeler.core.conversation import Message
from labeler.core.rules.book import confidence_of
from labeler.core.rules.comparisons import (
    add_verdicts_on_both,
    pairs_from_comparisons,
    ties_from_comparisons,
    usable,
)
from labeler.core.rules.conflicts import Verdict, settle
from labeler.core.rules.edits import pairs_and_demonstrations, rewrites
from labeler.core.rules.evidence import Evidence, Support, discounted
from labeler.core.rules.reading import Reading, Turn, fate_of, pool_texts
from labeler.core.rules.retries import pairs_from_retries
from labeler.core.rules.votes import Ballots, label_of, pairs_from_thumbs, thumbs

Labels = dict[str, tuple[bool, Support]]


class Findings(NamedTuple):
    """What one turn comes to: pairs, the label of each judged text, and rewrites and answers worth imitating."""

    pairs: list[Verdict]
    labels: Labels
    demonstrations: list[tuple[str, Evidence]]


def open_turn(reading: Reading, answers: list[Message]) -> Turn:
    """The turn, with the fate of each answer that cannot be a candidate for its own sake."""
    turn = Turn(answers[0].parent_id or "", answers)
    for answer in answers:
        fate = reading.barred.get(answer.id) or fate_of(answer)
        if fate is None and answer.id in reading.rulings.flagged:
            fate = "flagged"
        if fate is not None:
            turn.fates[answer.id] = fate
    return turn


def findings_of(reading: Reading, turn: Turn) -> Findings:
    """Apply the rules."""
    stand = rewrites(reading, turn)
    pool_texts(turn)
    ballots = thumbs(reading, turn)
    if len(turn.answers) == 1 and not reading.heard:
        labels = _labels(reading, turn, ballots)
        return Findings([], labels, _liked(reading, turn, labels))
    comparisons = usable(reading, turn)
    add_verdicts_on_both(reading, turn, comparisons, ballots)
    labels = _labels(reading, turn, ballots)
    rewritten, demonstrations = pairs_and_demonstrations(reading, turn, stand, ballots)
    claims = [
        *pairs_from_comparisons(reading, comparisons),
        *pairs_from_thumbs(reading, turn, ballots, {text: label for text, (label, _) in labels.items()}),
        *rewritten,
        *pairs_from_retries(reading, turn, ballots, comparisons),
    ]
    pairs = settle(reading, turn, claims, list(ties_from_comparisons(reading, comparisons)))
    return Findings(pairs, labels, [*demonstrations, *_liked(reading, turn, labels)])


def _labels(reading: Reading, turn: Turn, ballots: Ballots) -> Labels:
    labels: Labels = {}
    for text in sorted(ballots, key=turn.place) if len(ballots) > 1 else ballots:
        label = label_of(ballots[text])
        if label is None:
            reading.leave_out("contested_votes", text)
        else:
            labels[text] = label
    return labels


def _liked(reading: Reading, turn: Turn, labels: Labels) -> list[tuple[str, Evidence]]:
    """R2s: what somebody liked and nobody disliked is worth imitating, unless its turn was undone (R16)."""
    demonstrations: list[tuple[str, Evidence]] = []
    if not reading.options.sft_from_likes:
        return demonstrations
    for text, (label, support) in labels.items():
        if not label or text not in turn.texts:
            continue
        if support.against:
            reading.leave_out("contested_votes", text)
        elif any(one.undone for one in support.found):
            reading.leave_out("undone", text)
        else:
            demonstrations += [(text, _demonstration(one)) for one in support.found if "R2" in one.rules]
    return demonstrations


def _demonstration(like: Evidence) -> Evidence:
    confidence = discounted(confidence_of("R2s"), like.flips, undone_like=False)
    return Evidence(("R2s", *like.rules[1:]), confidence, like.annotators, like.events, like.at, flips=like.flips)
