"""From a conversation to records: the rules R1 to R30 of docs/rules.md as pure functions.

Derivation is local to one conversation and reads nothing but the events folded into it, where its annotators stand, and
the study's options.
"""

from __future__ import annotations

from labeler.core.conversation import Conversation
from labeler.core.records import Derived
from labeler.core.rules.facts import candidate_of, comparison_rows, last_comparisons, message_rows, vote_rows
from labeler.core.rules.options import Options
from labeler.core.standing import Standing

RULES_VERSION = 1

__all__ = ["RULES_VERSION", "Options", "derive"]


def derive(conversation: Conversation, standing: Standing, options: Options) -> Derived:
    """All records, raw rows and exclusions of one conversation."""
    derived = Derived()
    if standing.refusal(conversation.annotator_id) is not None:
        return derived
    answers = {one.id: candidate_of(one, None) for one in conversation.messages.values() if one.role == "assistant"}
    derived.messages.extend(message_rows(conversation, answers))
    derived.votes.extend(vote_rows(conversation, standing))
    derived.comparisons.extend(comparison_rows(conversation.id, last_comparisons(conversation, standing)))
    return derived
