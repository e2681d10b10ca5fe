"""A package proves itself, and damage of every kind is found and named."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import get_dataset_config_names, load_dataset
from datasets.packaged_modules.parquet.parquet import Parquet

from labeler.core.laws import prompt_problem
from labeler.errors import PackageError
from labeler.export.manifest import MANIFEST_PATH, ShardFile
from labeler.export.proof import verify_package
from labeler.export.schemas import CONFIGS, TRAINER_CONFIGS, schema
from labeler.export.shards import WRITER_OPTIONS
from tests.export import exported, manifest_of, open_store, simulated, study_of


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proof")
    study = study_of(dataset={"conversations_per_shard": 25}, system_prompt="Be kind.", rules={"sft_from_likes": True})
    with open_store(folder) as store:
        return exported(simulated(store, 60, study), study, folder / "out").package


@pytest.fixture
def package(sound: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "out"))


def problems_of(package: Path) -> str:
    return "\n".join(verify_package(package).problems)


def file_of(package: Path, config: str) -> ShardFile:
    return next(file for file in manifest_of(package).files if file.config == config)


def forge(package: Path, config: str, change: Callable[[pa.Table], pa.Table]) -> ShardFile:
    """Change rows and let the manifest agree on the bytes: only what the rows say can be found."""
    manifest, file = manifest_of(package), file_of(package, config)
    changed = change(pq.read_table(package / file.path))
    pq.write_table(changed, package / file.path, **WRITER_OPTIONS)
    content = (package / file.path).read_bytes()
    forged = replace(file, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    files = tuple(forged if one == file else one for one in manifest.files)
    (package / MANIFEST_PATH).write_text(replace(manifest, files=files).to_json())
    return forged


def with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    place = table.schema.names.index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


# ── a sound package ──


def test_a_fresh_export_has_no_problems(sound: Path) -> None:
    proof = verify_package(sound)
    assert proof.problems == ()
    assert proof.rows == sum(file.rows for file in proof.manifest.files) > 0


def test_progress_is_told_in_rows(sound: Path) -> None:
    seen: list[int] = []
    proof = verify_package(sound, report=seen.append)
    assert sum(seen) == proof.rows


@pytest.mark.parametrize("config", CONFIGS)
def test_datasets_loads_every_config_from_the_folder_with_its_rows_and_types(
    sound: Path, tmp_path: Path, config: str
) -> None:
    loaded = load_dataset(str(sound), config, cache_dir=str(tmp_path))
    assert {split: rows.num_rows for split, rows in loaded.items()} == manifest_of(sound).totals[config]
    assert loaded["train"].column_names == schema(config).names
    assert list(get_dataset_config_names(str(sound))) == list(CONFIGS)


def test_the_default_config_is_dpo(sound: Path, tmp_path: Path) -> None:
    assert "chosen" in load_dataset(str(sound), split="train", cache_dir=str(tmp_path)).column_names


def test_loaded_messages_have_role_and_content_only(sound: Path, tmp_path: Path) -> None:
    rows = load_dataset(str(sound), "dpo", split="train", cache_dir=str(tmp_path))
    for row in rows:
        for message in (*row["prompt"], *row["chosen"], *row["rejected"]):
            assert list(message) == ["role", "content"]
    assert json.loads(rows[0]["chosen_sampling"] or "{}") is not None


# ── damage ──


def test_a_folder_without_a_package_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds no package"):
        verify_package(tmp_path / "nothing")


def test_a_missing_file_is_found(package: Path) -> None:
    file = file_of(package, "dpo")
    (package / file.path).unlink()
    assert f"{file.path}: cannot be read (No such file or directory)" in problems_of(package)


def test_a_file_cut_short_is_found(package: Path) -> None:
    file = file_of(package, "votes")
    (package / file.path).write_bytes((package / file.path).read_bytes()[:-1])
    assert f"{file.path}: has {file.bytes - 1:,} bytes, the manifest says {file.bytes:,}" in problems_of(package)


def test_one_flipped_bit_is_found(package: Path) -> None:
    file = file_of(package, "messages")
    content = bytearray((package / file.path).read_bytes())
    content[len(content) // 2] ^= 1
    (package / file.path).write_bytes(content)
    assert f"{file.path}: has other content than the manifest says" in problems_of(package)


@pytest.mark.parametrize("name", ["train-00077-0123456789ab.parquet", "train-copy.parquet"])
def test_a_shard_that_the_manifest_does_not_name_is_found(package: Path, name: str) -> None:
    file = file_of(package, "kto")
    shutil.copyfile(package / file.path, package / "kto" / name)
    assert f"kto/{name}: the manifest does not name it" in problems_of(package)


def test_rows_that_were_exchanged_are_found_even_if_the_bytes_agree(package: Path) -> None:
    file = forge(package, "votes", lambda table: with_column(table, "vote", [1] * table.num_rows))
    assert f"{file.path}: its rows are not those that the manifest states" in problems_of(package)


def test_a_column_of_another_type_is_found(package: Path) -> None:
    file = forge(package, "kto", lambda table: table.set_column(2, "label", pa.array([1] * table.num_rows, pa.int32())))
    assert f"{file.path}: its columns are not those of kto" in problems_of(package)


@pytest.mark.parametrize(
    ("config", "column", "value", "problem"),
    [
        ("dpo", "chosen", [{"role": "assistant", "content": " "}], "chosen is not one assistant message with a text"),
        (
            "kto",
            "completion",
            [{"role": "user", "content": "x"}],
            "completion is not one assistant message with a text",
        ),
        ("sft", "prompt", [], "roles do not alternate"),
        ("sft", "prompt", [{"role": "assistant", "content": "x"}], "roles do not alternate"),
        ("reward", "margin", 9.0, "margin is not strength / 3"),
        ("dpo", "record_id", "0" * 64, "stands twice"),
    ],
)
def test_rows_that_break_a_law_are_found(package: Path, config: str, column: str, value: Any, problem: str) -> None:
    def change(table: pa.Table) -> pa.Table:
        return with_column(table, column, [value] * table.num_rows)

    forge(package, config, change)
    assert problem in problems_of(package)


def test_a_pair_of_equal_sides_is_found(package: Path) -> None:
    forge(package, "dpo", lambda table: with_column(table, "rejected", table["chosen"].to_pylist()))
    assert "chosen is rejected" in problems_of(package)


def test_an_opener_in_both_splits_is_found(package: Path) -> None:
    files = [file for file in manifest_of(package).files if file.config == "dpo" and file.split == "train"]
    key = pq.read_table(package / files[0].path)["group_key"][0].as_py()
    forge(package, "dpo", lambda table: with_column(table, "group_key", [key] * table.num_rows))
    assert file_of(package, "dpo").split == "test"
    assert "its opener is in both splits" in problems_of(package)


def test_a_card_that_loaders_cannot_use_is_found(package: Path) -> None:
    card = (package / "README.md").read_text()
    (package / "README.md").write_text(card.replace("path: sft/train-*.parquet", "path: sft/nothing-*.parquet"))
    assert "sft: load_dataset fails" in problems_of(package)


def test_a_failure_to_load_is_said_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[logging.LogRecord] = []
    library = logging.getLogger("datasets")
    monkeypatch.setattr(library, "callHandlers", logged.append)
    monkeypatch.setattr(logging.getLogger(Parquet.__module__), "callHandlers", logged.append)
    level = library.level
    card = (package / "README.md").read_text()
    (package / "README.md").write_text(card.replace("path: dpo/train-*", "path: kto/train-*"))
    assert "dpo: load_dataset fails" in problems_of(package)
    assert (logged, library.level) == ([], level)


def test_nothing_is_read_ahead_any_more_when_a_proof_ends(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    generate = Parquet._generate_tables

    def watched(*arguments: Any, **named: Any) -> Iterator[Any]:
        ended.append(False)
        place = len(ended) - 1
        yield from generate(*arguments, **named)
        ended[place] = True

    monkeypatch.setattr(Parquet, "_generate_tables", watched)
    assert verify_package(package).problems == ()
    assert ended
    assert all(ended)


def test_a_card_that_leaves_a_split_out_is_found(package: Path) -> None:
    card = (package / "README.md").read_text()
    (package / "README.md").write_text(card.replace("  - split: test\n    path: kto/test-*.parquet\n", ""))
    assert "kto: load_dataset finds the splits ['train']" in problems_of(package)


def test_a_config_that_nobody_knows_is_found(package: Path) -> None:
    manifest, file = manifest_of(package), file_of(package, "sft")
    path = file.path.replace("sft/", "other/")
    (package / "other").mkdir()
    shutil.copyfile(package / file.path, package / path)
    files = (*manifest.files, replace(file, config="other", path=path))
    totals = {**manifest.totals, "other": {file.split: file.rows}}
    (package / MANIFEST_PATH).write_text(replace(manifest, files=files, totals=totals).to_json())
    assert "no config of this labeler is called 'other'" in problems_of(package)


@pytest.mark.parametrize(
    ("roles", "sound"),
    [
        ("user", True),
        ("system user", True),
        ("user assistant user", True),
        ("system user assistant user", True),
        ("", False),
        ("system", False),
        ("assistant", False),
        ("user assistant", False),
        ("user user", False),
        ("user system user", False),
        ("tool user", False),
    ],
)
def test_a_prompt_alternates_and_ends_with_the_user(roles: str, sound: bool) -> None:
    prompt = [{"role": role, "content": "text"} for role in roles.split()]
    assert (prompt_problem(prompt) is None) == sound


def test_an_empty_message_in_a_prompt_is_a_problem() -> None:
    assert prompt_problem([{"role": "user", "content": " \n"}]) == "its prompt holds an empty message"


@pytest.mark.parametrize("config", TRAINER_CONFIGS)
def test_a_simulated_log_yields_rows_in_every_trainer_config(sound: Path, config: str) -> None:
    assert manifest_of(sound).totals[config]["train"] > 0
