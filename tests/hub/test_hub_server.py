"""The Hub of these tests answers the real client as the Hub does; otherwise the other tests here would prove little."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.conftest import REPO
from tests.hub_server import Answer, Faults, HubServer, xet

ROOT = Path(__file__).parents[2]
LARGE = random.Random(7).randbytes(400_000) + b"the same again and again " * 20_000


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_test")


@pytest.fixture
def head(api: HfApi) -> str:
    """A private repo, and its first commit."""
    api.create_repo(REPO, repo_type="dataset", private=True)
    return str(api.dataset_info(REPO).sha)


def add(api: HfApi, parent: str | None = None, **files: bytes) -> str:
    operations = [
        CommitOperationAdd(name.replace("__", "/").replace("_dot_", "."), text) for name, text in files.items()
    ]
    made = api.create_commit(REPO, operations, commit_message="add", repo_type="dataset", parent_commit=parent)
    return str(made.oid)


def test_the_token_says_who_one_is(api: HfApi, hub: HubServer) -> None:
    assert api.whoami()["name"] == "tester"
    with pytest.raises(HfHubHTTPError) as caught:
        HfApi(endpoint=hub.endpoint, token="hf_nobody").whoami()
    assert caught.value.response.status_code == 401


def test_a_stale_parent_is_refused_and_nothing_applied(api: HfApi, hub: HubServer, head: str) -> None:
    add(api, head, a=b"1")
    with pytest.raises(HfHubHTTPError) as caught:
        add(api, head, b=b"2")
    assert caught.value.response.status_code == 412
    assert sorted(hub.files(REPO)) == [".gitattributes", "a"]


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_what_is_sent_either_way_comes_back_byte_for_byte(
    api: HfApi, hub: HubServer, head: str, way: str, tmp_path: Path
) -> None:
    (tmp_path / "large.parquet").write_bytes(LARGE)
    operation = CommitOperationAdd("dpo/large.parquet", str(tmp_path / "large.parquet"))
    oid = api.create_commit(REPO, [operation], commit_message="add", repo_type="dataset").oid
    sent = hub.received("xorb") if way == "xet" else hub.received("lfs_put")
    assert (sent < len(LARGE)) is (way == "xet")
    path = api.hf_hub_download(REPO, "dpo/large.parquet", repo_type="dataset", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == LARGE
    [entry] = api.get_paths_info(REPO, ["dpo/large.parquet", "none"], repo_type="dataset", revision=oid)
    assert entry.lfs.sha256 == hashlib.sha256(LARGE).hexdigest()  # type: ignore[union-attr]


def test_a_large_file_that_was_never_sent_cannot_be_committed(hub: HubServer, head: str) -> None:
    lines = '{"key":"lfsFile","value":{"path":"a.bin","algo":"sha256","oid":"' + "0" * 64 + '","size":3}}\n'
    url = f"{hub.endpoint}/api/datasets/{REPO}/commit/main"
    answer = httpx2.post(url, content=lines, headers={"Authorization": "Bearer hf_test"})
    assert answer.status_code == 400
    assert len(hub.commits(REPO)) == 1


def test_what_is_missing_is_named_by_its_kind(api: HfApi, head: str) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("tester/none")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(REPO, revision="f" * 40)
    with pytest.raises(EntryNotFoundError):
        api.create_commit(REPO, [CommitOperationDelete("none")], commit_message="no", repo_type="dataset")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "no/folder", repo_type="dataset"))


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("hf_other", 404)])
def test_a_private_repo_looks_missing_to_others(hub: HubServer, head: str, token: str | bool, status: int) -> None:
    with pytest.raises(RepositoryNotFoundError) as caught:
        HfApi(endpoint=hub.endpoint, token=token).dataset_info(REPO)
    assert caught.value.response.status_code == status


@pytest.mark.parametrize(("token", "may_write"), [("hf_reader", False), ("hf_narrow", True)])
def test_roles_decide_who_writes_and_who_creates(hub: HubServer, head: str, token: str, may_write: bool) -> None:
    api = HfApi(endpoint=hub.endpoint, token=token)
    assert api.dataset_info(REPO).private
    if may_write:
        assert add(api, a=b"1")
    else:
        with pytest.raises(HfHubHTTPError, match="403 Forbidden"):
            add(api, a=b"1")
    with pytest.raises(HfHubHTTPError, match="403 Forbidden"):
        api.create_repo("tester/another", repo_type="dataset")


def test_a_tree_is_listed_in_pages_and_folders(api: HfApi, hub: HubServer, head: str) -> None:
    hub_files = {f"many__f{number:04d}": b"x" for number in range(1_005)}
    add(api, **hub_files, README_dot_md=b"---\nlicense: mit\n---\n")
    top = {entry.path for entry in api.list_repo_tree(REPO, repo_type="dataset")}
    assert top == {".gitattributes", "README.md", "many"}
    deep = [entry.path for entry in api.list_repo_tree(REPO, repo_type="dataset", recursive=True)]
    assert len(deep) == len(set(deep)) == 1_005 + 3
    assert hub.count("tree") == 3


def test_refs_history_and_squash_are_those_of_git(api: HfApi, head: str) -> None:
    second = add(api, a=b"1")
    api.create_tag(REPO, tag="v1", repo_type="dataset")
    api.create_branch(REPO, branch="draft", revision=head, repo_type="dataset")
    third = add(api, b=b"2")
    assert [commit.commit_id for commit in api.list_repo_commits(REPO, repo_type="dataset")] == [third, second, head]
    refs = api.list_repo_refs(REPO, repo_type="dataset")
    assert {ref.name: ref.target_commit for ref in (*refs.branches, *refs.tags)} == {
        "main": third,
        "draft": head,
        "v1": second,
    }
    api.super_squash_history(REPO, repo_type="dataset", branch="main")
    [squashed] = api.list_repo_commits(REPO, repo_type="dataset")
    assert sorted(api.list_repo_files(REPO, repo_type="dataset")) == [".gitattributes", "a", "b"]
    assert squashed.commit_id not in (head, second, third)
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(REPO, revision=third)
    assert api.dataset_info(REPO, revision="v1").sha == second
    api.delete_tag(REPO, tag="v1", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(REPO, revision=second)


def test_large_files_can_be_listed_and_purged(api: HfApi, hub: HubServer, head: str) -> None:
    add(api, data_dot_bin=b"\0" * 600)
    files = list(api.list_lfs_files(REPO, repo_type="dataset"))
    assert [file.filename for file in files] == ["data.bin"]
    api.permanently_delete_lfs_files(REPO, files, repo_type="dataset", rewrite_history=True)
    assert list(api.list_lfs_files(REPO, repo_type="dataset")) == []
    assert sorted(hub.files(REPO)) == [".gitattributes"]


def test_settings_and_deletion(api: HfApi, hub: HubServer, head: str) -> None:
    api.update_repo_settings(REPO, repo_type="dataset", visibility="public")
    assert not hub.state.repo(REPO).private
    api.delete_repo(REPO, repo_type="dataset")
    assert hub.state.repos == {}


def test_a_range_of_a_file_can_be_read(hub: HubServer, api: HfApi, head: str) -> None:
    add(api, notes_dot_txt=b"0123456789")
    url, token = f"{hub.endpoint}/datasets/{REPO}/resolve/main/notes.txt", {"Authorization": "Bearer hf_test"}
    part = httpx2.get(url, headers={**token, "Range": "bytes=2-4"})
    assert (part.status_code, part.text, part.headers["Content-Range"]) == (206, "234", "bytes 2-4/10")
    assert httpx2.get(url, headers={**token, "Range": "bytes=7-"}).text == "789"
    assert httpx2.get(url, headers={**token, "Range": "bytes=10-"}).status_code == 416


def test_state_outlives_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.endpoint, token="hf_test")
        api.create_repo(REPO, repo_type="dataset", private=True)
        oid = add(api, data_dot_bin=b"\0" * 600)
    with HubServer(tmp_path / "hub") as hub:
        assert hub.files(REPO, oid)["data.bin"] == b"\0" * 600
        assert hub.state.repo(REPO).private


def test_it_runs_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.hub_server", "--state", str(tmp_path / "hub"), "--token", "hf_a:ada:write"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("hub at ").strip()
        assert HfApi(endpoint=address, token="hf_a").whoami()["name"] == "ada"
        process.terminate()


def test_the_same_seed_draws_the_same_faults() -> None:
    kinds = {"commit": 2, "resolve": 1}
    drawn = [(kind, nth, fault) for kind, nth, fault in _drawn(Faults.random(5, kinds))]
    assert drawn == [(kind, nth, fault) for kind, nth, fault in _drawn(Faults.random(5, kinds))]
    assert any(_drawn(Faults.random(seed, kinds)) != drawn for seed in range(5))


def _drawn(faults: Faults) -> list[tuple[str, int, object]]:
    for kind in ("commit", "resolve"):
        for _ in range(8):
            faults.take(kind)
    return list(faults.met)


def test_a_fault_meets_the_request_it_was_planned_for() -> None:
    faults = Faults()
    faults.take("commit")
    faults.next("commit", Answer(503))
    faults.plan("commit", 4, Answer(500))
    assert [faults.take("commit") for _ in range(3)] == [Answer(503), None, Answer(500)]


@pytest.mark.parametrize("content", [b"", b"not a shard", b"HFRepoMetaData\0" + b"\0" * 100])
def test_a_shard_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(xet.Malformed):
        xet.read_shard(content)


def test_a_xorb_with_an_unknown_compression_is_refused() -> None:
    with pytest.raises(xet.Malformed, match="compression 9"):
        xet.read_xorb(bytes([0, 1, 0, 0, 9, 1, 0, 0]) + b"x")


def test_grouped_bytes_come_back_in_order() -> None:
    for length in range(9):
        plain = bytes(range(length))
        grouped = b"".join(plain[lane::4] for lane in range(4))
        assert xet._regroup(grouped) == plain
