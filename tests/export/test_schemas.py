"""The columns are a contract with trainers, and docs/dataset.md says what they are."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Features, Value

from labeler.export.schemas import CONFIGS, MESSAGES, TRAINER_CONFIGS, schema

DOCS = Path(__file__).parents[2] / "docs" / "dataset.md"

# What trainers read for themselves (trl 1.16): a metadata column of such a name would be trained on, or crash.
RESERVED = """
    prompt chosen rejected completion messages label text conversations tools chat_template_kwargs image images margin
    reference input_ids attention_mask labels completion_mask assistant_masks seq_lengths position_ids prompt_ids
    chosen_ids rejected_ids completion_ids KL_completion_ids chosen_input_ids rejected_input_ids
"""
READ_BY_TRAINERS = {
    "dpo": {"prompt", "chosen", "rejected"},
    "reward": {"prompt", "chosen", "rejected", "margin"},
    "kto": {"prompt", "completion", "label"},
    "sft": {"prompt", "completion"},
}


@pytest.mark.parametrize("config", TRAINER_CONFIGS)
def test_trainers_find_their_columns_and_no_metadata_under_a_reserved_name(config: str) -> None:
    names = set(schema(config).names)
    assert names & set(RESERVED.split()) == READ_BY_TRAINERS[config]
    assert not [name for name in names if name.startswith("ref_")]


@pytest.mark.parametrize("config", TRAINER_CONFIGS)
def test_messages_are_lists_of_role_and_content_and_nothing_else(config: str) -> None:
    shape = schema(config)
    for name in {"prompt", "chosen", "rejected", "completion"} & set(shape.names):
        assert shape.field(name).type == MESSAGES
    assert str(MESSAGES) == "list<item: struct<role: string not null, content: string not null>>"


def test_label_is_bool_and_margin_is_a_number_and_neither_is_ever_null() -> None:
    assert schema("kto").field("label") == pa.field("label", pa.bool_(), nullable=False)
    assert schema("reward").field("margin") == pa.field("margin", pa.float64(), nullable=False)


@pytest.mark.parametrize("config", CONFIGS)
def test_only_types_that_every_reader_knows_are_used_and_never_the_null_type(config: str) -> None:
    known = {"string", "int32", "double", "bool", "list<item: string>", str(MESSAGES)}
    assert {str(field.type) for field in schema(config)} <= known


@pytest.mark.parametrize("config", CONFIGS)
def test_no_column_stands_twice_in_a_config(config: str) -> None:
    names = [column.name for column in CONFIGS[config]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("config", CONFIGS)
def test_the_schema_version_travels_in_the_schema(config: str) -> None:
    assert schema(config).metadata == {b"schema_version": b"1"}


def test_reward_has_the_columns_of_dpo_and_the_margin() -> None:
    assert set(schema("reward").names) == {*schema("dpo").names, "margin"}


def test_dataset_features_say_the_same_as_the_schema() -> None:
    features = Features.from_arrow_schema(schema("kto"))
    assert features["label"] == Value("bool")
    assert list(features) == schema("kto").names


@pytest.mark.parametrize("config", CONFIGS)
def test_the_docs_list_every_column_with_its_type_and_meaning(config: str) -> None:
    section = DOCS.read_text(encoding="utf-8").partition(f"\n## {config}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", section, re.M)
    expected = [(one.name, spelled(one.type, one.nullable), one.meaning) for one in CONFIGS[config]]
    assert [(name, kind, meaning.replace("\\|", "|")) for name, kind, meaning in listed] == expected


def spelled(kind: pa.DataType, nullable: bool) -> str:
    names = {str(MESSAGES): "messages", "list<item: string>": "list of string", "double": "float64"}
    return names.get(str(kind), str(kind)) + (" or null" if nullable else "")
