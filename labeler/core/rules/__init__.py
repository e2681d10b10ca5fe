"""From a conversation to records: the rules R1 to R30 of docs/rules.md as pure functions.

Derivation is local to one conversation and reads nothing but the events folded into it, where its annotators stand, and
the study's options.
"""

from __future__ import annotations

from labeler.core.conversation import Conversation, Message
from labeler.core.records import Candidate, Derived, Exclusion, Grounds
from labeler.core.reviewing import GOLD
from labeler.core.rules.assembly import Assembly
from labeler.core.rules.book import REASONS, RULES, Rule
from labeler.core.rules.facts import candidate_of, comparison_rows, message_rows, vote_rows
from labeler.core.rules.findings import findings_of, open_turn
from labeler.core.rules.options import Options
from labeler.core.rules.prompts import Prompts
from labeler.core.rules.reading import Reading, Turn, read
from labeler.core.standing import Standing

RULES_VERSION = 2

__all__ = ["REASONS", "RULES", "RULES_VERSION", "Options", "Rule", "derive"]


def derive(conversation: Conversation, standing: Standing, options: Options) -> Derived:
    """All records, raw rows and exclusions of one conversation."""
    turns = _turns(conversation)
    refusal = _refusal(conversation, standing)
    if refusal is not None:
        everything = (answer.id for answers in turns.values() for answer in answers)
        return Derived(ledger=[Exclusion((one,), REASONS[refusal][0], refusal) for one in everything])
    reading = read(conversation, standing, options)
    candidates = {
        answer.id: candidate_of(conversation, answer, reading.distances.get(answer.id))
        for answers in turns.values()
        for answer in answers
    }
    derived = Derived(
        votes=vote_rows(conversation, standing, reading.barred),
        comparisons=comparison_rows(conversation.id, reading.comparisons, reading.barred),
        messages=message_rows(conversation, reading.barred, candidates),
        ledger=reading.ledger,
    )
    _add_records(reading, turns, candidates, derived)
    return derived


def _refusal(conversation: Conversation, standing: Standing) -> str | None:
    """Why nothing of the conversation may be exported (R29, R30)."""
    if conversation.mode == GOLD:
        return "gold"
    return standing.refusal(conversation.annotator_id)


def _turns(conversation: Conversation) -> dict[str, list[Message]]:
    """The answers to each message, in the order in which they came."""
    turns: dict[str, list[Message]] = {}
    for message in conversation.messages.values():
        if message.role == "assistant":
            turns.setdefault(message.parent_id or "", []).append(message)
    return turns


def _add_records(
    reading: Reading, turns: dict[str, list[Message]], candidates: dict[str, Candidate], derived: Derived
) -> None:
    if not turns:
        return
    judged = _judged(reading)
    assembly = Assembly(reading, Prompts(reading.conversation, reading.options), candidates, derived)
    opened = [open_turn(reading, answers) for answers in turns.values()]
    for turn in opened:
        if any(answer.id in judged or answer.origin != "model" or answer.retries for answer in turn.answers):
            assembly.add(turn, findings_of(reading, turn))
    _drop_doubtful(reading, derived)
    covered = _covered(derived)
    for turn in opened:
        for answer in turn.answers:
            if answer.id not in covered:
                reading.leave_out(_reason(turn, answer), answer.id)


def _drop_doubtful(reading: Reading, derived: Derived) -> None:
    """What too few judged, or too few of them agree with, is left out if the study says so; what was ruled is not."""
    least, agreement = reading.options.min_annotators, reading.options.min_agreement
    if least <= 1 and not agreement:
        return

    def stands(grounds: Grounds, *candidates: str) -> bool:
        if "R31" in grounds.sources:
            return True
        if grounds.n_annotators < least:
            reading.leave_out("too_few_annotators", *candidates)
        elif grounds.agreement < agreement:
            reading.leave_out("low_agreement", *candidates)
        else:
            return True
        return False

    derived.pairs[:] = [
        one for one in derived.pairs if stands(one.grounds, one.chosen.message_id, one.rejected.message_id)
    ]
    derived.unpaired[:] = [one for one in derived.unpaired if stands(one.grounds, one.completion.message_id)]
    kept = [one for one in derived.demonstrations if stands(one.grounds, one.completion.message_id)]
    derived.demonstrations[:] = kept


def _judged(reading: Reading) -> set[str]:
    """The answers with a vote or a comparison that stands."""
    compared = (one for fact in (*reading.comparisons, *reading.heard) for one in (fact.message_a, fact.message_b))
    return {*(message_id for message_id, runs in reading.runs.items() if runs), *compared}


def _covered(derived: Derived) -> set[str]:
    """The answers that stand in a record or in the ledger."""
    covered = {one for exclusion in derived.ledger for one in exclusion.candidates}
    covered.update(one.message_id for pair in derived.pairs for one in (pair.chosen, pair.rejected))
    covered.update(record.completion.message_id for record in derived.unpaired)
    covered.update(record.completion.message_id for record in derived.demonstrations)
    return covered


def _reason(turn: Turn, answer: Message) -> str:
    """Why an answer that no rule took up is in no record."""
    if answer.id in turn.fates:
        return turn.fates[answer.id]
    if any(other.edits == answer.id for other in turn.answers) and answer.origin == "human_edit":
        return "edit_superseded"
    return "same_text" if turn.texts.get(answer.id, answer.id) != answer.id else "no_feedback"
