"""The columns of every config: one explicit schema each, fixed in code and never inferred from rows.

A column may join (with a new ``SCHEMA_VERSION``, so that every shard is written again), none ever changes its type.
Whatever has no fixed form is a JSON text. Names that a trainer reads for itself are taken by nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from labeler.core.records import SCHEMA_VERSION

MESSAGES = pa.list_(
    pa.struct([pa.field("role", pa.string(), nullable=False), pa.field("content", pa.string(), nullable=False)])
)
TEXTS = pa.list_(pa.string())
ATTACHED_NOTE = "[attach](attach.md) for `client_copy:`"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is called, its Arrow type, what it means, and whether it may be null."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False

    @property
    def field(self) -> pa.Field:
        return pa.field(self.name, self.type, nullable=self.nullable)


def _candidate(prefix: str, of: str) -> tuple[Column, ...]:
    """The columns that say where an answer comes from; null where only a model's answer has a value."""
    return (
        Column(f"{prefix}message_id", pa.string(), f"Pseudonym of {of}, as in `messages`."),
        *_provenance(prefix, of),
    )


def _provenance(prefix: str, of: str) -> tuple[Column, ...]:
    text, whole, real = pa.string(), pa.int32(), pa.float64()
    users = ", `user` for the annotator's own" if of == "the message" else ""
    return (
        Column(f"{prefix}model", text, f"Name of the model that wrote {of}.", nullable=True),
        Column(f"{prefix}model_revision", text, "Its revision, where the endpoint tells.", nullable=True),
        Column(f"{prefix}origin", text, f"Who wrote {of}: `model` or `human_edit`{users}; see {ATTACHED_NOTE}."),
        Column(f"{prefix}sampling", text, "JSON: temperature, top_p, max_tokens, stop, seed.", nullable=True),
        Column(f"{prefix}finish_reason", text, "Why generation ended: `stop`, `length`, ...", nullable=True),
        Column(f"{prefix}prompt_tokens", whole, "Tokens of the prompt, as the server counted.", nullable=True),
        Column(f"{prefix}completion_tokens", whole, "Tokens of the answer, as the server counted.", nullable=True),
        Column(f"{prefix}logprob_sum", real, "Sum of token log-probabilities, where known.", nullable=True),
        Column(f"{prefix}latency_ms", whole, "Milliseconds from request to last token.", nullable=True),
        Column(f"{prefix}system_prompt_sha256", text, "SHA-256 of the system prompt in force.", nullable=True),
        Column(
            f"{prefix}position", text, "How it was shown: `only`, `first`, `second`, `left`, `right`.", nullable=True
        ),
        Column(f"{prefix}edit_distance", real, "Share of the text a rewrite changed, 0 to 1.", nullable=True),
    )


RECORD_ID = Column("record_id", pa.string(), "SHA-256 of the config and the row's pseudonyms: unique, stable.")

GROUNDS = (
    Column("conversation_id", pa.string(), "Pseudonym of the conversation."),
    Column("prompt_key", pa.string(), "SHA-256 of the prompt: equal prompts meet across conversations."),
    Column("group_key", pa.string(), "SHA-256 of the opener in its normal form: what decides the split."),
    Column("source", pa.string(), "The rule that makes the row (docs/rules.md)."),
    Column("sources", TEXTS, "Every rule that made or shaped it."),
    Column("strength", pa.int32(), "How much better, 1 to 3; null where nothing is compared.", nullable=True),
    Column("confidence", pa.float64(), "How far to trust the row, 0 to 1: a prior, not an estimate."),
    Column("n_annotators", pa.int32(), "How many people judged."),
    Column("annotator_ids", TEXTS, "Their pseudonyms."),
    Column("agreement", pa.float64(), "Share of them that the row follows."),
    Column("event_ids", TEXTS, "Pseudonyms of the gestures it rests on, in the order of the log."),
    Column("weight", pa.float64(), "1 / number of pairs that one prompt's votes gave, else 1."),
    Column("n_flips", pa.int32(), "How often the judgement was turned round."),
    Column("undone", pa.bool_(), "The turn was undone after it was judged."),
    Column("truncated", pa.bool_(), "The answer was stopped midway."),
    Column("language", pa.string(), "The conversation's language, where it is known.", nullable=True),
    Column("prompt_has_edits", pa.bool_(), "An answer inside the prompt was rewritten by a person."),
    Column("prompt_models", TEXTS, "The models whose answers stand inside the prompt."),
    Column("consent", pa.string(), "Consent versions of everybody in the row.", nullable=True),
    Column("license", pa.string(), "The data set's licence.", nullable=True),
    Column("created_at", pa.string(), "Day of the last gesture, `YYYY-MM-DD` in UTC."),
    Column("schema_version", pa.int32(), "Version of these columns."),
    Column("tool_version", pa.string(), "Versions of the rules and columns that made the row."),
)

