"""Thumbs: one ballot per annotator and text (R2, R3, R14, R16), one label per text (R25), and the pairs of R4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise, product

from labeler.core.conversation import UndoFact, VoteFact
from labeler.core.rules.book import confidence_of
from labeler.core.rules.evidence import (
    Ballot,
    Evidence,
    PairClaim,
    Support,
    decided,
    discounted,
    majority_confidence,
)
from labeler.core.rules.reading import Reading, Turn

LIKE, DISLIKE = 1, -1
MOST_FLIPS = 2
PAIR_STRENGTH = 2
CROSS_PAIR_STRENGTH = 1

# text -> annotator -> ballot
Ballots = dict[str, dict[str, Ballot]]


def thumbs(reading: Reading, turn: Turn) -> Ballots:
    """What the votes on each text say. Stopped answers have ballots too (R20), under their own id."""
    ballots: Ballots = {}
    for (text, annotator), run in _pooled_runs(reading, turn).items():
        ballot = _ballot(reading, text, run)
        if ballot is None:
            reading.leave_out("too_many_flips", text)
        else:
            ballots.setdefault(text, {})[annotator] = ballot
    return ballots


def _pooled_runs(reading: Reading, turn: Turn) -> dict[tuple[str, str], list[VoteFact]]:
    """R28: the standing votes on all copies of a text, oldest first, without misclicks (R16)."""
    pooled: dict[tuple[str, str], list[VoteFact]] = {}
    for answer in turn.answers:
        text = answer.id if turn.fates.get(answer.id) == "answer_stopped" else turn.texts.get(answer.id)
        for annotator, run in reading.runs.get(answer.id, {}).items() if text else ():
            if _misclicked(reading, run[-1]):
                reading.leave_out("misclick", answer.id)
            else:
                pooled.setdefault((text or "", annotator), []).extend(run)
    for run in pooled.values():
        run.sort(key=lambda fact: fact.seq)
    return pooled


def _ballot(reading: Reading, text: str, run: list[VoteFact]) -> Ballot | None:
    """R14: the last vote counts, with less confidence for each flip; ``None``: flipped too often."""
    last = run[-1]
    flips = sum(before.vote != after.vote for before, after in pairwise(run))
    if flips > MOST_FLIPS:
        return None
    undo = undo_after(reading, last)
    undone_like = undo is not None and last.vote == LIKE
    rule = "R2" if last.vote == LIKE else "R3"
    pooled = any([fact.message_id != text for fact in run])
    shaping = (*(("R14",) if flips else ()), *(("R16",) if undone_like else ()), *(("R28",) if pooled else ()))
    if last.event_id in reading.rulings.events:
        shaping = (*shaping, "R31")
    gestures: list[VoteFact | UndoFact] = [*run, undo] if undo else [*run]
    evidence = Evidence(
        (rule, *shaping),
        discounted(confidence_of(rule), flips, undone_like=undone_like),
        (last.annotator_id,),
        tuple([(gesture.seq, gesture.event_id) for gesture in gestures]),
        gestures[-1].at,
        flips=flips,
        undone=undo is not None,
    )
    return Ballot(last.vote, evidence)


# ── undo after a vote (R16) ──


def undo_after(reading: Reading, vote: VoteFact) -> UndoFact | None:
    """The undo by which the annotator took the turn of this answer away after voting, unless it was brought back."""
    for undo in reading.conversation.undos:
        if (
            undo.answer_id == vote.message_id
            and undo.seq > vote.seq
            and undo.annotator_id == vote.annotator_id
            and not restored(reading, undo)
        ):
            return undo
    return None


def restored(reading: Reading, undo: UndoFact) -> bool:
    """Whether the annotator turned back to the undone message later."""
    return any(
        chosen.message_id == undo.message_id and chosen.seq > undo.seq for chosen in reading.conversation.selections
    )


def _misclicked(reading: Reading, vote: VoteFact) -> bool:
    """R16: a like undone by the same annotator within seconds, with nothing of theirs between, was no like."""
    if vote.vote != LIKE or not reading.conversation.undos:
        return False
    undo, limit = undo_after(reading, vote), reading.options.misclick_seconds
    if undo is None or not limit or not 0 <= _seconds(vote.at, undo.at) <= limit:
        return False
    return not any(vote.seq < seq < undo.seq for seq in _deeds(reading, vote.annotator_id))


def _deeds(reading: Reading, annotator: str) -> Iterator[int]:
    """The seqs of what an annotator did and let stand: a withdrawn vote is as if never cast (R13)."""
    conversation = reading.conversation
    yield from (one.seq for one in conversation.messages.values() if one.annotator_id == annotator)
    yield from (one.seq for one in conversation.selections if conversation.annotator_id == annotator)
    yield from (one.seq for one in conversation.undos if one.annotator_id == annotator)
    yield from (one.seq for by in reading.runs.values() for one in by.get(annotator, ()))
    yield from (one.seq for one in reading.comparisons if one.annotator_id == annotator)
    for reason in conversation.reasons:
        if reason.annotator_id == annotator and reading.runs.get(reason.message_id, {}).get(annotator):
            yield reason.seq


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


# ── one label per text (R25) ──


def label_of(ballots: dict[str, Ballot]) -> tuple[bool, Support] | None:
    """What a text's ballots come to; ``None``: contested."""
    if len(ballots) == 1:
        [only] = ballots.values()
        return only.value == LIKE, Support((only.evidence,))
    ordered = [ballots[annotator] for annotator in sorted(ballots)]
    likes = [one.evidence for one in ordered if one.value == LIKE]
    dislikes = [one.evidence for one in ordered if one.value == DISLIKE]
    label = len(likes) > len(dislikes)
    found, against = (likes, dislikes) if label else (dislikes, likes)
    if not against:
        return label, Support(found)
    if not decided(len(found), len(ordered)):
        return None
    confidence = majority_confidence(len(found), len(ordered))
    return label, Support(found, against, len(found) / len(ordered), confidence)


