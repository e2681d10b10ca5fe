"""The rule book: every rule with its confidence and default, and every reason for leaving something out.

``docs/rules.md`` is this book in prose; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """``confidence`` is a prior, to be estimated anew in each deployment; ``option`` names the study option that turns
    the rule on, and is empty when it is always on."""

    id: str
    pattern: str
    confidence: float | None = None
    option: str = ""


_BOOK = (
    Rule("R1", "an answer was rewritten", 0.9),
    Rule("R2", "a like stands", 0.8),
    Rule("R2s", "a like stands: also a demonstration", 0.6, "sft_from_likes"),
    Rule("R3", "a dislike stands", 0.8),
    Rule("R4", "one annotator liked one sibling and disliked another", 0.9),
    Rule("R4x", "the same by two annotators, neither vote contested", 0.6),
    Rule("R5", "a retry was continued from", 0.4, "implicit"),
    Rule("R5b", "after a retry the conversation went on from an older answer", 0.4, "implicit"),
    Rule("R5c", "a retry and then nothing"),
    Rule("R6", "the last of several retries was continued from", 0.4, "implicit"),
    Rule("R7", "a retry and then an explicit judgement: the implicit pair is dropped"),
    Rule("R8", "an answer was liked and rewritten by the same annotator", 0.7),
    Rule("R9", "an answer was disliked and rewritten by the same annotator", 0.95),
    Rule("R10", "a rewrite was liked", option="kto_liked_edits"),
    Rule("R10b", "a rewrite was disliked by its own author"),
    Rule("R11", "a rewrite was rewritten: only the last one counts, against the first answer", 0.9),
    Rule("R12", "a rewrite was taken back"),
    Rule("R13", "a vote was withdrawn: as if never cast"),
    Rule("R14", "a vote was flipped: the last one counts, with less confidence"),
    Rule("R15", "a turn was undone: no judgement of its answer"),
    Rule("R16", "a liked answer was undone: half the confidence, and never a demonstration"),
    Rule("R17", "a message of one's own was rewritten: another prompt, never a pair across the two"),
    Rule("R18", "the chat was cleared: no judgement"),
    Rule("R19", "the conversation was left: what nobody judged yields nothing"),
    Rule("R20", "an answer was stopped midway", option="kto_truncated"),
    Rule("R21", "a reply failed, was refused, is empty or never ended: never a candidate"),
    Rule("R22", "two answers were compared and one is better", 0.9),
    Rule("R23", "two answers were compared: a tie"),
    Rule("R24", "two answers were compared: both good (0.6) or both bad (0.7)"),
    Rule("R25", "annotators disagree about an answer: a majority of two thirds from three votes on, else nothing"),
    Rule("R26", "annotators disagree about a pair: a majority of two thirds from three judgements on, else nothing"),
    Rule("R27", "one record from several rules or annotators"),
    Rule("R28", "siblings with the same text are one answer"),
    Rule("R29", "gold conversations are for measuring annotators"),
    Rule("R30", "consent is missing or withdrawn, the annotator is excluded, or the events were erased"),
    Rule("R31", "what reviewers disagreed about was adjudicated: that counts, and nothing else about it", 0.95),
    Rule("R32", "a reviewer flagged an answer: nothing is made of it until it is adjudicated"),
)

RULES = {rule.id: rule for rule in _BOOK}
_PLACE = {rule.id: place for place, rule in enumerate(_BOOK)}

# reason -> (the rule that gives it, what it says). The split, the preflight and what the study asks of a record are no
# rules of this book but laws over all of them.
REASONS = {
    "no_feedback": ("R19", "nobody judged the answer, or every vote on it was withdrawn"),
    "answer_failed": ("R21", "the reply failed or never ended"),
    "answer_refused": ("R21", "the provider refused to answer"),
    "answer_empty": ("R21", "the answer has no text"),
    "prompt_empty": ("R21", "a record under a message without text, which no trainer takes"),
    "answer_stopped": ("R20", "the answer was stopped midway, so it is never chosen and never a demonstration"),
    "rejected_truncated": ("R20", "a pair whose rejected side was stopped midway"),
    "truncated": ("R20", "a dislike of a stopped answer, and `kto_truncated` is off"),
    "edit_unchanged": ("R1", "a rewrite that changed nothing but white space"),
    "edit_tiny": ("R1", "a pair that differs by less than 2 %; the rewrite is still a demonstration"),
    "edit_disliked": ("R10b", "a rewrite that its own author disliked"),
    "edit_superseded": ("R11", "a rewrite that was rewritten"),
    "edit_reverted": ("R12", "a rewrite that was changed back to the first text"),
    "edit_undone": ("R12", "a rewrite whose turn was undone"),
    "off_policy": ("R10", "a vote on a person's text, which no model wrote; likes count with `kto_liked_edits`"),
    "too_many_flips": ("R14", "a vote that was flipped three times or more"),
    "misclick": ("R16", "a like whose turn was undone within seconds, with nothing between"),
    "undone": ("R16", "a demonstration whose liked answer was undone"),
    "implicit_off": ("R5", "a pair implied by a retry, and `implicit` is off"),
    "explicit_beats_implicit": ("R7", "a pair implied by a retry, where somebody also judged explicitly"),
    "tie": ("R23", "a comparison without a winner"),
    "contested_votes": ("R25", "annotators disagree about an answer"),
    "contested_pair": ("R26", "annotators disagree about a pair"),
    "self_contradiction": (
        "R26",
        "one annotator said two things of the same two answers: a comparison against their own votes or rewrite",
    ),
    "over_pair_limit": ("R4", "a pair beyond `max_pairs_per_prompt`"),
    "same_text": ("R28", "another copy of a sibling's text, or a pair of two copies"),
    "different_prompts": ("R17", "a comparison of answers to different prompts"),
    "adjudicated_void": ("R31", "an answer or a pair of which nothing is to be made, as was adjudicated"),
    "flagged": ("R32", "an answer that a reviewer flagged (unsafe, personal data, broken)"),
    "gold": ("R29", "an answer of a gold conversation"),
    "consent_missing": ("R30", "the annotator never accepted the consent text"),
    "consent_withdrawn": ("R30", "the annotator withdrew consent"),
    "annotator_excluded": ("R30", "the annotator is excluded"),
    "erased": ("R30", "a conversation of which something was erased, or all of it"),
    "too_few_annotators": ("study", "a record that fewer than `min_annotators` judged"),
    "low_agreement": ("study", "a record that less than `min_agreement` of its judges agree with"),
    "personal_data": ("redaction", "a text with personal data or a secret in it, which the study does not publish"),
    "split_conflict": ("split", "a record of a branch whose opener belongs to the other split"),
    "malformed": ("preflight", "a record that breaks a law of the trainers, such as an answer that ends in `▌`"),
    "unreadable": ("preflight", "a conversation whose events contradict each other; `labeler verify` names it"),
}


def confidence_of(rule_id: str) -> float:
    """The prior of a rule that makes records."""
    confidence = RULES[rule_id].confidence
    if confidence is None:
        raise ValueError(f"{rule_id} makes no record of its own")
    return confidence


def in_book_order(rule_ids: Sequence[str]) -> tuple[str, ...]:
    """The rules, each once, in the order of the book."""
    if len(rule_ids) == 1:
        return (rule_ids[0],)
    return tuple(sorted(set(rule_ids), key=_PLACE.__getitem__))


def place_of(rule_id: str) -> int:
    return _PLACE[rule_id]
