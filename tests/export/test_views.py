"""Every view is the same data: the same rows under the same ids, and nothing of a chat is lost or made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.text import ChatMessage
from labeler.errors import PackageError
from labeler.export.exporter import export
from labeler.export.manifest import MANIFEST_PATH
from labeler.export.proof import verify_package
from labeler.export.schemas import CONFIGS, MESSAGES, TRAINER_CONFIGS
from labeler.export.views import (
    CANONICAL,
    DATASET_INFO_PATH,
    PURPOSES,
    VIEWS,
    chats_of,
    columns_of,
    dataset_info_json,
    text_problem,
    view_schema,
    viewed,
)
from labeler.study import View
from tests.export import KEY, every_row, files_of, judged, manifest_of, open_store, rows_of, study_of, tell

OTHERS = tuple(view for view in VIEWS if view != CANONICAL)
USER = {"role": "user", "content": "Another prompt?"}
ANSWER = {"role": "assistant", "content": "No."}
CHATS = ("prompt", "chosen", "rejected", "completion", "label", "messages")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One log in every view; with a system prompt, edits, several turns."""
    folder = tmp_path_factory.mktemp("views")
    with tell(open_store(folder), *(judged(number) for number in range(6))) as store:
        return {view: export(store, in_view(view), folder / view, key=KEY).package for view in VIEWS}


def in_view(view: str) -> Any:
    return study_of(dataset={"view": view})


# ── packages ──


@pytest.mark.parametrize("view", VIEWS)
def test_a_package_in_any_view_is_sound_and_says_which_it_is(packages: dict[str, Path], view: View) -> None:
    proven = verify_package(packages[view])
    assert proven.problems == ()
    assert proven.manifest.view == view
    assert proven.rows > 0


@pytest.mark.parametrize("view", OTHERS)
def test_whatever_no_trainer_reads_is_the_same_in_every_view(packages: dict[str, Path], view: View) -> None:
    def rest(package: Path) -> list[tuple[str, str, dict[str, Any]]]:
        return [
            (config, split, {name: value for name, value in row.items() if name not in CHATS})
            for config, split, row in every_row(package)
        ]

    assert rest(packages[view]) == rest(packages[CANONICAL])


@pytest.mark.parametrize("view", ["implicit", "llamafactory"])
@pytest.mark.parametrize("config", TRAINER_CONFIGS)
def test_chats_come_back_as_they_were(packages: dict[str, Path], view: View, config: str) -> None:
    found = [chats_of(config, row, view) for row in rows_of(packages[view], config)]
    assert found == [chats_of(config, row, CANONICAL) for row in rows_of(packages[CANONICAL], config)]
    assert found


@pytest.mark.parametrize("config", TRAINER_CONFIGS)
def test_texts_are_transcripts(packages: dict[str, Path], config: str) -> None:
    marks = {"system": "System", "user": "Human", "assistant": "Assistant"}
    for text, chat in zip(rows_of(packages["text"], config), rows_of(packages[CANONICAL], config), strict=True):
        turns = "".join(f"\n\n{marks[turn['role']]}: {turn['content']}" for turn in chat["prompt"])
        assert text["prompt"] == f"{turns}\n\nAssistant:"
        for side in ("chosen", "rejected", "completion"):
            if side in chat:
                assert text[side] == f" {chat[side][0]['content']}"
        assert text.get("label") == chat.get("label")


@pytest.mark.parametrize("view", VIEWS)
def test_datasets_loads_it_by_config(packages: dict[str, Path], view: View, tmp_path: Path) -> None:
    for config in CONFIGS:
        loaded = load_dataset(str(packages[view]), config, cache_dir=str(tmp_path))
        assert {name: rows.num_rows for name, rows in loaded.items()} == manifest_of(packages[view]).totals[config]
        assert all(rows.column_names == view_schema(config, view).names for rows in loaded.values())


@pytest.mark.parametrize("view", OTHERS)
def test_the_card_says_for_whom_the_view_is(packages: dict[str, Path], view: View) -> None:
    assert f"`{view}`: {PURPOSES[view]}" in (packages[view] / "README.md").read_text()
    assert "Rows are in the form" not in (packages[CANONICAL] / "README.md").read_text()


def test_an_export_into_the_folder_of_another_view_writes_every_shard_anew(tmp_path: Path) -> None:
    with tell(open_store(tmp_path), *(judged(number) for number in range(4))) as store:
        export(store, in_view("text"), tmp_path / "p", key=KEY)
        result = export(store, in_view("llamafactory"), tmp_path / "p", key=KEY)
        assert result.shards_unchanged == 0
        once = files_of(export(store, in_view("llamafactory"), tmp_path / "q", key=KEY).package)
        assert files_of(tmp_path / "p") == once
        export(store, in_view("trl"), tmp_path / "p", key=KEY)
    assert not (tmp_path / "p" / DATASET_INFO_PATH).exists()


def test_a_view_is_exported_incrementally_too(tmp_path: Path) -> None:
    with tell(open_store(tmp_path), *(judged(number) for number in range(8))) as store:
        export(store, in_view("implicit"), tmp_path / "p", key=KEY)
        tell(store, judged(9))
        again = export(store, in_view("implicit"), tmp_path / "p", key=KEY)
        assert (again.shards_written, again.shards_unchanged) == (1, 2)
        assert files_of(tmp_path / "p") == files_of(export(store, in_view("implicit"), tmp_path / "q", key=KEY).package)


