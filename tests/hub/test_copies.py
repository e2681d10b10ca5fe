"""What a repo publishes is read as it is served, and held against its manifest row by row."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from labeler.errors import HubError
from labeler.export.copies import LocalCopy
from labeler.export.differences import differences
from labeler.export.exporter import export
from labeler.export.manifest import MANIFEST_PATH, Manifest, ShardFile
from labeler.hub import DatasetRepo, PublishedCopy, push, repo_and_revision, row_differences, verify_remote
from tests.export import KEY, judged, manifest_of, open_store, study_of, tell
from tests.hub.conftest import QUICK, REPO, repo_on
from tests.hub_server import Answer, HubServer, Reset


@pytest.fixture
def package(tmp_path: Path) -> Path:
    with tell(open_store(tmp_path), *(judged(number) for number in range(8))) as store:
        return export(store, study_of(), tmp_path / "p", key=KEY).package


@pytest.fixture
def pushed(package: Path, repo: DatasetRepo) -> DatasetRepo:
    push(package, repo)
    return repo


def copy_of(repo: DatasetRepo, revision: str | None = None) -> PublishedCopy:
    return PublishedCopy.at(repo, revision, patience=QUICK)


def client(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_test")


def first(package: Path, config: str) -> ShardFile:
    return next(file for file in manifest_of(package).files if file.config == config)


# ── names ──


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("someone/votes", ("someone/votes", None)),
        ("someone/votes@v1", ("someone/votes", "v1")),
        ("someone/votes@refs/pr/3", ("someone/votes", "refs/pr/3")),
        ("votes", None),
        ("a/b/c", None),
        ("someone/votes@", None),
        ("", None),
    ],
)
def test_a_repo_is_told_from_what_is_none(target: str, found: tuple[str, str | None] | None) -> None:
    assert repo_and_revision(target) == found


# ── reading ──


def test_a_published_package_does_not_differ_from_the_one_here(package: Path, pushed: DatasetRepo) -> None:
    assert not differences(LocalCopy.of(package), copy_of(pushed))


def test_shards_that_are_alike_are_not_downloaded(package: Path, pushed: DatasetRepo, hub: HubServer) -> None:
    differences(LocalCopy.of(package), copy_of(pushed))
    assert not [seen for seen in hub.seen if seen.kind == "storage"]


def test_two_revisions_are_compared_by_name_tag_or_commit(
    package: Path, pushed: DatasetRepo, hub: HubServer, tmp_path: Path
) -> None:
    old = hub.commits(REPO)[0].oid
    client(hub).create_tag(REPO, repo_type="dataset", tag="v1")
    with open_store(tmp_path) as store:
        export(tell(store, judged(9)), study_of(), package, key=KEY)
    push(package, pushed)
    here = differences(copy_of(pushed, "v1"), LocalCopy.of(package), rows_named=999)
    assert here
    assert differences(copy_of(pushed, old), copy_of(pushed, "main"), rows_named=999) == here
    assert copy_of(pushed, "v1").head == old


def test_what_is_not_there_is_one_line(pushed: DatasetRepo, hub: HubServer) -> None:
    with pytest.raises(HubError, match="no-such-tag"):
        copy_of(pushed, "no-such-tag")
    stranger = DatasetRepo("tester/nowhere", endpoint=hub.endpoint, token="hf_test")
    with pytest.raises(HubError, match="tester/nowhere does not exist"):
        copy_of(stranger)
    client(hub).create_repo("tester/bare", repo_type="dataset")
    with pytest.raises(HubError, match="holds no package"):
        copy_of(DatasetRepo("tester/bare", endpoint=hub.endpoint, token="hf_test"))


def test_a_download_that_breaks_off_is_tried_again_and_leaves_nothing_behind(
    package: Path, pushed: DatasetRepo, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file, copy = first(package, "dpo"), copy_of(pushed)
    for nth, fault in enumerate((Answer(503), Reset(), Answer(429)), hub.count("resolve") + 1):
        hub.faults.plan("resolve", nth, fault)
    with copy.opened(file) as path:
        assert path.read_bytes() == (package / file.path).read_bytes()
    assert not path.exists()
    assert not list(tmp_path.glob("labeler-*"))


# ── verifying ──


def test_a_repo_as_it_was_pushed_is_sound_row_by_row(package: Path, pushed: DatasetRepo) -> None:
    told: list[int] = []
    assert row_differences(copy_of(pushed), report=told.append) == ()
    assert sum(told) == sum(file.rows for file in manifest_of(package).files)


def test_bytes_that_are_not_what_the_hub_says_they_are_are_found(
    package: Path, pushed: DatasetRepo, hub: HubServer
) -> None:
    """The Hub's word for a file's sha256 is right, the file is not."""
    file = first(package, "kto")
    hub.state.spoil(file.sha256)
    assert verify_remote(pushed) == ()
    assert row_differences(copy_of(pushed)) == (f"{file.path}: has other content than the manifest says",)


def test_rows_that_were_changed_together_with_size_and_sha256_are_found(
    package: Path, pushed: DatasetRepo, hub: HubServer, tmp_path: Path
) -> None:
    """Somebody edits a shard on the Hub and has the manifest agree in everything but the rows digest."""
    file = first(package, "dpo")
    table = pq.read_table(package / file.path)
    altered = tmp_path / "altered.parquet"
    pq.write_table(table.set_column(table.schema.get_field_index("undone"), table.schema.field("undone"), [[True] * table.num_rows]), altered)  # fmt: skip  # noqa: E501
    content = altered.read_bytes()
    stated = dataclasses.replace(file, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    forged = _with(manifest_of(package), stated)
    api = client(hub)
    for path, data in ((file.path, content), (MANIFEST_PATH, forged.to_json().encode())):
        api.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=REPO, repo_type="dataset")
    assert verify_remote(pushed) == ()
    (problem,) = row_differences(copy_of(pushed))
    assert problem == f"{file.path}: its rows are not those that the manifest states"


def test_a_file_that_is_missing_is_one_line(package: Path, pushed: DatasetRepo, hub: HubServer) -> None:
    file = first(package, "sft")
    client(hub).delete_file(file.path, REPO, repo_type="dataset")
    with pytest.raises(HubError, match=f"{file.path} is not there"):
        row_differences(copy_of(pushed))


def test_a_token_that_may_not_read_is_one_line(pushed: DatasetRepo, hub: HubServer) -> None:
    with pytest.raises(HubError, match="this token may not see it"):
        copy_of(repo_on(hub, token="hf_other"))


def _with(manifest: Manifest, file: ShardFile) -> Manifest:
    files = tuple(file if one.key == file.key else one for one in manifest.files)
    return dataclasses.replace(manifest, files=files)
