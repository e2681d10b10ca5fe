"""After a purge the repo holds the package and no past: nothing of what was left out can be read there any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import HfApi

from labeler.errors import HubError
from labeler.hub import DatasetRepo, Patience, Step, history_of, purge_history, push, verify_remote
from tests.hub.conftest import QUICK, REPO, repo_on
from tests.hub.packages import dpo, manifest_of, rows_in, rows_of, votes, write_package
from tests.hub_server import Answer, HubServer, Lost, Reset, Slow, Zombie

SECRET = "zebedee-quux"
WITH = {("dpo", "train", 0): dpo("a", SECRET), ("dpo", "train", 1): dpo("c"), ("votes", "train", 0): votes("v1")}
WITHOUT = {**WITH, ("dpo", "train", 0): dpo("a")}

WRITES = ("drop_ref", "squash", "lfs_drop")
READS = ("repo_info", "refs", "commits", "tree", "lfs_files", "paths_info", "resolve")


@pytest.fixture
def package(hub: HubServer, repo: DatasetRepo, tmp_path: Path) -> Path:
    """A package that took something back, published over one that still had it."""
    push(write_package(tmp_path / "with", WITH, compression="none"), repo)
    package = write_package(tmp_path / "without", WITHOUT, position=20, compression="none")
    push(package, repo)
    return package


def secret_served(hub: HubServer) -> bool:
    return any(SECRET.encode() in content for content in hub.state.served())


def client(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token="hf_test")


def test_a_push_alone_leaves_what_was_taken_back_in_the_past(hub: HubServer, package: Path) -> None:
    assert secret_served(hub)


def test_nothing_that_was_taken_back_is_served_after_a_purge(
    way: str, hub: HubServer, repo: DatasetRepo, package: Path
) -> None:
    before = [commit.oid for commit in hub.commits(REPO)]
    result = purge_history(repo, manifest_of(package))
    assert not secret_served(hub)
    (now,) = hub.commits(REPO)
    assert (result.head, result.complete, result.kept_refs) == (now.oid, True, ())
    assert set(result.commits) == set(before)
    assert len(result.files) == 1
    assert rows_in(hub.files(REPO)) == rows_of(WITHOUT)
    assert verify_remote(repo, manifest_of(package)) == ()


def test_old_commits_are_not_found_by_the_real_client(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    old = [commit.oid for commit in hub.commits(REPO)]
    purge_history(repo, manifest_of(package))
    for oid in old:
        with pytest.raises(Exception, match=r"Invalid rev id|not found"):
            client(hub).dataset_info(REPO, revision=oid)


def test_branches_and_tags_go_with_what_they_hold(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    old = hub.commits(REPO)[1].oid
    client(hub).create_tag(REPO, tag="v1", revision=old, repo_type="dataset")
    client(hub).create_branch(REPO, branch="draft/one", revision=old, repo_type="dataset")
    result = purge_history(repo, manifest_of(package))
    assert set(result.refs) == {"refs/tags/v1", "refs/heads/draft/one"}
    assert list(hub.state.repo(REPO).refs) == ["refs/heads/main"]
    assert not secret_served(hub)


def test_what_a_pull_request_still_reaches_is_told(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    """No client can delete its ref. Its large files go all the same; its commit can still be found."""
    old = hub.commits(REPO)[1].oid
    hub.state.repo(REPO).refs["refs/pr/1"] = old
    result = purge_history(repo, manifest_of(package))
    assert result.kept_refs == ("refs/pr/1",)
    assert old in result.kept_commits
    assert not result.complete
    assert not secret_served(hub)


def test_large_files_of_others_that_the_head_holds_stay(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    client(hub).upload_file(path_or_fileobj=b"\0" * 64, path_in_repo="notes.bin", repo_id=REPO, repo_type="dataset")
    purge_history(repo, manifest_of(package))
    assert hub.files(REPO)["notes.bin"] == b"\0" * 64


def test_it_is_refused_where_the_package_is_not_published(
    hub: HubServer, repo: DatasetRepo, package: Path, tmp_path: Path
) -> None:
    newer = write_package(tmp_path / "newer", {**WITHOUT, ("dpo", "train", 2): dpo("x")}, position=30)
    with pytest.raises(HubError, match="push it first"):
        purge_history(repo, manifest_of(newer))
    assert len(hub.commits(REPO)) == 3


def test_it_is_refused_where_a_file_of_the_package_is_missing(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    client(hub).delete_file(manifest_of(package).files[0].path, REPO, repo_type="dataset")
    with pytest.raises(HubError, match="push again"):
        purge_history(repo, manifest_of(package))
    assert len(hub.commits(REPO)) == 4


def test_a_second_purge_finds_nothing_to_do_and_still_looks(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    first = purge_history(repo, manifest_of(package))
    second = purge_history(repo, manifest_of(package), commits=first.commits)
    assert (second.head, second.commits, second.checked) == (first.head, first.commits, len(first.commits))
    assert (second.files, second.refs, second.complete) == ((), (), True)


def test_history_tells_every_commit_of_every_branch_and_tag(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    client(hub).create_branch(REPO, branch="side", revision=hub.commits(REPO)[2].oid, repo_type="dataset")
    assert set(history_of(repo)) == {commit.oid for commit in hub.commits(REPO)}


def test_a_repo_that_is_not_there_has_no_history(repo: DatasetRepo) -> None:
    assert history_of(repo) == ()


def test_a_token_that_may_not_write_is_told_so(hub: HubServer, package: Path) -> None:
    with pytest.raises(HubError, match="may not do this"):
        purge_history(repo_on(hub, token="hf_reader"), manifest_of(package), patience=QUICK)
    assert secret_served(hub)


@pytest.mark.parametrize("kind", [*READS, *WRITES])
@pytest.mark.parametrize(
    "fault",
    [Answer(503), Answer(429, {"Retry-After": "1"}), Reset(), Lost(), Lost(502), Zombie(0.05), Slow(0.1)],
    ids=repr,
)
def test_a_fault_at_any_step_costs_a_try_and_nothing_else(
    hub: HubServer, repo: DatasetRepo, package: Path, kind: str, fault: Answer
) -> None:
    client(hub).create_tag(REPO, tag="v1", revision=hub.commits(REPO)[1].oid, repo_type="dataset")
    hub.faults.next(kind, fault)
    result = purge_history(repo, manifest_of(package), patience=QUICK)
    hub.settle()
    assert hub.faults.met
    assert not secret_served(hub)
    assert result.complete
    assert rows_in(hub.files(REPO)) == rows_of(WITHOUT)


@pytest.mark.parametrize("kind", WRITES)
def test_broken_off_anywhere_it_can_be_run_again(hub: HubServer, repo: DatasetRepo, package: Path, kind: str) -> None:
    client(hub).create_tag(REPO, tag="v1", revision=hub.commits(REPO)[1].oid, repo_type="dataset")
    old = history_of(repo)
    hub.faults.always(kind, Answer(500))
    with pytest.raises(HubError, match="gave up"):
        purge_history(repo, manifest_of(package), patience=Patience(tries=2, first=0.01, longest=0.01))
    hub.faults.clear()
    result = purge_history(repo, manifest_of(package), commits=old)
    assert set(result.commits) == set(old)
    assert result.complete
    assert not secret_served(hub)


def test_it_says_what_it_does(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    steps: list[Step] = []
    purge_history(repo, manifest_of(package), report=steps.append)
    said = " ".join(step.text for step in steps)
    assert "one commit of 3" in said
    assert "1 large files" in said
