"""Where a shard is cut: batches by what they hold, row groups by what stands in a row."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.export import row_groups
from labeler.export.row_groups import batches
from labeler.export.schemas import CONFIGS
from tests.export import exported, judged, manifest_of, message, open_store, simulated, study_of, tell

# ── batches ──


@given(st.lists(st.integers(min_value=0, max_value=40), max_size=30), st.integers(min_value=1, max_value=60))
def test_batches_hold_all_rows_in_order_and_no_more_than_their_size(sizes: list[int], limit: int) -> None:
    rows = [message("x" * size, number) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_groups, "BATCH_CHARACTERS", limit)
        cut = list(batches("messages", rows))
    assert [row for group in cut for row in group] == rows
    assert all(len(group) == 1 or sum(len(row.content) for row in group) <= limit for group in cut)


# ── row groups ──


def ids_table(config: str, ids: list[str]) -> pa.Table:
    """A table with nothing but the column in which borders show."""
    column = {"messages": "message_id", "votes": "event_id", "comparisons": "event_id"}.get(config, "record_id")
    return pa.table({column: pa.array(ids, pa.string())})


some_ids = st.lists(st.sampled_from(["0100", "01aa", "0001", "aab1", "", "00", "aa"]), max_size=60)


@given(config=st.sampled_from(list(CONFIGS)), ids=some_ids, least=st.integers(min_value=1, max_value=12))
def test_row_groups_hold_all_rows_and_but_for_the_last_no_fewer_than_the_least(
    config: str, ids: list[str], least: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_groups, "GROUP_ROWS", least)
        sizes = row_groups.row_groups(ids_table(config, ids))
    assert sum(sizes) == len(ids)
    assert all(size >= least for size in sizes[:-1])


@given(ids=some_ids, least=st.integers(min_value=1, max_value=12), data=st.data())
def test_a_row_that_joins_moves_no_border_before_it(ids: list[str], least: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(min_value=0, max_value=len(ids)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_groups, "GROUP_ROWS", least)
        before = row_groups.row_groups(ids_table("kto", ids))
        after = row_groups.row_groups(ids_table("kto", [*ids[:place], "01", *ids[place:]]))
    kept = [end for end in accumulate(before) if end < place]
    assert list(accumulate(after))[: len(kept)] == kept


@pytest.mark.parametrize("config", CONFIGS)
def test_the_groups_behind_a_row_that_joins_hold_the_same_rows_as_before(config: str) -> None:
    ending = "aa" if config in ("messages", "votes", "comparisons") else "00"
    ids = [f"{number:06d}" + (ending if number % 700 == 0 else "b1") for number in range(5 * 700)]
    joined = [*ids[:800], "joinedb1", *ids[800:]]
    before = row_groups.row_groups(ids_table(config, ids))
    after = row_groups.row_groups(ids_table(config, joined))
    assert before == [700] * 5
    assert after == [700, 701, 700, 700, 700]


def groups_of(file: Path) -> list[bytes]:
    """The bytes of each row group: all its columns side by side."""
    metadata, content = pq.read_metadata(file), file.read_bytes()
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        begin = min(min(one.dictionary_page_offset or one.data_page_offset, one.data_page_offset) for one in columns)
        groups.append(content[begin : begin + sum(one.total_compressed_size for one in columns)])
    return groups


@pytest.mark.parametrize("config", ["kto", "votes"])
def test_a_late_vote_changes_the_bytes_of_one_row_group_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.setattr(row_groups, "GROUP_ROWS", 16)
    monkeypatch.setattr(row_groups, "_ENDINGS", {"record_id": "0", "event_id": "a", "message_id": "a"})
    study = study_of(dataset={"conversations_per_shard": 1000, "test_percent": 0})
    story = judged(1).asks("And now?").answers("Now this.")
    told_so_far = len(story.events)
    with open_store(tmp_path) as store:
        tell(store, story)
        simulated(store, 300, study)
        package = exported(store, study, tmp_path / "out").package
        before = groups_of(*(package / one.path for one in manifest_of(package).files if one.config == config))
        store.append(story.likes().events[told_so_far:])
        exported(store, study, tmp_path / "out")
        after = groups_of(*(package / one.path for one in manifest_of(package).files if one.config == config))
    assert len(before) > 2
    assert len(after) == len(before)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
