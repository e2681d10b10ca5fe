"""What derivation yields: trainer-ready records, raw rows, and the ledger of what was left out.

Ids here are the log's own. The exporter replaces them by pseudonyms, hashes record ids over the published ones, and
adds what is the data set's rather than the record's (its licence, for one). Objects are shared: every record under one
message holds the same ``Prompt``, and an answer is one ``Candidate`` wherever it stands, unless a comparison showed it
at a known place.

They are named tuples, where the rest of the core has frozen dataclasses: an export makes a dozen of them for every
message, and a frozen dataclass takes six times as long to make.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from labeler.core.conversation import Role
from labeler.core.events import Status, Winner
from labeler.core.text import ChatMessage, Split

SCHEMA_VERSION = 1
Position = Literal["only", "first", "second", "left", "right"]

PLACES: dict[str, tuple[Position, Position]] = {
    "a_first": ("first", "second"),
    "b_first": ("second", "first"),
    "a_left": ("left", "right"),
    "b_left": ("right", "left"),
}
"""How the two answers of a comparison were shown, ``a`` before ``b``, by the comparison's own word for it."""


class Candidate(NamedTuple):
    """An answer as data: its text and where it comes from. What only a model has is ``None`` for a person's text.

    ``position`` says how the answer was shown when it was compared, ``only`` when it was not. ``edit_distance`` is
    what a rewrite changed of the answer that it goes back to, between 0 and 1, and ``None`` for a model's answer.
    """

    message_id: str
    content: str
    model: str | None
    model_revision: str | None
    origin: str
    sampling_json: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: int | None
    system_prompt_sha256: str | None
    logprob_sum: float | None = None
    position: Position = "only"
    edit_distance: float | None = None


class Prompt(NamedTuple):
    """All that the records under one user message have in common.

    ``messages`` is what a trainer sees: system prompt by policy, roles alternating, ending with the user. ``key`` finds
    equal prompts across conversations, ``group_key`` equal openers, and ``split`` follows from the group.
    """

    conversation_id: str
    parent_id: str
    messages: list[ChatMessage]
    key: str
    group_key: str
    split: Split
    language: str | None
    has_edits: bool
    models: tuple[str, ...]


class Grounds(NamedTuple):
    """Why a record is there, and how far to trust it.

    ``source`` is the rule that makes the record (the strongest one), ``sources`` every rule that made or shaped it, in
    the order of the rule book. ``annotator_ids`` are all who judged, sorted; ``agreement`` is the share of them that
    the record follows. ``event_ids`` are the gestures it rests on, in the order of the log; ``created_at`` is the day
    of the last one. ``consent`` names the consent versions of everybody whose words or judgement the record holds.
    """

    source: str
    sources: tuple[str, ...]
    strength: int | None
    confidence: float
    annotator_ids: tuple[str, ...]
    agreement: float
    event_ids: tuple[str, ...]
    created_at: str
    consent: str | None
    weight: float = 1.0
    n_flips: int = 0
    undone: bool = False
    truncated: bool = False

    @property
    def n_annotators(self) -> int:
        return len(self.annotator_ids)


class PreferencePair(NamedTuple):
    """Two answers to one prompt, the better one chosen: a row of ``dpo`` and of ``reward``. ``strength`` is 1 to 3."""

    prompt: Prompt
    chosen: Candidate
    rejected: Candidate
    grounds: Grounds


class UnpairedPreference(NamedTuple):
    """One answer found good or bad: a row of ``kto``."""

    prompt: Prompt
    completion: Candidate
    label: bool
    grounds: Grounds


class Demonstration(NamedTuple):
    """An answer worth imitating: a row of ``sft``."""

    prompt: Prompt
    completion: Candidate
    grounds: Grounds


class VoteRow(NamedTuple):
    """An annotator's last word on an answer; 0 when they took it back. Reasons are those given for this very vote."""

    event_id: str
    conversation_id: str
    message_id: str
    annotator_id: str
    vote: int
    reasons: tuple[str, ...]
    comment: str
    created_at: str


class ComparisonRow(NamedTuple):
    """An annotator's last word on two answers, ties included."""

    event_id: str
    conversation_id: str
    message_a: str
    message_b: str
    winner: Winner
    strength: int
    position: str
    reasons: tuple[str, ...]
    comment: str
    annotator_id: str
    created_at: str


class MessageRow(NamedTuple):
    """A node of the tree. ``answer`` holds the candidate columns, ``None`` for the annotator's own messages.

    ``status`` is ``failed`` for a reply that was started and never finished.
    """

    conversation_id: str
    message_id: str
    parent_id: str | None
    role: Role
    content: str
    origin: str
    status: Status
    created_at: str
    answer: Candidate | None


class Exclusion(NamedTuple):
    """Something that might have become a record and did not: which answers, by which rule, for which reason."""

    candidates: tuple[str, ...]
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Derived:
    """Everything one conversation yields. The order of each list follows from the log alone.

    ``redacted`` counts what a redactor found, by kind.
    """

    pairs: list[PreferencePair] = field(default_factory=list)
    unpaired: list[UnpairedPreference] = field(default_factory=list)
    demonstrations: list[Demonstration] = field(default_factory=list)
    votes: list[VoteRow] = field(default_factory=list)
    comparisons: list[ComparisonRow] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    ledger: list[Exclusion] = field(default_factory=list)
    redacted: Counter[str] = field(default_factory=Counter)

    @property
    def excluded(self) -> Counter[str]:
        """How often each reason stands in the ledger."""
        return Counter(exclusion.reason for exclusion in self.ledger)