# ── pairs from votes on siblings (R4, R4x) ──


def pairs_from_thumbs(reading: Reading, turn: Turn, ballots: Ballots, labels: Mapping[str, bool]) -> list[PairClaim]:
    """R4 for each annotator who liked one sibling and disliked another; R4x where two annotators did so between them.

    Only votes that agree with their text's label count: a contested text is in no pair (R25).
    """
    claims: list[PairClaim] = []
    for better, worse in product(labels, labels):
        if not labels[better] or labels[worse] or better not in turn.texts:
            continue
        if worse not in turn.texts:
            reading.leave_out("rejected_truncated", better, worse)
            continue
        for evidence in _pairs(ballots[better], ballots[worse]):
            if evidence.confidence > 0:
                claims.append(PairClaim(better, worse, evidence))
            else:
                reading.leave_out("too_many_flips", better, worse)
    return claims


def _pairs(better: Mapping[str, Ballot], worse: Mapping[str, Ballot]) -> Iterator[Evidence]:
    likes, dislikes = _thumbs(better, LIKE), _thumbs(worse, DISLIKE)
    both = sorted(likes.keys() & dislikes.keys())
    for annotator in both:
        yield _pair("R4", PAIR_STRENGTH, [likes[annotator]], [dislikes[annotator]])
    uncontested = len({one.value for one in better.values()}) == 1 == len({one.value for one in worse.values()})
    if likes and dislikes and not both and uncontested:
        yield _pair("R4x", CROSS_PAIR_STRENGTH, list(likes.values()), list(dislikes.values()))


def _thumbs(ballots: Mapping[str, Ballot], value: int) -> dict[str, Evidence]:
    """The thumbs of one kind. What a comparison said of an answer (R24) is no thumb."""
    rule = "R2" if value == LIKE else "R3"
    return {who: one.evidence for who, one in ballots.items() if one.value == value and rule in one.evidence.rules}


def _pair(rule: str, strength: int, likes: list[Evidence], dislikes: list[Evidence]) -> Evidence:
    votes = [*likes, *dislikes]
    flips = min(one.flips for one in likes) + min(one.flips for one in dislikes)
    undone_like = all(one.undone for one in likes)
    return Evidence(
        (rule, *(shaping for one in votes for shaping in one.rules[1:])),
        discounted(confidence_of(rule), flips, undone_like=undone_like),
        tuple(sorted({annotator for one in votes for annotator in one.annotators})),
        tuple(event for one in votes for event in one.events),
        max(one.at for one in votes),
        strength,
        flips,
        any(one.undone for one in votes),
    )
