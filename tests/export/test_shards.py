"""The files of a shard: bytes that follow from rows, and digests that follow from rows alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.folding import replay
from labeler.core.rules import Options, derive
from labeler.core.standing import Standing
from labeler.export import row_groups, shards
from labeler.export.columns import Terms, table_of
from labeler.export.digest import RowsDigest
from labeler.export.pseudonyms import Pseudonyms
from labeler.export.schemas import CONFIGS, schema
from labeler.export.shards import Encoder, Shard, ShardRows, _File, write_shard
from labeler.store.transfer import dump, load
from tests.export import KEY, exported, files_of, judged, manifest_of, message, open_store, simulated, study_of


def written(folder: Path, numbers: range = range(4), ordinal: int = 7) -> Shard:
    rows = ShardRows()
    for number in numbers:
        story = judged(number)
        rows.add(derive(replay(story.stream_id, story.events), Standing(), Options(test_percent=50)))
    with Encoder() as encoder:
        terms = Terms(Pseudonyms.of(KEY, "stories"), None, "test")
        return write_shard(folder, ordinal, rows, terms, encoder).arrived()


def test_a_file_is_named_by_its_config_split_shard_and_rows(tmp_path: Path) -> None:
    for file in written(tmp_path).files:
        assert file.path == f"{file.config}/{file.split}-00007-{file.rows_digest[:12]}.parquet"
        content = (tmp_path / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert pq.read_metadata(tmp_path / file.path).num_rows == file.rows


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert all(file.rows for file in written(tmp_path).files)
    assert written(tmp_path / "none", range(0)).files == ()


def test_files_are_compressed_with_zstd_and_have_a_page_index_and_the_schema_version(tmp_path: Path) -> None:
    for file in written(tmp_path).files:
        metadata = pq.read_metadata(tmp_path / file.path)
        column = metadata.row_group(0).column(0)
        assert column.compression == "ZSTD"
        assert column.has_offset_index
        assert metadata.metadata[b"schema_version"] == b"1"


def test_files_say_no_time_no_host_and_no_path(tmp_path: Path) -> None:
    for file in written(tmp_path).files:
        metadata = pq.read_metadata(tmp_path / file.path)
        assert set(metadata.metadata) == {b"schema_version", b"ARROW:schema"}
        assert metadata.created_by == f"parquet-cpp-arrow version {pa.__version__}"


def test_a_file_declares_the_schema_of_its_config(tmp_path: Path) -> None:
    for file in written(tmp_path).files:
        assert pq.read_schema(tmp_path / file.path).equals(schema(file.config))


def test_the_same_rows_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Hash seeds, addresses and times differ there; the files do not."""
    study, store = study_of(), simulated(open_store(tmp_path), 12, study_of())
    exported(store, study, tmp_path / "here")
    program = (
        "from pathlib import Path; from tests.export import *\n"
        f"exported(open_store(Path({str(tmp_path)!r})), study_of(), Path({str(tmp_path)!r}) / 'there')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_a_dumped_and_loaded_log_gives_the_same_bytes(tmp_path: Path) -> None:
    study, store = study_of(), simulated(open_store(tmp_path), 12, study_of())
    with (tmp_path / "log.jsonl").open("wb") as out:
        dump(store, out)
    copy = open_store(tmp_path, "copy")
    load(copy, tmp_path / "log.jsonl")
    exported(store, study, tmp_path / "one")
    exported(copy, study, tmp_path / "two")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_the_encoder_may_fall_behind_and_the_bytes_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "ahead")
    monkeypatch.setattr(shards, "WAITING_BYTES", 0)
    written(tmp_path / "behind")
    assert files_of(tmp_path / "ahead") == files_of(tmp_path / "behind")


