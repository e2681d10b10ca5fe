"""What changed between two states of a package is told as it is: which rows, by which rule, in which columns."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeler.errors import PackageError
from labeler.export.copies import LocalCopy
from labeler.export.differences import Differences, differences
from labeler.store import Store
from labeler.store.erasing import erase
from labeler.study import Study
from tests.export import exported, judged, open_store, rows_of, study_of, tell

CONFIGS = ("dpo", "reward", "kto", "sft", "votes", "comparisons", "messages")
KEYS = {"votes": "event_id", "comparisons": "event_id", "messages": "message_id"}


def compared(old: Path, new: Path, rows: int = 10_000) -> Differences:
    return differences(LocalCopy.of(old), LocalCopy.of(new), rows_named=rows)


def kept(package: Path) -> Path:
    """The package as it is now, for later."""
    return Path(shutil.copytree(package, package.with_name(f"{package.name}-before")))


def ids_of(package: Path, config: str) -> dict[str, dict[str, object]]:
    return {row[KEYS.get(config, "record_id")]: row for row in rows_of(package, config)}


def assert_told(found: Differences, old: Path, new: Path) -> None:
    """Every change is named, no other, and the counts are theirs."""
    for config in CONFIGS:
        before, after = ids_of(old, config), ids_of(new, config)
        told = {kind: {row.id for row in found.rows if (row.config, row.change) == (config, kind)} for kind in
                ("added", "removed", "changed")}  # fmt: skip
        assert told["added"] == after.keys() - before.keys()
        assert told["removed"] == before.keys() - after.keys()
        assert told["changed"] == {key for key in before.keys() & after.keys() if before[key] != after[key]}
        changes = found.configs[config]
        assert [count.total() for _, count in changes.by_kind()] == [len(ids) for ids in told.values()]
        assert changes.same == len(after) - len(told["added"]) - len(told["changed"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return tell(open_store(tmp_path), *(judged(number) for number in range(8)))


def test_a_package_and_itself_differ_in_nothing_and_no_file_is_read(store: Store, tmp_path: Path) -> None:
    package = exported(store, study_of(), tmp_path / "a").package
    other = kept(package)
    for file in other.rglob("*.parquet"):
        file.write_bytes(b"not read")
    found = compared(package, other)
    assert not found
    assert found.rows == ()
    assert all(changes.as_text().endswith(" the same") for changes in found.configs.values())


def test_new_votes_and_erased_conversations_are_told_by_rule(store: Store, tmp_path: Path) -> None:
    package = exported(store, study_of(), tmp_path / "a").package
    before = kept(package)
    tell(store, judged(9))
    erase(store, "conversation", "c1", at="2026-01-01T00:00:00.000000Z")
    exported(store, study_of(), package)
    found = compared(before, package)
    assert_told(found, before, package)
    sources = {row["source"] for row in rows_of(package, "dpo")}
    assert set(found.configs["dpo"].added) == set(found.configs["dpo"].removed) == sources
    assert set(found.configs["votes"].added) == {""}


def test_a_changed_row_names_the_columns_that_differ(store: Store, tmp_path: Path) -> None:
    old = exported(store, study_of(), tmp_path / "a").package
    new = exported(store, study_of(dataset={"license": "mit"}), tmp_path / "b").package
    found = compared(old, new)
    assert_told(found, old, new)
    assert found.configs["dpo"].columns == {"license": len(rows_of(new, "dpo"))}
    assert {row.columns for row in found.rows} == {("license",)}
    assert found.configs["votes"].as_text() == f"{len(rows_of(new, 'votes'))} the same"


def test_a_row_that_only_moved_to_another_shard_has_not_changed(store: Store, tmp_path: Path) -> None:
    old = exported(store, study_of(), tmp_path / "a").package
    new = exported(store, study_of(dataset={"conversations_per_shard": 2}), tmp_path / "b").package
    assert not compared(old, new)


def test_a_row_that_moved_to_the_other_split_has(store: Store, tmp_path: Path) -> None:
    old = exported(store, study_of(), tmp_path / "a").package
    new = exported(store, study_of(dataset={"salt": "another"}), tmp_path / "b").package
    moved = {row.id for row in compared(old, new).rows if "split" in row.columns and row.config == "dpo"}
    split = [
        {row["record_id"]: name for name in ("train", "test") for row in rows_of(package, "dpo", name)}
        for package in (old, new)
    ]
    assert moved
    assert moved == {key for key in split[0] if split[0][key] != split[1][key]}


def test_only_as_many_rows_are_named_as_are_asked_for(store: Store, tmp_path: Path) -> None:
    old = exported(store, study_of(), tmp_path / "a").package
    new = exported(store, study_of(dataset={"license": "mit"}), tmp_path / "b").package
    assert len(compared(old, new, rows=3).rows) == 3
    assert compared(old, new, rows=0).rows == ()
    assert compared(old, new, rows=0).configs == compared(old, new).configs


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and then nonsense"], ids=["gone", "empty", "nonsense"])
def test_a_file_that_cannot_be_read_is_one_line(store: Store, tmp_path: Path, content: bytes | None) -> None:
    old = exported(store, study_of(), tmp_path / "a").package
    new = exported(store, study_of(dataset={"license": "mit"}), tmp_path / "b").package
    file = next((new / "kto").glob("*.parquet"))
    file.unlink()  # it may be a hard link
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PackageError, match=file.name):
        compared(old, new)


def test_a_folder_without_a_package_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds no package"):
        LocalCopy.of(tmp_path)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=6))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_between_two_exports_is_told(tmp_path_factory: pytest.TempPathFactory, did: list) -> None:  # type: ignore[type-arg]
    folder = tmp_path_factory.mktemp("any")
    study: Study = study_of()
    with tell(open_store(folder), *(judged(number) for number in range(6))) as store:
        package = exported(store, study, folder / "p").package
        before = kept(package)
        for step, (what, number) in enumerate(did):
            if what == "a":
                tell(store, judged(100 + step))
            elif what == "b":
                erase(store, "conversation", f"c{number}", at="2026-01-01T00:00:00.000000Z")
            else:
                study = study_of(dataset={"license": f"other-{number}"})
        exported(store, study, package)
        assert_told(compared(before, package), before, package)
