"""The raw side: one row a fact, whatever the rules make of it. Every message that a row names has a row."""

from __future__ import annotations

from collections.abc import Container

import orjson

from labeler.core.conversation import ATTACHED, ComparisonFact, Conversation, Message, ReasonFact, VoteFact
from labeler.core.records import Candidate, ComparisonRow, MessageRow, VoteRow
from labeler.core.standing import Standing

# What stands before the origin of a text that was never on this server: the client's copy of it.
CLIENT_COPY = "client_copy:"


def message_rows(
    conversation: Conversation, barred: Container[str], candidates: dict[str, Candidate]
) -> list[MessageRow]:
    """Every node, in the order of the log. ``candidates`` holds the answers among them."""
    return [
        MessageRow(
            conversation.id,
            message.id,
            message.parent_id,
            message.role,
            message.content,
            origin_of(conversation, message),
            message.status or "failed",
            message.at[:10],
            candidates.get(message.id),
        )
        for message in conversation.messages.values()
        if message.id not in barred
    ]


def vote_rows(conversation: Conversation, standing: Standing, barred: Container[str]) -> list[VoteRow]:
    """The last word of each annotator on each answer, in the order of those words."""
    if not conversation.votes:
        return []
    last = {(fact.message_id, fact.annotator_id): fact for fact in conversation.votes}
    reasons = {(fact.message_id, fact.annotator_id): fact for fact in conversation.reasons}
    return [
        _vote_row(conversation.id, fact, reasons.get(key))
        for key, fact in sorted(last.items(), key=lambda entry: entry[1].seq)
        if fact.message_id not in barred and standing.refusal(fact.annotator_id) is None
    ]


def _vote_row(conversation_id: str, fact: VoteFact, reason: ReasonFact | None) -> VoteRow:
    given = reason if reason is not None and reason.seq > fact.seq else None
    return VoteRow(
        fact.event_id,
        conversation_id,
        fact.message_id,
        fact.annotator_id,
        fact.vote,
        given.reasons if given else (),
        given.comment if given else "",
        fact.at[:10],
    )


def last_comparisons(conversation: Conversation, standing: Standing) -> list[ComparisonFact]:
    """The last word of each annotator on each pair of answers, withdrawals included, in the order of those words."""
    if not conversation.comparisons:
        return []
    last = {(fact.pair, fact.annotator_id): fact for fact in conversation.comparisons}
    facts = [fact for fact in last.values() if standing.refusal(fact.annotator_id) is None]
    return sorted(facts, key=lambda fact: fact.seq)


def comparison_rows(conversation_id: str, facts: list[ComparisonFact], barred: Container[str]) -> list[ComparisonRow]:
    """The comparisons that stand; what was withdrawn has no row."""
    return [
        ComparisonRow(
            fact.event_id,
            conversation_id,
            fact.message_a,
            fact.message_b,
            compared.winner,
            compared.strength,
            compared.position,
            compared.reasons,
            compared.comment,
            fact.annotator_id,
            fact.at[:10],
        )
        for fact in facts
        if (compared := fact.compared) is not None and fact.message_a not in barred and fact.message_b not in barred
    ]


def origin_of(conversation: Conversation, message: Message) -> str:
    """Who wrote a message, and that only a foreign page's browser says so, if that is where its text is from."""
    return CLIENT_COPY + message.origin if conversation.mode == ATTACHED else message.origin


def candidate_of(conversation: Conversation, message: Message, edit_distance: float | None) -> Candidate:
    """An answer's candidate columns."""
    started, finished = message.started, message.finished
    return Candidate(
        message.id,
        message.content,
        started.model_id if started else None,
        started.model_revision if started else None,
        origin_of(conversation, message),
        orjson.dumps(started.sampling, option=orjson.OPT_SORT_KEYS).decode() if started else None,
        finished.finish_reason if finished else None,
        finished.prompt_tokens if finished else None,
        finished.completion_tokens if finished else None,
        finished.latency_ms if finished else None,
        started.system_prompt_sha256 if started else None,
        None,
        "only",
        edit_distance,
    )
