"""What a retry implies: the answer that the conversation went on from was good enough, the others were not (R5-R7).

The weakest evidence there is. It gives way to any explicit judgement, and counts only if the study says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labeler.core.conversation import Message, SelectionFact
from labeler.core.rules.book import confidence_of
from labeler.core.rules.comparisons import Comparisons
from labeler.core.rules.evidence import Evidence, PairClaim
from labeler.core.rules.reading import Reading, Turn
from labeler.core.rules.votes import Ballots

STRENGTH = 1


@dataclass(frozen=True, slots=True)
class Pick:
    """The answer of several tries that the conversation went on from, and the gesture that shows it."""

    answer: Message
    gesture: Message | SelectionFact

    @property
    def event(self) -> tuple[int, str]:
        gesture = self.gesture
        return gesture.seq, gesture.event_ids[0] if isinstance(gesture, Message) else gesture.event_id


def pairs_from_retries(reading: Reading, turn: Turn, ballots: Ballots, comparisons: Comparisons) -> Iterator[PairClaim]:
    """R5, R5b, R6: the pick is better than each other try; nothing orders the others among themselves."""
    compared = {frozenset((turn.texts[fact.message_a], turn.texts[fact.message_b])) for fact, _ in comparisons}
    for tries in _tries(turn):
        pick = _pick(reading, tries)
        for other in tries if pick else ():
            if pick is None or other is pick.answer or turn.texts[other.id] == turn.texts[pick.answer.id]:
                continue
            claim = PairClaim(pick.answer.id, other.id, _evidence(tries, pick))
            if _judged(turn, claim, ballots, compared):
                reading.leave_out("explicit_beats_implicit", claim.better, claim.worse)
            elif not reading.options.implicit:
                reading.leave_out("implicit_off", claim.better, claim.worse)
            else:
                yield claim


def _tries(turn: Turn) -> list[list[Message]]:
    """The candidates of the model that retries connect, in the order in which they came."""
    if not any(answer.retries for answer in turn.answers):
        return []
    groups: dict[str, list[Message]] = {}
    for answer in turn.answers:
        if answer.origin == "model":
            group = groups.get(answer.retries or "", [])
            group.append(answer)
            groups[answer.id] = group
    distinct = {id(group): group for group in groups.values()}
    candidates = ([answer for answer in group if answer.id in turn.texts] for group in distinct.values())
    return [group for group in candidates if len(group) > 1]


def _pick(reading: Reading, tries: list[Message]) -> Pick | None:
    """R5c: ``None`` unless the conversation went on from exactly one of them after the last try."""
    messages, newest = reading.conversation.messages, tries[-1]
    went_on = [
        Pick(answer, messages[child])
        for answer in tries
        for child in answer.children
        if messages[child].seq > newest.seq
    ]
    if went_on:
        return went_on[0] if len({pick.answer.id for pick in went_on}) == 1 else None
    ids = {answer.id for answer in tries}
    turned = [one for one in reading.conversation.selections if one.seq > newest.seq and one.message_id in ids]
    return Pick(newest, turned[-1]) if turned and turned[-1].message_id == newest.id else None


def _evidence(tries: list[Message], pick: Pick) -> Evidence:
    rule = "R5b" if pick.answer is not tries[-1] else "R5" if len(tries) == 2 else "R6"
    retries = tuple((one.seq, one.event_ids[0]) for one in tries[1:])
    annotator = tries[-1].annotator_id
    return Evidence((rule,), confidence_of(rule), (annotator,), (*retries, pick.event), pick.gesture.at, STRENGTH)


def _judged(turn: Turn, claim: PairClaim, ballots: Ballots, compared: set[frozenset[str]]) -> bool:
    """R7: whether anybody voted on one of the two, rewrote one, or compared them."""
    texts = {turn.texts[claim.better], turn.texts[claim.worse]}
    rewritten = any(answer.edits in (claim.better, claim.worse) for answer in turn.answers)
    return rewritten or not texts.isdisjoint(ballots) or frozenset(texts) in compared
