"""Records as Arrow columns, built column by column and never through a dictionary a row: the hot path of an export.

Most columns are one attribute of a record or of one of its parts: ``_READ`` says which. Parts are tuples, so all their
columns come from one transposition, and each is copied into Arrow once. Prompts are shared objects, so a record costs
the same however long its conversation was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise, zip_longest
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from labeler.core.records import (
    SCHEMA_VERSION,
    Candidate,
    Demonstration,
    Grounds,
    MessageRow,
    PreferencePair,
    Prompt,
    UnpairedPreference,
)
from labeler.export.pseudonyms import Names, Pseudonyms
from labeler.export.schemas import CONFIGS, MESSAGES, TEXTS, schema
from labeler.export.views import CANONICAL
from labeler.ids import sha256_hex
from labeler.study import View

Record = PreferencePair | UnpairedPreference | Demonstration
Attributes = Mapping[str, str]
"""Columns, each with the attribute that fills it."""

_PROMPT: Attributes = {
    "conversation_id": "conversation_id",
    "prompt_key": "key",
    "group_key": "group_key",
    "language": "language",
    "prompt_has_edits": "has_edits",
    "prompt_models": "models",
}
_GROUNDS: Attributes = {
    name: name
    for name in (
        "source",
        "sources",
        "strength",
        "confidence",
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
_ORIGIN: Attributes = {
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
_ANSWER: Attributes = {"message_id": "message_id", **_ORIGIN}
_ITSELF = ""


def _prefixed(prefix: str, attributes: Attributes) -> Attributes:
    return {prefix + name: attribute for name, attribute in attributes.items()}


def _columns_of(config: str, *without: str) -> Attributes:
    return {column.name: column.name for column in CONFIGS[config] if column.name not in without}


_SINGLE = {"prompt": _PROMPT, "grounds": _GROUNDS, "completion": _ANSWER}
_READ: Mapping[str, Mapping[str, Attributes]] = {
    "dpo": {
        "prompt": _PROMPT,
        "grounds": _GROUNDS,
        "chosen": _prefixed("chosen_", _ANSWER),
        "rejected": _prefixed("rejected_", _ANSWER),
    },
    "kto": {**_SINGLE, _ITSELF: {"label": "label"}},
    "sft": _SINGLE,
    "votes": {_ITSELF: _columns_of("votes")},
    "comparisons": {_ITSELF: _columns_of("comparisons")},
    "messages": {
        _ITSELF: {"origin": "origin", **_columns_of("messages", "parent_id", *_ORIGIN)},
        "answer": {name: attribute for name, attribute in _ORIGIN.items() if name != "origin"},
    },
}
"""By config, the parts of a row (or the row itself) and the columns that are their attributes."""

_SIDES = {"dpo": ("chosen", "rejected"), "kto": ("completion",), "sft": ("completion",)}
_TYPES = {config: {column.name: column.type for column in columns} for config, columns in CONFIGS.items()}
_NO_ANSWER: Any = Candidate(*[None] * len(Candidate._fields))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a row says beside its record: the names of ids, the licence, the versions that made it; and its shape."""

    names: Pseudonyms
    license: str | None
    tool_version: str
    view: View = CANONICAL


def table_of(config: str, rows: Sequence[Any], terms: Terms) -> pa.Table:
    """The rows of one config, in the order given (see ``kto_order``), under its schema."""
    if not rows:
        return schema(config).empty_table()
    columns: dict[str, pa.Array] = {}
    for part, attributes in _READ[config].items():
        values = _transposed([getattr(row, part) or _NO_ANSWER for row in rows] if part else rows)
        for name, attribute in attributes.items():
            columns[name] = _array(_TYPES[config][name], values[attribute], _names_for(name, terms.names))
    if config == "messages":
        columns["parent_id"] = _parents(rows, terms.names)
    elif config in _SIDES:
        columns["n_annotators"] = pc.list_value_length(columns["annotator_ids"])
        columns |= _trained_on(config, rows, terms)
    return _table(config, columns)


