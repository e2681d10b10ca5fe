"""The manifest is one text for one package, is read strictly, and two of them say what a push must change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.errors import NewerPackage, PackageError
from labeler.export.manifest import Manifest, ShardFile, diff, same_rows


def shard(config: str = "dpo", split: str = "train", number: int = 0, rows: str = "a", sha: str = "1") -> ShardFile:
    digest = rows * 64
    path = f"{config}/{split}-{number:05d}-{digest[:12]}.parquet"
    return ShardFile(path, config, split, number, 3, 100, sha * 64, digest)


def manifest(*files: ShardFile, **changes: Any) -> Manifest:
    totals: dict[str, dict[str, int]] = {}
    for file in files:
        splits = totals.setdefault(file.config, {})
        splits[file.split] = splits.get(file.split, 0) + file.rows
    whole = Manifest(
        source_id="log-1",
        study="colours",
        position=7,
        rules_version=1,
        options_digest="0abc",
        pyarrow="26.0.1",
        conversations_per_shard=2000,
        files=tuple(sorted(files, key=lambda file: file.path)),
        excluded={"split_conflict": 2, "identical_text": 1},
        totals=totals,
    )
    return replace(whole, **changes)


FULL = manifest(shard(), shard(number=1), shard("votes"), shard(split="test"))
SHARDS = st.builds(
    shard,
    config=st.sampled_from(["dpo", "votes"]),
    split=st.sampled_from(["train", "test"]),
    number=st.integers(0, 2),
    rows=st.sampled_from("abc"),
    sha=st.sampled_from("12"),
)
MANIFESTS = st.lists(SHARDS, max_size=8, unique_by=lambda file: file.key).map(lambda files: manifest(*files))


def tree_of(whole: Manifest) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(whole.to_json())
    return tree


# ── text ──


@given(MANIFESTS)
def test_a_manifest_is_what_its_text_says(whole: Manifest) -> None:
    assert Manifest.from_json(whole.to_json()) == whole


def test_the_order_in_which_things_are_named_does_not_show_in_the_text() -> None:
    shuffled = replace(
        FULL,
        files=tuple(reversed(FULL.files)),
        excluded=dict(reversed(FULL.excluded.items())),
        totals=dict(reversed(FULL.totals.items())),
    )
    assert shuffled.to_json() == FULL.to_json()
    assert Manifest.from_json(shuffled.to_json()).to_json() == FULL.to_json()


def test_each_file_has_a_line_of_its_own_so_that_changes_read_well() -> None:
    lines = FULL.to_json().splitlines()
    assert sum('"path"' in line for line in lines) == len(FULL.files)
    assert FULL.to_json().endswith("}\n")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", "[]", '"manifest"'])
def test_a_text_that_is_no_manifest_is_one_clear_line(text: str) -> None:
    with pytest.raises(PackageError, match=r"^_export/manifest.json: .*; export again into an empty directory$"):
        Manifest.from_json(text)


@pytest.mark.parametrize("key", sorted(tree_of(FULL).keys() - {"view"}))
def test_a_missing_key_is_named(key: str) -> None:
    tree = tree_of(FULL)
    del tree[key]
    with pytest.raises(PackageError, match="format None" if key == "format" else f"has no '{key}'"):
        Manifest.from_json(json.dumps(tree))


@pytest.mark.parametrize(("key", "value"), [("format", 2), ("unknown", 1)])
def test_a_manifest_of_a_newer_labeler_asks_for_that_one(key: str, value: object) -> None:
    with pytest.raises(NewerPackage, match=r"^_export/manifest.json: .*, so a newer labeler made it; update labeler$"):
        Manifest.from_json(json.dumps({**tree_of(FULL), key: value}))


WRONG: list[tuple[str, Any]] = [
    ("format", 0),
    ("format", "2"),
    ("source_id", ""),
    ("source_id", 5),
    ("position", -1),
    ("position", True),
    ("position", 1.5),
    ("options_digest", "not hex"),
    ("files", {}),
    ("files", [5]),
    ("excluded", {"reason": -1}),
    ("excluded", []),
    ("totals", {"dpo": {"train": 3}}),
    ("totals", {"dpo": 3}),
    ("lineage", 5),
    ("unknown", 1),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(PackageError):
        Manifest.from_json(json.dumps({**tree_of(FULL), key: value}))


WRONG_FILES: list[tuple[str, Any]] = [
    ("path", "../outside.parquet"),
    ("path", "/etc/passwd"),
    ("path", "dpo/../votes/train-00000-aaaaaaaaaaaa.parquet"),
    ("path", "votes/train-00000-aaaaaaaaaaaa.parquet"),
    ("path", "dpo/train-00009-aaaaaaaaaaaa.parquet"),
    ("config", "votes"),
    ("split", "test"),
    ("shard", 1),
    ("rows", -1),
    ("rows", "3"),
    ("bytes", None),
    ("sha256", "abc"),
    ("rows_digest", "?"),
    ("unknown", 1),
]


@pytest.mark.parametrize(("key", "value"), WRONG_FILES)
def test_a_wrong_file_is_refused(key: str, value: object) -> None:
    tree = tree_of(manifest(shard()))
    tree["files"][0][key] = value
    with pytest.raises(PackageError):
        Manifest.from_json(json.dumps(tree))


def test_two_files_for_one_shard_are_refused() -> None:
    tree = tree_of(manifest(shard()))
    tree["files"] += tree_of(manifest(shard(rows="b")))["files"]
    tree["totals"] = {"dpo": {"train": 6}}
    with pytest.raises(PackageError, match="two files claim the same shard"):
        Manifest.from_json(json.dumps(tree))


def test_what_a_manifest_of_old_lacks_is_as_it_was_then() -> None:
    grown = manifest(shard(), lineage="abc", view="text")
    assert Manifest.from_json(grown.to_json()) == grown
    old = tree_of(grown)
    del old["lineage"]
    del old["view"]
    assert Manifest.from_json(json.dumps(old)) == manifest(shard())


# ── comparing ──


@pytest.mark.parametrize(
    "change", [{"position": 99}, {"lineage": "abc"}, {"pyarrow": "27.0.0"}, {"excluded": {}}, {"study": "renamed"}]
)
def test_what_changes_no_row_makes_no_difference(change: dict[str, Any]) -> None:
    assert same_rows(FULL, replace(FULL, **change))


@pytest.mark.parametrize("change", [{"source_id": "log-2"}, {"rules_version": 2}, {"options_digest": "0def"}])
def test_another_source_rule_or_option_makes_a_difference(change: dict[str, Any]) -> None:
    assert not same_rows(FULL, replace(FULL, **change))


def test_other_bytes_of_the_same_rows_make_no_difference() -> None:
    assert same_rows(manifest(shard(sha="1")), manifest(shard(sha="2")))
    assert not same_rows(manifest(shard(rows="a")), manifest(shard(rows="b")))
    assert not same_rows(manifest(shard()), manifest(shard(), shard(number=1)))


def test_everything_is_sent_where_nothing_is_published() -> None:
    plan = diff(None, FULL)
    assert (plan.add, plan.delete, plan.keep) == (FULL.files, (), ())
    assert plan.bytes_to_send == 400


def test_a_published_shard_with_the_same_rows_is_kept_as_it_is_published() -> None:
    published, local = manifest(shard(sha="1")), manifest(shard(sha="2"))
    plan = diff(published, local)
    assert (plan.add, plan.delete, plan.keep) == ((), (), published.files)
    assert plan.applied_to(local).files == published.files


@given(MANIFESTS, MANIFESTS)
def test_a_plan_turns_the_published_package_into_the_local_one(published: Manifest, local: Manifest) -> None:
    plan = diff(published, local)
    target = plan.applied_to(local)
    assert same_rows(target, local)
    before = {file.path for file in published.files}
    after = (before - set(plan.delete)) | {file.path for file in plan.add}
    assert after == {file.path for file in target.files}
    assert not {file.path for file in plan.add} & set(plan.delete)
    assert set(plan.keep) <= set(published.files)
    assert Manifest.from_json(target.to_json()) == target


@given(MANIFESTS)
def test_nothing_is_planned_against_itself(whole: Manifest) -> None:
    plan = diff(whole, whole)
    assert (plan.add, plan.delete, plan.keep) == ((), (), whole.files)
