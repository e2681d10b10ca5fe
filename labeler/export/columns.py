"""Records as Arrow columns, built column by column and never through a dictionary a row: the hot path of an export.

Most columns are one attribute of the record, read by a compiled getter and copied into Arrow once; ``_READ`` says
which. Prompts are shared objects, so a record costs the same however long its conversation was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import pyarrow as pa

from labeler.core.records import (
    SCHEMA_VERSION,
    Candidate,
    ComparisonRow,
    Demonstration,
    MessageRow,
    PreferencePair,
    Prompt,
    UnpairedPreference,
    VoteRow,
)
from labeler.export.pseudonyms import Names, Pseudonyms
from labeler.export.schemas import CONFIGS, MESSAGES, TEXTS, schema
from labeler.ids import sha256_hex

Record = PreferencePair | UnpairedPreference | Demonstration
Row = Record | VoteRow | ComparisonRow | MessageRow

_PROMPT_READ = {
    "conversation_id": "prompt.conversation_id",
    "prompt_key": "prompt.key",
    "group_key": "prompt.group_key",
    "language": "prompt.language",
    "prompt_has_edits": "prompt.has_edits",
    "prompt_models": "prompt.models",
}
_GROUNDS_READ = {
    name: f"grounds.{name}"
    for name in (
        "source",
        "sources",
        "strength",
        "confidence",
        "n_annotators",
        "annotator_ids",
        "agreement",
        "event_ids",
        "weight",
        "n_flips",
        "undone",
        "truncated",
        "consent",
        "created_at",
    )
}
_ANSWER_READ = {
    "message_id": "message_id",
    "model": "model",
    "model_revision": "model_revision",
    "origin": "origin",
    "sampling": "sampling_json",
    "finish_reason": "finish_reason",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "logprob_sum": "logprob_sum",
    "latency_ms": "latency_ms",
    "system_prompt_sha256": "system_prompt_sha256",
    "position": "position",
    "edit_distance": "edit_distance",
}


def _answer_read(prefix: str, attribute: str) -> dict[str, str]:
    return {prefix + name: f"{attribute}.{path}" for name, path in _ANSWER_READ.items()}


_RECORD_READ = _PROMPT_READ | _GROUNDS_READ
_PAIR_READ = _RECORD_READ | _answer_read("chosen_", "chosen") | _answer_read("rejected_", "rejected")
_SINGLE_READ = _RECORD_READ | _answer_read("", "completion")
_READ: Mapping[str, Mapping[str, str]] = {
    "dpo": _PAIR_READ,
    "reward": _PAIR_READ,
    "kto": _SINGLE_READ | {"label": "label"},
    "sft": _SINGLE_READ,
    "votes": {column.name: column.name for column in CONFIGS["votes"]},
    "comparisons": {column.name: column.name for column in CONFIGS["comparisons"]},
    "messages": {
        name: name for name in ("conversation_id", "message_id", "role", "content", "origin", "status", "created_at")
    },
}
"""The columns of each config that are one attribute of its rows. The others are worked out below."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a row says beside its record: the names of ids, the licence, and the versions that made it."""

    names: Pseudonyms
    license: str | None
    tool_version: str


def table_of(config: str, rows: Sequence[Any], terms: Terms) -> pa.Table:
    """The rows of one config, in the order given (see ``kto_order``), under its schema."""
    if config == "messages":
        columns = _message_columns(rows, terms.names)
    elif config in ("votes", "comparisons"):
        columns = {}
    else:
        columns = _record_columns(config, rows, terms)
    columns |= {name: _read(config, name, rows, terms.names) for name in _READ[config]}
    shape = schema(config)
    return pa.Table.from_arrays([columns[name] for name in shape.names], schema=shape)


def _read(config: str, name: str, rows: Sequence[Row], names: Pseudonyms) -> pa.Array:
    """A column that is one attribute of its rows; ids become pseudonyms on the way."""
    values = list(map(attrgetter(_READ[config][name]), rows))
    kind, known = _TYPES[config][name], _names_for(name, names)
    if kind == TEXTS:
        return _lists(values, known)
    return pa.array(values if known is None else _named(values, known), kind)


def _named(ids: Sequence[str], names: Names) -> list[str]:
    names.learn(ids)
    return list(map(names.__getitem__, ids))


_TYPES = {config: {column.name: column.type for column in columns} for config, columns in CONFIGS.items()}


def _names_for(column: str, names: Pseudonyms) -> Names | None:
    if column.endswith(("event_id", "event_ids")):
        return names.events
    if column.endswith(("annotator_id", "annotator_ids")):
        return names.annotators
    if column.endswith(("message_id", "message_a", "message_b")):
        return names.messages
    return names.conversations if column == "conversation_id" else None