def _transposed(tuples: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Named tuples as one sequence a field, which costs a fraction of reading them one by one."""
    return dict(zip(tuples[0]._fields, zip(*tuples, strict=True), strict=True))


def reward_table(pairs: pa.Table, rows: Sequence[PreferencePair], terms: Terms) -> pa.Table:
    """The rows of ``reward``: those of ``dpo`` with a margin, and with ids of their own."""
    columns = dict(zip(pairs.schema.names, pairs.columns, strict=True))
    columns["record_id"] = pa.array(record_ids("reward", rows, terms.names), pa.string())
    columns["margin"] = pa.array([margin(row.grounds) for row in rows], pa.float64())
    return _table("reward", columns)


def margin(grounds: Grounds) -> float:
    """By how many logits a reward model should prefer the chosen answer: a third of the strength."""
    assert grounds.strength is not None, "a pair always has a strength"
    return grounds.strength / 3


def _table(config: str, columns: Mapping[str, pa.Array]) -> pa.Table:
    shape = schema(config)
    return pa.Table.from_arrays([columns[name] for name in shape.names], schema=shape)


def _array(kind: pa.DataType, values: Sequence[Any], names: Names | None) -> pa.Array:
    """One column; ids become pseudonyms on the way."""
    if kind == TEXTS:
        return _lists(values, names)
    return pa.array(values if names is None else _named(values, names), kind)


def _named(ids: Sequence[str], names: Names) -> list[str]:
    found = list(map(names.get, ids))
    if None in found:
        names.learn(ids)
        return [names[one] for one in ids]
    return found  # type: ignore[return-value]


def _names_for(column: str, names: Pseudonyms) -> Names | None:
    if column.endswith(("event_id", "event_ids")):
        return names.events
    if column.endswith(("annotator_id", "annotator_ids")):
        return names.annotators
    if column.endswith(("message_id", "message_a", "message_b")):
        return names.messages
    return names.conversations if column == "conversation_id" else None


def _parents(rows: Sequence[MessageRow], names: Pseudonyms) -> pa.Array:
    messages = names.messages
    return pa.array([None if row.parent_id is None else messages[row.parent_id] for row in rows], pa.string())


def _trained_on(config: str, rows: Sequence[Any], terms: Terms) -> dict[str, pa.Array]:
    """What trainers read, and what is the data set's rather than the record's."""
    return {
        "prompt": _chats([row.prompt for row in rows]),
        **{side: _answers(list(map(attrgetter(side), rows))) for side in _SIDES[config]},
        "record_id": pa.array(record_ids(config, rows, terms.names), pa.string()),
        "license": pa.repeat(pa.scalar(terms.license, pa.string()), len(rows)),
        "schema_version": pa.repeat(pa.scalar(SCHEMA_VERSION, pa.int32()), len(rows)),
        "tool_version": pa.repeat(pa.scalar(terms.tool_version, pa.string()), len(rows)),
    }


def record_ids(config: str, rows: Sequence[Record], names: Pseudonyms) -> list[str]:
    """SHA-256 over the config and the published ids: the same fact has the same id in every export."""
    conversations, messages = names.conversations, names.messages
    return [
        sha256_hex(config, conversations[row.prompt.conversation_id], *[messages[one] for one in _answer_ids(row)])
        for row in rows
    ]


def _answer_ids(row: Record) -> tuple[str, ...]:
    if isinstance(row, PreferencePair):
        return row.chosen.message_id, row.rejected.message_id
    return (row.completion.message_id,)


def kto_order(rows: Sequence[UnpairedPreference], names: Pseudonyms) -> list[UnpairedPreference]:
    """By record id, which is a keyed hash, and never two neighbours of one prompt where that can be helped.

    KTO makes its mismatched pairs from neighbours in the order of the file: rows sorted by time, conversation or label,
    or siblings side by side, would spoil its estimate of the KL term.
    """
    ids = record_ids("kto", rows, names)
    ordered = [rows[place] for place in sorted(range(len(rows)), key=ids.__getitem__)]
    placed: list[UnpairedPreference] = []
    waiting: list[UnpairedPreference] = []
    for row in ordered:
        (waiting if placed and placed[-1].prompt.key == row.prompt.key else placed).append(row)
    _fill_in(placed, waiting)
    apart = all(one.prompt.key != other.prompt.key for one, other in pairwise(placed))
    return placed if apart else _alternating(ordered)


def _fill_in(placed: list[UnpairedPreference], waiting: Sequence[UnpairedPreference]) -> None:
    """Put each row at the first place where neither neighbour has its prompt; at the end if there is none.

    Before which place there is none for a prompt is remembered until another prompt comes before it: many people may
    have begun with the same words, and would otherwise be looked through again for every row.
    """
    keys = ["", *(row.prompt.key for row in placed)]
    none_before: dict[str, int] = {}
    for row in waiting:
        key = row.prompt.key
        start = none_before.get(key, 0)
        place = next((one for one in range(start, len(placed)) if key not in keys[one : one + 2]), len(placed))
        placed.insert(place, row)
        keys.insert(place + 1, key)
        none_before = {other: min(bound, place) for other, bound in none_before.items()}
        none_before[key] = place


def _alternating(ordered: list[UnpairedPreference]) -> list[UnpairedPreference]:
    """For few prompts with many rows: the most frequent prompt on every other place, and so on with the next ones."""
    counts = Counter(row.prompt.key for row in ordered)
    grouped = sorted(ordered, key=lambda row: (-counts[row.prompt.key], row.prompt.key))
    # Half and half; if one prompt has more than its half, its rows are the first of each two, and the rest follows.
    half = max(counts[grouped[0].prompt.key], (len(grouped) + 1) // 2)
    pairs = zip_longest(grouped[:half], grouped[half:])
    return [row for pair in pairs for row in pair if row is not None]


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