@pytest.mark.parametrize(
    ("view", "column", "value", "problem"),
    [
        ("implicit", "rejected", [USER, ANSWER], "prompt"),
        ("llamafactory", "chosen", USER, "chosen is not one assistant message"),
        ("text", "prompt", "\n\nHuman: no turn for the assistant", "does not end where the assistant's turn begins"),
        ("text", "rejected", " ", "an answer is empty"),
    ],
)
def test_a_row_that_breaks_its_views_law_is_found(
    packages: dict[str, Path], tmp_path: Path, view: str, column: str, value: Any, problem: str
) -> None:
    package = tmp_path / "p"
    for path, content in files_of(packages[view]).items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_bytes(content)
    shard = next((package / "dpo").glob("train-*.parquet"))
    table = pq.read_table(shard)
    place = table.schema.get_field_index(column)
    values = [value, *table.column(column).to_pylist()[1:]]
    pq.write_table(
        table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type)), shard
    )
    _restate(package, shard)
    assert any(problem in line for line in verify_package(package).problems)


def _restate(package: Path, shard: Path) -> None:
    """Have the manifest agree with the file's new bytes, so that only its rows are wrong."""
    import hashlib  # noqa: PLC0415 - only here

    tree = json.loads((package / MANIFEST_PATH).read_text())
    content = shard.read_bytes()
    for file in tree["files"]:
        if file["path"] == shard.relative_to(package).as_posix():
            file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (package / MANIFEST_PATH).write_text(json.dumps(tree))


def test_a_view_that_nobody_knows_is_one_line(packages: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "_export").mkdir()
    text = (packages["text"] / MANIFEST_PATH).read_text().replace('"view": "text"', '"view": "hologram"')
    (tmp_path / MANIFEST_PATH).write_text(text)
    with pytest.raises(PackageError, match="'hologram' is no view"):
        verify_package(tmp_path)


# ── any chat ──

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@st.composite
def chats(draw: st.DrawFn) -> list[ChatMessage]:
    """A prompt: an optional system message, and turns up to the user's last one."""
    system = [ChatMessage(role="system", content=draw(TEXTS))] if draw(st.booleans()) else []
    turns = draw(st.integers(0, 3))
    talk = [ChatMessage(role=role, content=draw(TEXTS)) for _ in range(turns) for role in ("user", "assistant")]  # type: ignore[arg-type]
    return [*system, *talk, ChatMessage(role="user", content=draw(TEXTS))]


def _answer(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="assistant", content=text)]


@given(st.lists(st.tuples(chats(), TEXTS, TEXTS), max_size=5), st.sampled_from(["implicit", "llamafactory"]))
def test_no_chat_is_lost_whatever_it_says(rows: list[Any], view: View) -> None:
    for config, names in (("dpo", ("chosen", "rejected")), ("sft", ("completion",))):
        wanted = [
            {"prompt": prompt, **{name: _answer(text) for name, text in zip(names, answers, strict=False)}}
            for prompt, *answers in rows
        ]
        found = viewed(config, _table(config, wanted), view).to_pylist()
        assert [chats_of(config, row, view) for row in found] == wanted


@given(chats(), TEXTS, TEXTS)
def test_text_laws_are_kept_by_what_a_view_makes(prompt: list[ChatMessage], chosen: str, rejected: str) -> None:
    row = {"prompt": prompt, "chosen": _answer(f"a{chosen}"), "rejected": _answer(f"b{rejected}")}
    (found,) = viewed("dpo", _table("dpo", [row]), "text").to_pylist()
    assert text_problem(found) is None
    assert found["prompt"].count("\n\n") >= len(prompt)


def _table(config: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of the canonical form, of which only the chats matter; cut from a longer table, as a slice would be."""
    fields = [column.field for column in CONFIGS[config]]
    blank = {"string": "", "int32": 0, "double": 0.0, "bool": False}
    columns = [
        pa.array([[], *(row[field.name] for row in rows)], MESSAGES)
        if field.type == MESSAGES
        else pa.array([blank.get(str(field.type), [])] * (len(rows) + 1), field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields)).slice(1)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("config", CONFIGS)
def test_rows_or_none_have_the_schema_of_their_view(view: View, config: str) -> None:
    empty = viewed(config, pa.schema([column.field for column in CONFIGS[config]]).empty_table(), view)
    assert empty.schema.names == view_schema(config, view).names
    assert empty.schema.types == view_schema(config, view).types


@pytest.mark.parametrize("view", OTHERS)
def test_a_view_never_takes_a_column_that_is_there_for_another_purpose(view: View) -> None:
    for config in TRAINER_CONFIGS:
        names = [column.name for column in columns_of(config, view)]
        assert len(set(names)) == len(names)
        kept = {column.name for column in CONFIGS[config]} - {"prompt", "chosen", "rejected", "completion"}
        assert kept <= set(names)


# ── LLaMA-Factory's list ──


def test_the_list_names_every_config_and_split_here_and_on_the_hub() -> None:
    found = json.loads(
        dataset_info_json("tried", {"dpo": ["train", "test"], "kto": ["train"], "votes": ["train"]}, "o/n")
    )
    assert list(found) == [
        "tried_dpo", "tried_dpo_test", "tried_kto", "tried_dpo_hub", "tried_dpo_test_hub", "tried_kto_hub"
    ]  # fmt: skip
    assert found["tried_dpo_test"]["script_url"] == "."
    assert found["tried_kto_hub"]["hf_hub_url"] == "o/n"
    assert "script_url" not in found["tried_kto_hub"]


def test_the_list_stands_in_that_view_only(packages: dict[str, Path]) -> None:
    assert [view for view in VIEWS if (packages[view] / DATASET_INFO_PATH).exists()] == ["llamafactory"]
