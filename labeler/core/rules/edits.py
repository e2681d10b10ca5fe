"""Rewritten answers: the rewrite is better than what it replaces, and worth imitating (R1, R8-R12, R20)."""

from __future__ import annotations

from dataclasses import dataclass

from labeler.core.conversation import Message
from labeler.core.rules.book import confidence_of
from labeler.core.rules.evidence import Evidence, PairClaim
from labeler.core.rules.reading import Reading, Turn, chain_of
from labeler.core.rules.votes import DISLIKE, LIKE, Ballots, restored
from labeler.core.text import normal

TINY = 0.02
SLIGHT = 0.2
MODERATE = 0.6


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The last of a chain of rewrites, its rewrites (last first), and the first answer that they go back to."""

    chain: tuple[Message, ...]
    first: Message

    @property
    def last(self) -> Message:
        return self.chain[0]


def rewrites(reading: Reading, turn: Turn) -> list[Rewrite]:
    """R11, R12: the rewrites that stand. All others get their fate.

    A rewrite is replaced by the rewrites of it; one whose text came back to the first answer's, or whose turn was
    undone while it showed, is withdrawn with all that led to it.
    """
    edited = {answer.edits for answer in turn.answers if answer.edits and answer.id not in turn.fates}
    if not edited:
        return []
    stand: list[Rewrite] = []
    withdrawn: dict[str, str] = {}
    for answer in turn.answers:
        if answer.origin == "human_edit" and answer.id not in turn.fates and answer.id not in edited:
            *chain, first = chain_of(reading.conversation, answer)
            rewrite = Rewrite(tuple(chain), first)
            reason = _withdrawal(reading, rewrite)
            if reason is None:
                stand.append(rewrite)
            else:
                withdrawn.update({one.id: reason for one in chain})
    kept = {one.id for rewrite in stand for one in rewrite.chain}
    turn.fates.update({one: reason for one, reason in withdrawn.items() if one not in kept})
    return stand


def _withdrawal(reading: Reading, rewrite: Rewrite) -> str | None:
    """Why nothing of the chain stands (R12, R30), or ``None``."""
    for one in rewrite.chain:
        if one.id in reading.barred:
            return reading.barred[one.id]
    last = rewrite.last
    for undo in reading.conversation.undos:
        if undo.answer_id == last.id and not restored(reading, undo):
            return "edit_undone"
    if normal(last.content) == normal(rewrite.first.content):
        return "edit_reverted" if len(rewrite.chain) > 1 else "edit_unchanged"
    return None


def pairs_and_demonstrations(
    reading: Reading, turn: Turn, stand: list[Rewrite], ballots: Ballots
) -> tuple[list[PairClaim], list[tuple[str, Evidence]]]:
    """R1: a pair and a demonstration for each rewrite that stands, unless its author disliked it (R10b)."""
    pairs: list[PairClaim] = []
    demonstrations: list[tuple[str, Evidence]] = []
    for rewrite in stand:
        last, first = rewrite.last, rewrite.first
        if _own_vote(turn, last, last.annotator_id, ballots) == DISLIKE:
            reading.leave_out("edit_disliked", last.id)
            continue
        evidence = _evidence(reading, turn, rewrite, ballots)
        demonstrations.append((last.id, evidence.without_strength()))
        flaw = _flaw(reading, turn, rewrite)
        if flaw is None:
            pairs.append(PairClaim(last.id, first.id, evidence))
        else:
            reading.leave_out(flaw, last.id, first.id)
    return pairs, demonstrations


def _flaw(reading: Reading, turn: Turn, rewrite: Rewrite) -> str | None:
    """Why the rewrite and the first answer are no pair."""
    fate = turn.fates.get(rewrite.first.id)
    if fate is not None:
        return "rejected_truncated" if fate == "answer_stopped" else fate
    return "edit_tiny" if reading.distances[rewrite.last.id] < TINY else None


def _evidence(reading: Reading, turn: Turn, rewrite: Rewrite, ballots: Ballots) -> Evidence:
    last = rewrite.last
    strength = _strength(reading.distances[last.id])
    vote = _own_vote(turn, rewrite.first, last.annotator_id, ballots)
    plain = "R11" if len(rewrite.chain) > 1 else "R1"
    rule = {LIKE: "R8", DISLIKE: "R9"}.get(vote, plain)
    strength = {LIKE: 1, DISLIKE: max(2, strength)}.get(vote, strength)
    voted = ballots[turn.texts[rewrite.first.id]][last.annotator_id].evidence.events if vote else ()
    events = (*voted, *((one.seq, one.event_ids[0]) for one in rewrite.chain))
    return Evidence((rule, plain, "R1"), confidence_of(rule), (last.annotator_id,), events, last.at, strength)


def _own_vote(turn: Turn, answer: Message, annotator_id: str, ballots: Ballots) -> int:
    """The annotator's vote on a candidate, or 0."""
    text = turn.texts.get(answer.id, "")
    ballot = ballots.get(text, {}).get(annotator_id)
    return ballot.value if ballot else 0


def _strength(distance: float) -> int:
    if distance < SLIGHT:
        return 1
    return 2 if distance < MODERATE else 3
