"""An export brings a package to the log's present position, and only touches what is new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labeler.core.events import Erased
from labeler.errors import PackageError
from labeler.export.exporter import export
from labeler.export.manifest import same_rows
from labeler.store import Store
from labeler.store.transfer import load
from tests.export import (
    KEY,
    dumped,
    exported,
    files_of,
    judged,
    manifest_of,
    open_store,
    rows_of,
    simulated,
    study_of,
    tell,
)
from tests.stories import one_log, told, told_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Seven conversations: three shards of three, three and one."""
    return tell(open_store(tmp_path), *(judged(number) for number in range(7)))


def test_every_config_gets_its_rows_and_the_result_counts_them(store: Store, tmp_path: Path) -> None:
    result = exported(store, study_of(), tmp_path / "out")
    assert result.package == tmp_path / "out"
    assert result.position == store.position()
    assert set(result.rows) == {"dpo", "reward", "kto", "sft", "votes", "comparisons", "messages"}
    for config, splits in result.rows.items():
        assert {split: len(rows_of(result.package, config, split)) for split in splits} == splits
    assert (result.shards_written, result.shards_unchanged) == (3, 0)


def test_a_split_without_rows_has_no_file_and_is_not_counted(tmp_path: Path) -> None:
    store = tell(open_store(tmp_path), told().asks("Why?").answers("So.").likes())
    result = exported(store, study_of(dataset={"test_percent": 0}), tmp_path / "out")
    assert result.rows == {"kto": {"train": 1}, "votes": {"train": 1}, "messages": {"train": 2}}
    assert sorted(path.parent.name for path in result.package.rglob("*.parquet")) == ["kto", "messages", "votes"]


def test_an_empty_log_is_an_empty_package(tmp_path: Path) -> None:
    result = exported(open_store(tmp_path), study_of(), tmp_path / "out")
    assert (result.rows, result.shards_written, result.shards_unchanged) == ({}, 0, 0)
    assert sorted(files_of(result.package)) == ["README.md", "_export/manifest.json", "_export/statistics.json"]


def test_exporting_twice_writes_no_shard_and_keeps_every_file(store: Store, tmp_path: Path) -> None:
    study, out = study_of(), tmp_path / "out"
    exported(store, study, out)
    before = {path: path.stat().st_ino for path in out.rglob("*.parquet")}
    result = exported(store, study, out)
    assert (result.shards_written, result.shards_unchanged) == (0, 3)
    assert {path: path.stat().st_ino for path in out.rglob("*.parquet")} == before


def test_a_late_vote_rewrites_its_own_shard_only(store: Store, tmp_path: Path) -> None:
    study, out = study_of(), tmp_path / "out"
    exported(store, study, out)
    before = files_of(out)
    late = judged(4)
    told_so_far = len(late.events)
    store.append(late.dislikes("a2").events[told_so_far:])
    result = exported(store, study, out)
    assert (result.shards_written, result.shards_unchanged) == (1, 2)
    changed = {path for path in before.keys() ^ files_of(out).keys()}
    assert changed
    assert all("-00001-" in path for path in changed)


def test_an_event_that_changes_no_row_changes_no_file(store: Store, tmp_path: Path) -> None:
    study, out = study_of(), tmp_path / "out"
    exported(store, study, out)
    before = files_of(out)
    cleared = judged(4)
    told_so_far = len(cleared.events)
    store.append(cleared.clears().events[told_so_far:])
    result = exported(store, study, out)
    assert (result.shards_written, result.shards_unchanged) == (0, 3)
    assert manifest_of(out).position == store.position()
    assert {path for path, content in files_of(out).items() if before.get(path) != content} == {"_export/manifest.json"}


def test_a_withdrawn_vote_takes_its_row_away(tmp_path: Path) -> None:
    story = told().asks("Why?").answers("So.").likes()
    store, out = tell(open_store(tmp_path), story), tmp_path / "out"
    assert "kto" in exported(store, study_of(), out).rows
    told_so_far = len(story.events)
    store.append(story.withdraws().events[told_so_far:])
    assert "kto" not in exported(store, study_of(), out).rows


@pytest.mark.parametrize("steps", [(7,), (1, 6), (3, 1, 3), (2, 2, 2, 1)])
def test_the_package_does_not_depend_on_the_exports_before_it(tmp_path: Path, steps: tuple[int, ...]) -> None:
    """Growing step by step ends at the same bytes as exporting once."""
    study, store, begun = study_of(), open_store(tmp_path), 0
    for step in steps:
        tell(store, *(judged(number) for number in range(begun, begun + step)))
        begun += step
        exported(store, study, tmp_path / "grown")
    exported(store, study, tmp_path / "once")
    assert files_of(tmp_path / "grown") == files_of(tmp_path / "once")


