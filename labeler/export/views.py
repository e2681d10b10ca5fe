"""Views: the same rows in the shape that another trainer reads. Pure functions of the canonical form, table by table.

A view changes what trainers read (prompt, answers, label) and leaves every other column as it is, so ids, rules and
provenance are the same in all of them. Configs that no trainer reads are the same, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc

from labeler.errors import PackageError
from labeler.export.schemas import CONFIGS, MESSAGES, TRAINER_CONFIGS, Column, schema
from labeler.study import View

VIEWS: tuple[View, ...] = get_args(View)
CANONICAL: View = "trl"

PURPOSES: Mapping[View, str] = {
    "trl": "messages, prompt and answers apart: what trl's trainers, OpenRLHF and Unsloth read",
    "implicit": "whole conversations in `chosen`, `rejected` and `messages`: what torchtune reads",
    "llamafactory": "`messages`, and one message each in `chosen` and `rejected`: what LLaMA-Factory reads, through the"
    " `dataset_info.json` beside this card",
    "text": "plain texts, turns marked as in hh-rlhf: what verl's reward model trainer reads",
}

DATASET_INFO_PATH = "dataset_info.json"

# The marks of hh-rlhf, which trainers of plain texts know best.
_MARKS = {"system": "\n\nSystem: ", "user": "\n\nHuman: ", "assistant": "\n\nAssistant: "}
_TURN = "\n\nAssistant:"

_Table = dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What one config becomes: the columns in the place of the trainers' own, and how they are filled from those."""

    columns: tuple[Column, ...]
    fill: Callable[[_Table], _Table]


def columns_of(config: str, view: View = CANONICAL) -> tuple[Column, ...]:
    """The columns of a config in a view."""
    shape = _SHAPES.get((view, config))
    if shape is None:
        return CONFIGS[config]
    return (*shape.columns, *(column for column in CONFIGS[config] if column.name not in _TRAINED_ON))


def view_schema(config: str, view: View = CANONICAL) -> pa.Schema:
    """The Arrow schema of a config in a view."""
    fields = [column.field for column in columns_of(config, view)]
    return pa.schema(fields, metadata=schema(config).metadata)


def viewed(config: str, table: pa.Table, view: View) -> pa.Table:
    """Rows of the canonical form, in a view."""
    shape = _SHAPES.get((view, config))
    if shape is None:
        return table
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    columns |= shape.fill(columns)
    wanted = view_schema(config, view)
    return pa.Table.from_arrays([columns[name] for name in wanted.names], schema=wanted)


def known_view(name: str) -> View:
    """
    Raises:
        PackageError: there is no such view.
    """
    for view in VIEWS:
        if view == name:
            return view
    raise PackageError(f"'{name}' is no view that this labeler knows ({', '.join(VIEWS)}); update labeler")


def chats_of(config: str, row: Mapping[str, Any], view: View) -> dict[str, Any]:
    """Prompt and answers of a trainer's row as the canonical form has them. Plain texts cannot be taken apart."""
    assert view != "text", "where a turn ends cannot be told in a plain text"
    if view == CANONICAL:
        return {name: row[name] for name in ("prompt", "chosen", "rejected", "completion") if name in row}
    if config in ("kto", "sft"):
        return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}
    if view == "implicit":
        prompt, other = row["chosen"][:-1], row["rejected"][:-1]
        return {
            "prompt": prompt if prompt == other else [],
            "chosen": row["chosen"][-1:],
            "rejected": row["rejected"][-1:],
        }
    return {"prompt": row["messages"], "chosen": [row["chosen"]], "rejected": [row["rejected"]]}


def text_problem(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a row of plain texts."""
    if not row["prompt"].endswith(_TURN):
        return "the prompt does not end where the assistant's turn begins"
    answers = [row[name] for name in ("chosen", "rejected", "completion") if name in row]
    if not all(answer.strip() for answer in answers):
        return "an answer is empty"
    return "chosen is rejected" if "chosen" in row and row["chosen"] == row["rejected"] else None


# ── the shapes ──


def _whole(columns: _Table, side: str) -> pa.Array:
    """The prompt and one answer behind it, as one conversation a row."""
    prompts, answers = columns["prompt"], columns[side]
    messages = pa.concat_arrays([prompts.flatten(), answers.flatten()])
    rows = pa.concat_arrays([pc.list_parent_indices(prompts), pc.list_parent_indices(answers)])
    # A prompt's messages come before the answers' in the line, so that their places, too, are in the right order.
    places = pa.table({"row": rows, "place": pa.array(range(len(messages)), pa.int64())})
    order = pc.sort_indices(places, [("row", "ascending"), ("place", "ascending")])
    lengths = pc.add(pc.list_value_length(prompts), pc.list_value_length(answers))
    return _lists(messages.take(order), lengths, MESSAGES)


def _transcript(prompts: pa.Array) -> pa.Array:
    """Each prompt as one text that ends where the assistant's turn begins."""
    messages = prompts.flatten()
    marks = messages.field("role")
    for role, mark in _MARKS.items():
        marks = pc.if_else(pc.equal(messages.field("role"), role), mark, marks)
    turns = pc.binary_join_element_wise(marks, messages.field("content"), "")
    joined = pc.binary_join(_lists(turns, pc.list_value_length(prompts), pa.list_(pa.string())), "")
    return pc.binary_join_element_wise(joined, _TURN, "")


def _text(answers: pa.Array) -> pa.Array:
    """Each answer as it follows a transcript."""
    return pc.binary_join_element_wise(" ", answers.flatten().field("content"), "")


def _lists(flat: pa.Array, lengths: pa.Array, kind: pa.DataType) -> pa.Array:
    ends = pc.cast(pc.cumulative_sum(lengths), pa.int32())
    return pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), ends]), flat, type=kind)


