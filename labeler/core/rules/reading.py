"""One conversation as the rules read it: who may be heard, what stands of their judgements, and turn by turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from labeler.core.conversation import ComparisonFact, Conversation, Message, VoteFact
from labeler.core.records import Exclusion
from labeler.core.rules.book import REASONS
from labeler.core.rules.facts import last_comparisons
from labeler.core.rules.options import Options
from labeler.core.rules.rulings import Rulings, rulings_of
from labeler.core.standing import Standing
from labeler.core.text import normal

Runs = dict[str, dict[str, list[VoteFact]]]


@dataclass(slots=True)
class Reading:
    """What all turns of one conversation share.

    ``runs`` holds, by message and annotator, the votes since the last withdrawal (R13), oldest first, never empty.
    ``comparisons`` are the last words on pairs of answers, withdrawals left out. ``barred`` are the nodes written by
    somebody who may not be heard (R30), those that hold what must not be published, and all that was said after them,
    with the reason. ``distances`` says of each rewrite how much of the first answer it changed, between 0 (nothing but
    white space) and 1. ``heard`` are the comparisons that count: a ruling instead of all others on its pair (R31).
    """

    conversation: Conversation
    standing: Standing
    options: Options
    runs: Runs = field(default_factory=dict)
    comparisons: list[ComparisonFact] = field(default_factory=list)
    heard: list[ComparisonFact] = field(default_factory=list)
    rulings: Rulings = field(default_factory=Rulings)
    barred: dict[str, str] = field(default_factory=dict)
    distances: dict[str, float] = field(default_factory=dict)
    ledger: list[Exclusion] = field(default_factory=list)

    def leave_out(self, reason: str, *candidates: str) -> None:
        """Enter something that yields no record into the ledger."""
        self.ledger.append(Exclusion(candidates, REASONS[reason][0], reason))


def read(conversation: Conversation, standing: Standing, options: Options) -> Reading:
    """Hear everybody who may be heard."""
    reading = Reading(conversation, standing, options)
    reading.comparisons = [fact for fact in last_comparisons(conversation, standing) if fact.compared is not None]
    reading.rulings = rulings_of(conversation, standing) if conversation.reviewed else Rulings()
    reading.heard = _heard(reading)
    reading.runs = _standing_votes(reading)
    _add_ruled_votes(reading)
    reading.barred = _barred(conversation, standing)
    reading.distances = {
        message.id: _distance(conversation, message)
        for message in conversation.messages.values()
        if message.origin == "human_edit"
    }
    return reading


def _heard(reading: Reading) -> list[ComparisonFact]:
    """R31: where somebody ruled, nobody else is heard."""
    ruled = reading.rulings.ruled
    if not ruled:
        return reading.comparisons
    for answers in ruled:
        if len(answers) > 1 and reading.rulings.void(*answers):
            reading.leave_out("adjudicated_void", *sorted(answers))
    others = [fact for fact in reading.comparisons if fact.pair not in ruled]
    return sorted([*others, *reading.rulings.comparisons()], key=lambda fact: fact.seq)


def _add_ruled_votes(reading: Reading) -> None:
    """R31: the ruling on an answer stands in the place of all votes on it."""
    for vote in reading.rulings.votes():
        reading.runs[vote.message_id] = {vote.annotator_id: [vote]} if vote.vote else {}
        if not vote.vote:
            reading.leave_out("adjudicated_void", vote.message_id)


def _barred(conversation: Conversation, standing: Standing) -> dict[str, str]:
    """R30: the owner may be heard, or nothing of the conversation would be read. And what a redactor blocked."""
    barred: dict[str, str] = {}
    for message in conversation.messages.values():
        reason = barred.get(message.parent_id) if barred and message.parent_id else None
        reason = reason or conversation.blocked.get(message.id)
        if reason is None and message.annotator_id != conversation.annotator_id:
            reason = standing.refusal(message.annotator_id)
        if reason is not None:
            barred[message.id] = reason
    return barred


def _standing_votes(reading: Reading) -> Runs:
    runs: Runs = {}
    refused: dict[tuple[str, str], str] = {}
    for fact in reading.conversation.votes:
        reason = reading.standing.refusal(fact.annotator_id)
        if reason is not None:
            refused[fact.message_id, fact.annotator_id] = reason
        elif fact.vote:
            runs.setdefault(fact.message_id, {}).setdefault(fact.annotator_id, []).append(fact)
        elif fact.message_id in runs:
            runs[fact.message_id].pop(fact.annotator_id, None)
    for (message_id, _), reason in refused.items():
        reading.leave_out(reason, message_id)
    return runs


@dataclass(slots=True)
class Turn:
    """The answers to one message.

    ``fates`` says of each answer that is no candidate why not. ``texts`` maps each candidate to the sibling that stands
    for its text (R28): the first one of a model, or else the first.
    """

    parent_id: str
    answers: list[Message]
    fates: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def of(self, message_id: str) -> Message:
        return next(answer for answer in self.answers if answer.id == message_id)

    def place(self, message_id: str) -> int:
        """Where an answer stands among its siblings."""
        return next(place for place, answer in enumerate(self.answers) if answer.id == message_id)


def fate_of(answer: Message) -> str | None:
    """Why an answer can never be a candidate, from itself alone (R20, R21); ``None``: it can."""
    if answer.status not in ("complete", "stopped"):
        return "answer_failed"
    if not answer.content.strip():
        return "answer_empty"
    if answer.status == "stopped":
        return "answer_stopped"
    if answer.finished is not None and answer.finished.finish_reason == "content_filter":
        return "answer_refused"
    return None


def pool_texts(turn: Turn) -> None:
    """R28: let one sibling stand for each text among the candidates."""
    candidates = [answer for answer in turn.answers if answer.id not in turn.fates]
    if len(candidates) == 1:
        turn.texts = {candidates[0].id: candidates[0].id}
        return
    stands: dict[str, str] = {}
    forms = {answer.id: normal(answer.content) for answer in candidates}
    for answer in sorted(candidates, key=lambda answer: answer.origin != "model"):
        stands.setdefault(forms[answer.id], answer.id)
    turn.texts = {answer.id: stands[forms[answer.id]] for answer in candidates}


def chain_of(conversation: Conversation, answer: Message) -> Iterator[Message]:
    """A rewrite, what it rewrites, and so on down to the first answer."""
    here: Message | None = answer
    while here is not None:
        yield here
        here = conversation.messages.get(here.edits) if here.edits else None


def _distance(conversation: Conversation, rewrite: Message) -> float:
    *_, first = chain_of(conversation, rewrite)
    return round(Levenshtein.normalized_distance(normal(first.content), normal(rewrite.content)), 6)