def test_deleting_the_package_and_exporting_again_gives_the_same_bytes(tmp_path: Path) -> None:
    study = study_of(dataset={"conversations_per_shard": 20})
    store = simulated(open_store(tmp_path), 50, study)
    packages = [files_of(exported(store, study, tmp_path / name).package) for name in ("one", "two")]
    assert packages[0] == packages[1]


@pytest.mark.parametrize(
    "other",
    [
        {"rules": {"sft_from_likes": True}},
        {"dataset": {"test_percent": 10}},
        {"dataset": {"salt": "other"}},
        {"dataset": {"license": "mit"}},
        {"dataset": {"conversations_per_shard": 4}},
    ],
    ids=str,
)
def test_another_option_derives_every_shard_again(store: Store, tmp_path: Path, other: dict[str, object]) -> None:
    exported(store, study_of(), tmp_path / "changed")
    exported(store, study_of(**other), tmp_path / "changed")
    exported(store, study_of(**other), tmp_path / "fresh")
    assert files_of(tmp_path / "changed") == files_of(tmp_path / "fresh")
    digest = manifest_of(tmp_path / "changed").options_digest
    assert digest != manifest_of(exported(store, study_of(), tmp_path / "first").package).options_digest


def test_another_key_names_everything_anew(store: Store, tmp_path: Path) -> None:
    one = rows_of(exported(store, study_of(), tmp_path / "out").package, "votes")
    two = rows_of(exported(store, study_of(), tmp_path / "out", key=b"another key").package, "votes")
    ids = ("event_id", "conversation_id", "message_id", "annotator_id")
    assert not {row[name] for row in one for name in ids} & {row[name] for row in two for name in ids}


def test_another_log_in_the_place_of_the_first_is_exported_whole(store: Store, tmp_path: Path) -> None:
    exported(store, study_of(), tmp_path / "out")
    other = tell(open_store(tmp_path, "other"), judged(1))
    exported(other, study_of(), tmp_path / "out")
    exported(other, study_of(), tmp_path / "fresh")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")


def test_a_log_that_was_set_back_is_exported_whole(tmp_path: Path) -> None:
    """A database restored from a backup has fewer events than the package that is there."""
    store = tell(open_store(tmp_path), judged(1))
    store.close()
    backup = (tmp_path / "log.db").read_bytes()
    later = tell(open_store(tmp_path), judged(2))
    exported(later, study_of(), tmp_path / "out")
    later.close()
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    (tmp_path / "log.db").write_bytes(backup)
    restored = open_store(tmp_path)
    assert exported(restored, study_of(), tmp_path / "out").position == restored.position()
    assert {row["content"] for row in rows_of(tmp_path / "out", "messages")} >= {"Question 1?"}
    assert "Question 2?" not in {row["content"] for row in rows_of(tmp_path / "out", "messages")}


def test_a_log_that_was_set_back_and_grew_otherwise_is_exported_whole(tmp_path: Path) -> None:
    """The position alone does not tell: the log is longer than the package again, and another one."""
    study = study_of(dataset={"conversations_per_shard": 1})
    store = tell(open_store(tmp_path), judged(1))
    store.close()
    backup = (tmp_path / "log.db").read_bytes()
    later = tell(open_store(tmp_path), judged(2))
    exported(later, study, tmp_path / "out")
    later.close()
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    (tmp_path / "log.db").write_bytes(backup)
    restored = tell(open_store(tmp_path), judged(3), judged(4))
    exported(restored, study, tmp_path / "out")
    exported(restored, study, tmp_path / "fresh")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")
    contents = {row["content"] for row in rows_of(tmp_path / "out", "messages")}
    assert contents >= {"Question 1?", "Question 3?", "Question 4?"}
    assert "Question 2?" not in contents


def test_what_became_a_tombstone_leaves_the_package(tmp_path: Path) -> None:
    """The log ends at the same event as before: erasure keeps every position."""
    events = one_log(judged(1), judged(2))
    erased = [
        replace(one, payload=Erased(erased_kind=one.payload.kind)) if one.conversation_id == "c1" else one
        for one in events
    ]
    for name, history in (("whole", events), ("erased", erased)):
        store = open_store(tmp_path, name)
        load(store, dumped(history, tmp_path / f"{name}.jsonl"))
        exported(store, study_of(), tmp_path / "out")
    contents = {row["content"] for row in rows_of(tmp_path / "out", "messages")}
    assert "Question 2?" in contents
    assert "Question 1?" not in contents


def test_a_file_that_is_lost_or_cut_short_is_made_again(store: Store, tmp_path: Path) -> None:
    study, out = study_of(), tmp_path / "out"
    exported(store, study, out)
    before = files_of(out)
    lost, short = sorted(out.glob("messages/*.parquet"))[:2]
    lost.unlink()
    short.write_bytes(short.read_bytes()[:100])
    exported(store, study, out)
    assert files_of(out) == before