_MESSAGE = MESSAGES.value_type
_LABEL = next(column for column in CONFIGS["kto"] if column.name == "label")
_TRAINED_ON = ("prompt", "chosen", "rejected", "completion", "label")
_CONVERSATION = Column("messages", MESSAGES, "The prompt and the answer, as one conversation.")

_CONVERSATIONS = _Shape((_CONVERSATION,), lambda columns: {"messages": _whole(columns, "completion")})
_JUDGED = _Shape((_CONVERSATION, _LABEL), _CONVERSATIONS.fill)
_WHOLE_PAIR = _Shape(
    (
        Column("chosen", MESSAGES, "The whole conversation with the better answer."),
        Column("rejected", MESSAGES, "The whole conversation with the other answer."),
    ),
    lambda columns: {side: _whole(columns, side) for side in ("chosen", "rejected")},
)
_RANKED_PAIR = _Shape(
    (
        Column("messages", MESSAGES, "The prompt: messages up to and with the user's last one."),
        Column("chosen", _MESSAGE, "The better answer, a message."),
        Column("rejected", _MESSAGE, "The other answer, a message."),
    ),
    lambda columns: {
        "messages": columns["prompt"],
        **{side: columns[side].flatten() for side in ("chosen", "rejected")},
    },
)
_PROMPT_TEXT = Column("prompt", pa.string(), "The prompt as a transcript, up to the assistant's turn.")
_TEXT_PAIR = _Shape(
    (
        _PROMPT_TEXT,
        Column("chosen", pa.string(), "The better answer, behind a space."),
        Column("rejected", pa.string(), "The other answer, behind a space."),
    ),
    lambda columns: {
        "prompt": _transcript(columns["prompt"]),
        **{side: _text(columns[side]) for side in ("chosen", "rejected")},
    },
)
_COMPLETION_TEXT = Column("completion", pa.string(), "The answer, behind a space.")


def _text_single(columns: _Table) -> _Table:
    return {"prompt": _transcript(columns["prompt"]), "completion": _text(columns["completion"])}


_SHAPES: Mapping[tuple[View, str], _Shape] = {
    ("implicit", "dpo"): _WHOLE_PAIR,
    ("implicit", "reward"): _WHOLE_PAIR,
    ("implicit", "kto"): _JUDGED,
    ("implicit", "sft"): _CONVERSATIONS,
    ("llamafactory", "dpo"): _RANKED_PAIR,
    ("llamafactory", "reward"): _RANKED_PAIR,
    ("llamafactory", "kto"): _JUDGED,
    ("llamafactory", "sft"): _CONVERSATIONS,
    ("text", "dpo"): _TEXT_PAIR,
    ("text", "reward"): _TEXT_PAIR,
    ("text", "kto"): _Shape((_PROMPT_TEXT, _COMPLETION_TEXT, _LABEL), _text_single),
    # verl reads demonstrations as messages, other trainers of plain texts do not: both are here.
    ("text", "sft"): _Shape(
        (_PROMPT_TEXT, _COMPLETION_TEXT, _CONVERSATION),
        lambda columns: _text_single(columns) | _CONVERSATIONS.fill(columns),
    ),
}


# ── beside the rows ──


def dataset_info_json(study: str, splits: Mapping[str, Iterable[str]], repo: str | None) -> str:
    """LLaMA-Factory's list of data sets: one for each config and split with rows, which ``splits`` names.

    ``NAME`` is read from the folder that ``dataset_dir`` names, ``NAME_hub`` from the repo, if there is one.
    """
    places = {"": {"script_url": "."}, **({"_hub": {"hf_hub_url": repo}} if repo else {})}
    entries = {
        "_".join((study, config, *([split] if split != "train" else []))) + suffix: {
            **place,
            "subset": config,
            "split": split,
            "formatting": "sharegpt",
            **_reading(config),
        }
        for suffix, place in places.items()
        for config in TRAINER_CONFIGS
        for split in splits.get(config, ())
    }
    return json.dumps(entries, ensure_ascii=False, indent=2) + "\n"


def _reading(config: str) -> dict[str, Any]:
    ranked = config in ("dpo", "reward")
    columns = {"messages": "messages"}
    if ranked:
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    if config == "kto":
        columns["kto_tag"] = "label"
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    return {**({"ranking": True} if ranked else {}), "columns": columns, "tags": {**tags, "system_tag": "system"}}