def test_a_table_that_cannot_be_encoded_fails_its_file_and_leaves_none(tmp_path: Path) -> None:
    """Encoding runs behind; what goes wrong there must not end in a file without the rows."""
    wrong = pa.table({"event_id": ["of another schema"]})
    with Encoder() as encoder:
        file = _File("votes", "train", 0, "trl")
        encoder.add(file, wrong)
        with pytest.raises(ValueError, match="schema"):
            encoder.finish(file, tmp_path).result()
    assert list(tmp_path.rglob("*.parquet")) == []


# ── batches ──


def test_a_large_shard_is_cut_into_batches_that_read_back_as_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(tmp_path / "whole")
    monkeypatch.setattr(row_groups, "BATCH_CHARACTERS", 100)
    cut = written(tmp_path / "cut")
    assert [file.rows_digest for file in cut.files] == [file.rows_digest for file in whole.files]
    path = next(file.path for file in cut.files if file.config == "messages")
    assert pq.read_metadata(tmp_path / "cut" / path).num_row_groups > 1
    assert pq.read_table(tmp_path / "cut" / path) == pq.read_table(tmp_path / "whole" / path)


# ── the rows digest ──


def digest(*tables: pa.Table) -> str:
    running = RowsDigest(tables[0].schema)
    for table in tables:
        running.update(table)
    return running.hexdigest()


@pytest.mark.parametrize("config", CONFIGS)
def test_the_rows_digest_does_not_depend_on_batches_slices_or_the_file(tmp_path: Path, config: str) -> None:
    shard = written(tmp_path)
    for file in (one for one in shard.files if one.config == config):
        table = pq.read_table(tmp_path / file.path)
        parts = [table.slice(start, 2) for start in range(0, table.num_rows, 2)]
        chunked = pa.concat_tables(parts)
        assert {digest(table), digest(*parts), digest(chunked), digest(table.combine_chunks())} == {file.rows_digest}


def test_the_rows_digest_is_the_same_from_a_file_that_was_written_in_other_ways(tmp_path: Path) -> None:
    """Another pyarrow may compress, cut and encode otherwise; the rows are what they are."""
    shard = written(tmp_path)
    file = next(one for one in shard.files if one.config == "dpo")
    table = pq.read_table(tmp_path / file.path)
    pq.write_table(table, tmp_path / "other.parquet", compression="snappy", use_dictionary=False, row_group_size=1)
    assert digest(pq.read_table(tmp_path / "other.parquet")) == file.rows_digest


TEXTS = st.lists(st.text(max_size=3), max_size=4)


@given(TEXTS, TEXTS)
def test_other_texts_have_another_digest_even_if_they_join_to_the_same(one: list[str], two: list[str]) -> None:
    shape = pa.schema([pa.field("text", pa.string(), nullable=False)])
    digests = [digest(pa.table({"text": pa.array(texts, pa.string())}, shape)) for texts in (one, two)]
    assert (digests[0] == digests[1]) == (one == two)


@given(st.lists(st.none() | st.text(max_size=2), max_size=4), st.lists(st.none() | st.text(max_size=2), max_size=4))
def test_null_is_not_the_empty_text(one: list[str | None], two: list[str | None]) -> None:
    shape = pa.schema([pa.field("text", pa.string())])
    digests = [digest(pa.table({"text": pa.array(texts, pa.string())}, shape)) for texts in (one, two)]
    assert (digests[0] == digests[1]) == (one == two)


def test_other_rows_or_another_order_have_another_digest() -> None:
    terms = Terms(Pseudonyms.of(KEY, "stories"), None, "test")
    one, two = message("one", 1), message("two", 2)
    tables = [table_of("messages", rows, terms) for rows in ([one, two], [two, one], [one], [])]
    assert len({digest(table) for table in tables}) == 4


def test_the_manifest_is_json_that_names_every_file(tmp_path: Path) -> None:
    store = simulated(open_store(tmp_path), 5, study_of())
    out = exported(store, study_of(), tmp_path / "out").package
    tree = json.loads((out / "_export" / "manifest.json").read_text())
    assert {file["path"] for file in tree["files"]} == {str(path.relative_to(out)) for path in out.rglob("*.parquet")}
    assert manifest_of(out).conversations_per_shard == 3