_PROMPT = Column("prompt", MESSAGES, "Messages up to and with the user's last one.")
_CHOSEN = Column("chosen", MESSAGES, "The better answer, one message.")
_REJECTED = Column("rejected", MESSAGES, "The other answer, one message.")
_COMPLETION = Column("completion", MESSAGES, "The answer, one message.")
_PAIR = (
    RECORD_ID,
    *GROUNDS,
    *_candidate("chosen_", "the chosen answer"),
    *_candidate("rejected_", "the rejected answer"),
)
_SINGLE = (RECORD_ID, *GROUNDS, *_candidate("", "the answer"))

CONFIGS: MappingProxyType[str, tuple[Column, ...]] = MappingProxyType(
    {
        "dpo": (_PROMPT, _CHOSEN, _REJECTED, *_PAIR),
        "reward": (
            _PROMPT,
            _CHOSEN,
            _REJECTED,
            Column("margin", pa.float64(), "strength / 3: by how many logits chosen should win."),
            *_PAIR,
        ),
        "kto": (
            _PROMPT,
            _COMPLETION,
            Column("label", pa.bool_(), "True: found good. False: found bad."),
            *_SINGLE,
        ),
        "sft": (_PROMPT, _COMPLETION, *_SINGLE),
        "votes": (
            Column("event_id", pa.string(), "Pseudonym of the vote."),
            Column("conversation_id", pa.string(), "Pseudonym of the conversation."),
            Column("message_id", pa.string(), "Pseudonym of the answer."),
            Column("annotator_id", pa.string(), "Pseudonym of the annotator."),
            Column("vote", pa.int32(), "Their last word: 1 like, -1 dislike, 0 withdrawn."),
            Column("reasons", TEXTS, "The reasons they ticked for this vote."),
            Column("comment", pa.string(), "What they added in words; empty if nothing."),
            Column("created_at", pa.string(), "Day of the vote, `YYYY-MM-DD` in UTC."),
        ),
        "comparisons": (
            Column("event_id", pa.string(), "Pseudonym of the comparison."),
            Column("conversation_id", pa.string(), "Pseudonym of the conversation."),
            Column("message_a", pa.string(), "Pseudonym of one answer; after a retry the one that showed."),
            Column("message_b", pa.string(), "Pseudonym of the other; after a retry the new one."),
            Column("winner", pa.string(), "`a`, `b`, `tie`, `both_good` or `both_bad`."),
            Column("strength", pa.int32(), "How much better, 1 to 3; 0 for ties."),
            Column("position", pa.string(), "How they were shown: `a_first`, `b_first`, `a_left`, `b_left`."),
            Column("reasons", TEXTS, "The reasons the annotator ticked."),
            Column("comment", pa.string(), "What they added in words; empty if nothing."),
            Column("annotator_id", pa.string(), "Pseudonym of the annotator."),
            Column("created_at", pa.string(), "Day of the comparison, `YYYY-MM-DD` in UTC."),
        ),
        "messages": (
            Column("conversation_id", pa.string(), "Pseudonym of the conversation."),
            Column("message_id", pa.string(), "Pseudonym of the message."),
            Column("parent_id", pa.string(), "Pseudonym of the one before; null for an opener.", nullable=True),
            Column("role", pa.string(), "`user` or `assistant`."),
            Column("content", pa.string(), "The text exactly as typed, or as the annotator saw it."),
            Column("status", pa.string(), "`complete`, `stopped` or `failed`."),
            Column("created_at", pa.string(), "Day of the message, `YYYY-MM-DD` in UTC."),
            *_provenance("", "the message"),
        ),
    }
)
"""Every config of a package and its columns, in the order in which they are written."""

SPLITS = ("train", "test")
TRAINER_CONFIGS = ("dpo", "reward", "kto", "sft")
DEFAULT_CONFIG = "dpo"


def schema(config: str) -> pa.Schema:
    """The Arrow schema of a config. Its version travels in the parquet file's own metadata."""
    fields = [column.field for column in CONFIGS[config]]
    return pa.schema(fields, metadata={"schema_version": str(SCHEMA_VERSION)})


def key_column(shape: pa.Schema) -> str:
    """What tells the rows of a config from each other: a record's id, a vote's or a comparison's, a message's."""
    return next(name for name in ("record_id", "event_id", "message_id") if name in shape.names)