@pytest.mark.parametrize("damage", ["", "{}", "nonsense", '{"format": 1, "shards": {"0": 3}}', '{"format": 9}'])
def test_unusable_statistics_are_counted_again(store: Store, tmp_path: Path, damage: str) -> None:
    study, out = study_of(), tmp_path / "out"
    exported(store, study, out)
    before = files_of(out)
    (out / "_export" / "statistics.json").write_text(damage)
    exported(store, study, out)
    assert files_of(out) == before


def test_withdrawn_consent_takes_out_every_conversation_of_that_annotator(tmp_path: Path) -> None:
    study = study_of(consent={"version": "1", "text": "We publish what you write."})
    annotators = [told_of("ann").consents(), told_of("bob").consents()]
    stories = [judged(number, ("ann", "bob")[number % 2]) for number in range(6)]
    store, out = tell(open_store(tmp_path), *annotators, *stories), tmp_path / "out"
    exported(store, study, out)
    assert len({row["annotator_id"] for row in rows_of(out, "votes")}) == 2
    told_so_far = len(annotators[0].events)
    store.append(annotators[0].withdraws_consent().events[told_so_far:])
    result = exported(store, study, out)
    assert len({row["annotator_id"] for row in rows_of(out, "votes")}) == 1
    assert result.excluded["consent_withdrawn"] > 0
    assert "Question 0?" not in {row["content"] for row in rows_of(out, "messages")}
    exported(store, study, tmp_path / "fresh")
    assert files_of(out) == files_of(tmp_path / "fresh")


def test_an_excluded_annotator_comes_back_when_included_again(tmp_path: Path) -> None:
    study, out, lead = study_of(), tmp_path / "out", told_of("ann")
    store = tell(open_store(tmp_path), judged(1))
    first = files_of(exported(store, study, out).package)
    store.append(lead.is_excluded().events)
    assert exported(store, study, out).rows == {}
    store.append(lead.is_included().events[1:])
    exported(store, study, out)
    parquet = {path: content for path, content in files_of(out).items() if path.endswith(".parquet")}
    assert parquet == {path: content for path, content in first.items() if path.endswith(".parquet")}


def test_events_that_arrive_during_an_export_wait_for_the_next_one(store: Store, tmp_path: Path) -> None:
    """A package is a prefix of the log, even while people go on voting."""
    study, position = study_of(), store.position()
    arriving = iter([judged(100), judged(101), judged(102)])
    from_meanwhile = tmp_path / "meanwhile"

    def report(done: int, total: int) -> None:
        store.append(next(arriving).events)

    result = export(store, study, from_meanwhile, key=KEY, report=report)
    assert result.position == position
    assert "Question 100?" not in {row["content"] for row in rows_of(from_meanwhile, "messages")}
    exported(store, study, from_meanwhile)
    exported(store, study, tmp_path / "once")
    assert files_of(from_meanwhile) == files_of(tmp_path / "once")


def test_progress_is_told_shard_by_shard(store: Store, tmp_path: Path) -> None:
    told_progress: list[tuple[int, int]] = []
    export(store, study_of(), tmp_path / "out", key=KEY, report=lambda *done: told_progress.append(done))
    assert told_progress == [(1, 3), (2, 3), (3, 3)]


def test_two_studies_of_one_log_cannot_be_linked_by_their_pseudonyms(store: Store, tmp_path: Path) -> None:
    one = rows_of(exported(store, study_of(), tmp_path / "one").package, "votes")
    two = rows_of(exported(store, study_of(name="other"), tmp_path / "two").package, "votes")
    assert not {row["annotator_id"] for row in one} & {row["annotator_id"] for row in two}
    assert not same_rows(manifest_of(tmp_path / "one"), manifest_of(tmp_path / "two"))


def test_no_id_of_the_log_and_no_time_of_day_is_published(store: Store, tmp_path: Path) -> None:
    out = exported(store, study_of(), tmp_path / "out").package
    everything = b"".join(files_of(out).values())
    rows = repr([row for config in ("dpo", "kto", "votes", "comparisons", "messages") for row in rows_of(out, config)])
    for event in store.scan():
        assert event.event_id not in rows
        assert event.at not in rows
    for private in ("ann", "c1.a1", "c1.q1"):
        assert f"'{private}'" not in rows
    assert KEY not in everything


def test_an_unreadable_card_stops_the_export_and_leaves_the_package(store: Store, tmp_path: Path) -> None:
    study, out = study_of(), tmp_path / "out"
    exported(store, study, out)
    (out / "README.md").write_text("---\nlicense: [broken\n---\n# Mine\n")
    before = files_of(out)
    with pytest.raises(PackageError, match="front matter is not YAML"):
        exported(store, study, out)
    assert files_of(out) == before
    assert [path.name for path in tmp_path.glob(".out.*")] == [".out.lock"]