def _message_columns(rows: Sequence[MessageRow], names: Pseudonyms) -> dict[str, pa.Array]:
    """What a message has that may be missing: the one before it, and the origin of an answer."""
    messages, answers = names.messages, [row.answer for row in rows]
    columns = {
        name: pa.array([getattr(answer, path, None) for answer in answers], _TYPES["messages"][name])
        for name, path in _ANSWER_READ.items()
        if name not in _READ["messages"]
    }
    parents = [None if row.parent_id is None else messages[row.parent_id] for row in rows]
    return columns | {"parent_id": pa.array(parents, pa.string())}


def _record_columns(config: str, rows: Sequence[Any], terms: Terms) -> dict[str, pa.Array]:
    """What trainers read, and what is the data set's rather than the record's."""
    columns = {
        "prompt": _chats([row.prompt for row in rows]),
        "record_id": pa.array(record_ids(config, rows, terms.names), pa.string()),
        "license": pa.array([terms.license] * len(rows), pa.string()),
        "schema_version": pa.array([SCHEMA_VERSION] * len(rows), pa.int32()),
        "tool_version": pa.array([terms.tool_version] * len(rows), pa.string()),
    }
    for side in _SIDES[config]:
        columns[side] = _answers(list(map(attrgetter(side), rows)))
    if config == "reward":
        columns["margin"] = pa.array([row.grounds.strength / 3 for row in rows], pa.float64())
    return columns


_SIDES = {
    "dpo": ("chosen", "rejected"),
    "reward": ("chosen", "rejected"),
    "kto": ("completion",),
    "sft": ("completion",),
}


def record_ids(config: str, rows: Sequence[Record], names: Pseudonyms) -> list[str]:
    """SHA-256 over the config and the published ids: the same fact has the same id in every export."""
    conversations, messages = names.conversations, names.messages
    sides: list[Callable[[Any], Candidate]] = [attrgetter(side) for side in _SIDES[config]]
    return [
        sha256_hex(
            config,
            conversations[row.prompt.conversation_id],
            *[messages[side(row).message_id] for side in sides],
        )
        for row in rows
    ]


def kto_order(rows: Sequence[UnpairedPreference], names: Pseudonyms) -> list[UnpairedPreference]:
    """By record id, which is a keyed hash, and never two neighbours of one prompt where that can be helped.

    KTO makes its mismatched pairs from neighbours in the order of the file: rows sorted by time, conversation or label,
    or siblings side by side, would spoil its estimate of the KL term.
    """
    ids = record_ids("kto", rows, names)
    placed: list[UnpairedPreference] = []
    waiting: list[UnpairedPreference] = []
    for index in sorted(range(len(rows)), key=ids.__getitem__):
        row = rows[index]
        (waiting if placed and placed[-1].prompt.key == row.prompt.key else placed).append(row)
    for row in waiting:
        placed.insert(_gap(placed, row.prompt.key), row)
    return placed


def _gap(placed: Sequence[UnpairedPreference], key: str) -> int:
    """The first place where neither neighbour has this prompt; the end if there is none."""
    keys = ["", *(row.prompt.key for row in placed), ""]
    return next((place for place in range(len(placed)) if key not in keys[place : place + 2]), len(placed))


def _lists(values: Sequence[Sequence[str]], names: Names | None) -> pa.Array:
    flat = list(chain.from_iterable(values))
    texts = pa.array(flat if names is None else _named(flat, names), pa.string())
    return pa.ListArray.from_arrays(_offsets(values), texts, type=TEXTS)


def _chats(prompts: Sequence[Prompt]) -> pa.Array:
    chats = [prompt.messages for prompt in prompts]
    flat = list(chain.from_iterable(chats))
    return _messages(_offsets(chats), [each["role"] for each in flat], [each["content"] for each in flat])


def _answers(answers: Sequence[Candidate]) -> pa.Array:
    """One assistant message a row."""
    offsets = pa.array(range(len(answers) + 1), pa.int32())
    return _messages(offsets, ["assistant"] * len(answers), [answer.content for answer in answers])


def _messages(offsets: pa.Array, roles: Sequence[str], contents: Sequence[str]) -> pa.Array:
    parts = [pa.array(roles, pa.string()), pa.array(contents, pa.string())]
    structs = pa.StructArray.from_arrays(parts, fields=list(MESSAGES.value_type))
    return pa.ListArray.from_arrays(offsets, structs, type=MESSAGES)


def _offsets(values: Sequence[Sequence[Any]]) -> pa.Array:
    return pa.array(list(accumulate(map(len, values), initial=0)), pa.int32())
