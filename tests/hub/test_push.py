"""A push makes the repo hold exactly the package's rows, in one commit, or changes nothing."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from labeler.errors import HubError, PackageError
from labeler.export.manifest import MANIFEST_PATH, Manifest
from labeler.hub import DatasetRepo, Step, push, verify_remote
from tests.hub.conftest import REPO, repo_on
from tests.hub.packages import dpo, manifest_of, rows_in, rows_of, votes, write_package
from tests.hub_server import Answer, Change, HubServer

FIRST = {
    ("dpo", "train", 0): dpo("a", "b"),
    ("dpo", "train", 1): dpo("c"),
    ("dpo", "test", 0): dpo("d"),
    ("votes", "train", 0): votes("v1", "v2"),
}
LATER = {**FIRST, ("dpo", "train", 1): dpo("c", "e"), ("dpo", "test", 0): []}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package", FIRST)


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The same study, some votes on."""
    return write_package(tmp_path / "later", LATER, position=20)


def put(hub: HubServer, **files: str) -> None:
    """Somebody else writes to the repo."""
    entries = {path.replace("__", "/").replace("_dot_", "."): text for path, text in files.items()}
    change = Change("by hand", put={path: hub.state.regular(text.encode()) for path, text in entries.items()})
    hub.state.commit(REPO, "main", change, "colleague")


def published(hub: HubServer) -> Manifest:
    return Manifest.from_json(hub.files(REPO)[MANIFEST_PATH].decode())


# ── what a push does ──


def test_a_first_push_makes_a_private_repo_whose_one_commit_holds_the_package(
    hub: HubServer, repo: DatasetRepo, package: Path, way: str
) -> None:
    result = push(package, repo)
    made, initial = hub.commits(REPO)
    assert hub.state.repo(REPO).private
    assert (result.repo, result.commit, result.files_added, result.files_deleted) == (REPO, made.oid, 4, 0)
    assert made.parent == initial.oid
    files = hub.files(REPO)
    for file in manifest_of(package).files:
        assert files[file.path] == (package / file.path).read_bytes()
    assert files[MANIFEST_PATH] == (package / MANIFEST_PATH).read_bytes()
    assert files["README.md"] == (package / "README.md").read_bytes()


def test_a_second_push_of_the_same_rows_commits_nothing(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    push(package, repo)
    sent = hub.received("xorb", "xet_shard", "commit")
    again = push(package, repo)
    assert (again.commit, again.bytes_sent, again.note) == (None, 0, "up to date")
    assert len(hub.commits(REPO)) == 2
    assert hub.received("xorb", "xet_shard", "commit") == sent


def test_a_position_that_moved_without_new_rows_is_no_reason_to_commit(
    hub: HubServer, repo: DatasetRepo, package: Path, tmp_path: Path
) -> None:
    push(package, repo)
    moved = write_package(tmp_path / "moved", FIRST, position=99)
    assert push(moved, repo).note == "up to date"
    assert published(hub).position == 10


def test_other_rules_or_options_are_a_reason_even_if_no_row_changed(
    hub: HubServer, repo: DatasetRepo, package: Path, tmp_path: Path
) -> None:
    push(package, repo)
    result = push(write_package(tmp_path / "other", FIRST, options_digest="0def"), repo)
    assert result.commit is not None
    assert (result.files_added, result.bytes_sent) == (0, 0)
    assert published(hub).options_digest == "0def"


def test_new_shards_old_ones_manifest_and_card_change_in_one_commit(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path, way: str
) -> None:
    push(package, repo)
    before = hub.files(REPO)
    result = push(later, repo)
    after = hub.files(REPO)
    assert len(hub.commits(REPO)) == 3
    assert (result.files_added, result.files_deleted) == (1, 2)
    assert rows_in(after) == rows_of(LATER)
    gone = {path for path in before if path.startswith(("dpo/train-00001", "dpo/test-00000"))}
    assert len(gone) == 2
    assert not gone & after.keys()
    assert published(hub) == manifest_of(later)


def test_only_what_is_new_travels(hub: HubServer, repo: DatasetRepo, package: Path, later: Path, way: str) -> None:
    push(package, repo)
    kinds = ("xorb", "xet_shard", "lfs_put")
    before = hub.received(*kinds)
    result = push(later, repo)
    assert 0 < result.bytes_sent == hub.received(*kinds) - before
    added = [file for file in manifest_of(later).files if file.path.startswith("dpo/train-00001")]
    if way == "lfs":
        assert result.bytes_sent == added[0].bytes


def test_a_shard_with_the_same_rows_in_other_bytes_is_kept_and_the_manifest_names_the_published_file(
    hub: HubServer, repo: DatasetRepo, package: Path, tmp_path: Path
) -> None:
    push(package, repo)
    rewritten = write_package(tmp_path / "rewritten", LATER, position=20, compression="gzip")
    push(rewritten, repo)
    kept = {file.path: file for file in published(hub).files if file.shard == 0}
    assert kept == {file.path: file for file in manifest_of(package).files if file.path in kept}
    assert verify_remote(repo, manifest_of(rewritten)) == ()


def test_what_was_published_can_be_proven(hub: HubServer, repo: DatasetRepo, package: Path, later: Path) -> None:
    push(package, repo)
    assert verify_remote(repo) == ()
    assert verify_remote(repo, manifest_of(package)) == ()
    assert verify_remote(repo, manifest_of(later)) == ("its rows are not those of this package; push again",)


def test_an_empty_study_publishes_its_card_and_manifest(hub: HubServer, repo: DatasetRepo, tmp_path: Path) -> None:
    result = push(write_package(tmp_path / "empty", {}), repo)
    assert (result.files_added, result.bytes_sent) == (0, 0)
    assert published(hub).files == ()
    assert push(tmp_path / "empty", repo).note == "up to date"


def test_more_shards_than_one_call_can_name_are_pushed_all_the_same(
    hub: HubServer, repo: DatasetRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeler.hub.repo.PATHS_A_CALL", 3)
    monkeypatch.setattr("labeler.hub.upload.BATCH_FILES", 4)
    shards = {("dpo", "train", number): dpo(f"row {number}") for number in range(10)}
    push(write_package(tmp_path / "many", shards), repo)
    assert rows_in(hub.files(REPO)) == rows_of(shards)
    assert hub.count("xet_token") == 3


def test_a_commit_beyond_the_limit_is_refused_before_anything_is_sent(
    hub: HubServer, repo: DatasetRepo, package: Path
) -> None:
    manifest = manifest_of(package)
    one = manifest.files[0]
    names = [f"dpo/train-{number:05d}-{one.sha256[:12]}.parquet" for number in range(20_000)]
    files = [dataclasses.replace(one, path=name, split="train", shard=n, rows=1) for n, name in enumerate(names)]
    many = dataclasses.replace(manifest, files=tuple(files), totals={"dpo": {"train": len(files)}})
    (package / MANIFEST_PATH).write_text(many.to_json())
    with pytest.raises(HubError, match=r"too many for one commit; raise dataset.conversations_per_shard"):
        push(package, repo)
    assert hub.received("xorb") == 0


def test_a_push_tells_what_it_does(repo: DatasetRepo, package: Path) -> None:
    steps: list[Step] = []
    push(package, repo, report=steps.append)
    assert [step.stage for step in steps if step.stage != "send"] == ["read", "create", "read", "commit", "check"]
    sends = [step for step in steps if step.stage == "send"]
    total = sum(file.bytes for file in manifest_of(package).files)
    assert (sends[0].done, sends[-1].done) == (0, total)
    assert {step.total for step in sends} == {total}


# ── what it leaves alone ──


def test_a_dry_run_writes_nothing_and_tells_the_plan(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path
) -> None:
    push(package, repo)
    hub.seen.clear()
    result = push(later, repo, dry_run=True)
    assert (result.commit, result.bytes_sent, result.files_added, result.files_deleted) == (None, 0, 1, 2)
    assert "would send 1 files" in result.note
    assert {(seen.kind, seen.method) for seen in hub.seen} <= {
        ("repo_info", "GET"),
        ("resolve", "GET"),
        ("paths_info", "POST"),
    }
    assert len(hub.commits(REPO)) == 2


def test_a_dry_run_does_not_even_make_the_repo(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    result = push(package, repo, dry_run=True)
    assert "would create the private repo tester/votes" in result.note
    assert hub.state.repos == {}
    assert push(package, repo).commit is not None
    assert push(package, repo, dry_run=True).note == "up to date"


def test_the_data_of_another_log_is_not_overwritten(
    hub: HubServer, repo: DatasetRepo, package: Path, tmp_path: Path
) -> None:
    push(package, repo)
    foreign = write_package(tmp_path / "foreign", LATER, source_id="log-2", position=50)
    with pytest.raises(HubError, match="holds the data of another log"):
        push(foreign, repo)
    assert published(hub) == manifest_of(package)


def test_a_repo_that_holds_something_else_is_not_taken(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    hub.state.create(REPO, private=True)
    put(hub, data__train_dot_csv="a,b\n")
    with pytest.raises(HubError, match=r"already holds files that labeler did not make \(data/train.csv\)"):
        push(package, repo)
    assert len(hub.commits(REPO)) == 2


def test_a_repo_with_a_card_and_no_data_is_taken(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    hub.state.create(REPO, private=True)
    put(hub, README_dot_md="---\nlicense: mit\n---\n\nWe ask kind questions.\n")
    push(package, repo)
    assert rows_in(hub.files(REPO)) == rows_of(FIRST)


def test_a_later_export_is_not_undone(hub: HubServer, repo: DatasetRepo, package: Path, later: Path) -> None:
    push(later, repo)
    with pytest.raises(HubError, match=r"later export \(position 20\) than this package \(10\)"):
        push(package, repo)
    assert published(hub) == manifest_of(later)


def test_files_that_people_add_beside_the_data_survive(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path
) -> None:
    push(package, repo)
    put(hub, docs__protocol_dot_md="How we asked.")
    push(later, repo)
    assert hub.files(REPO)["docs/protocol.md"] == b"How we asked."
    assert verify_remote(repo) == ()


def test_a_parquet_file_that_no_export_made_is_pointed_at(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    push(package, repo)
    put(hub, **{"dpo__train-00009-0123456789ab_dot_parquet": "rows from elsewhere"})
    with pytest.raises(HubError, match=r"holds dpo/train-00009-0123456789ab.parquet, which no export made"):
        push(package, repo)
    assert verify_remote(repo) == ("dpo/train-00009-0123456789ab.parquet is named by no manifest",)


# ── what people do to a repo ──


def test_a_shard_that_somebody_deleted_is_sent_again(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    push(package, repo)
    lost = manifest_of(package).files[0].path
    hub.state.commit(REPO, "main", Change("oops", remove=(lost,)))
    assert verify_remote(repo) == (f"{lost} is missing",)
    result = push(package, repo)
    assert (result.files_added, result.commit) == (1, hub.commits(REPO)[0].oid)
    assert verify_remote(repo) == ()


def test_a_shard_that_somebody_changed_is_sent_again(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path
) -> None:
    push(package, repo)
    changed = next(file.path for file in manifest_of(package).files if file.path.startswith("dpo/train-00001"))
    kept = next(file.path for file in manifest_of(package).files if file.path.startswith("dpo/train-00000"))
    same_size = "x" * len(hub.files(REPO)[kept])
    put(hub, **{changed.replace(".", "_dot_"): "other", kept.replace(".", "_dot_"): same_size})
    assert verify_remote(repo) == (
        f"{kept} has other content than the manifest says",
        f"{changed} has other content than the manifest says",
    )
    push(later, repo)
    assert rows_in(hub.files(REPO)) == rows_of(LATER)
    assert verify_remote(repo, manifest_of(later)) == ()


def test_a_broken_manifest_on_the_hub_is_reported_and_left(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    push(package, repo)
    put(hub, _export__manifest_dot_json="{")
    with pytest.raises(HubError, match=r"it is not JSON; restore that file from the repo's history"):
        push(package, repo)
    assert len(hub.commits(REPO)) == 3


def test_what_a_newer_labeler_published_is_left_to_it(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    push(package, repo)
    put(hub, _export__manifest_dot_json=(package / MANIFEST_PATH).read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(HubError, match=r"has format 2, so a newer labeler made it; update labeler and push again$"):
        push(package, repo)
    assert len(hub.commits(REPO)) == 3


def test_files_hidden_by_a_gitignore_are_missed_after_the_commit(
    hub: HubServer, repo: DatasetRepo, package: Path
) -> None:
    hub.state.create(REPO, private=True)
    put(hub, _dot_gitignore="manifest.json")
    with pytest.raises(HubError, match=r"its manifest is not the one that was sent; does a .gitignore"):
        push(package, repo)


# ── visibility ──


def test_a_public_repo_is_refused_before_any_data_is_sent(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    hub.state.create(REPO, private=False)
    with pytest.raises(HubError, match="is public, but the study says private"):
        push(package, repo)
    assert hub.received() == 0


def test_a_hub_that_makes_the_repo_public_against_our_word_gets_no_data(
    hub: HubServer, repo: DatasetRepo, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = hub.state.create
    monkeypatch.setattr(hub.state, "create", lambda repo_id, **_: create(repo_id, private=False))
    with pytest.raises(HubError, match="is public, but the study says private"):
        push(package, repo)
    assert hub.received("preupload", "xorb", "xet_shard", "commit") == 0


def test_a_private_repo_is_not_taken_for_a_public_study(hub: HubServer, package: Path) -> None:
    hub.state.create(REPO, private=True)
    with pytest.raises(HubError, match="is private, but the study says public"):
        push(package, repo_on(hub, private=False))


def test_a_public_study_makes_a_public_repo(hub: HubServer, package: Path) -> None:
    push(package, repo_on(hub, private=False))
    assert not hub.state.repo(REPO).private


# ── the package's own faults ──


def test_no_package_is_no_push(repo: DatasetRepo, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds no package; run `labeler export` first"):
        push(tmp_path, repo)


@pytest.mark.parametrize("damage", [b"", b"not what was exported, and longer than any of the shards here" * 100])
def test_a_file_that_is_not_what_the_manifest_says_is_never_published(
    hub: HubServer, repo: DatasetRepo, package: Path, way: str, damage: bytes
) -> None:
    victim = package / manifest_of(package).files[0].path
    victim.write_bytes(damage)
    with pytest.raises(PackageError, match="is not the file its manifest names; export again"):
        push(package, repo)
    assert len(hub.commits(REPO)) == 1


def test_a_flipped_bit_in_a_shard_is_noticed(hub: HubServer, repo: DatasetRepo, package: Path, way: str) -> None:
    victim = package / manifest_of(package).files[0].path
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(PackageError, match="is not the file its manifest names; export again"):
        push(package, repo)
    assert len(hub.commits(REPO)) == 1


def test_a_missing_shard_or_card_is_named(repo: DatasetRepo, package: Path) -> None:
    (package / "README.md").unlink()
    with pytest.raises(PackageError, match=r"README.md is missing or cannot be read; export again"):
        push(package, repo)
    (package / manifest_of(package).files[0].path).unlink()
    with pytest.raises(PackageError, match=r"missing or cannot be read; export again"):
        push(package, repo)


def test_a_card_that_the_hub_rejects_is_one_clear_line(
    hub: HubServer, repo: DatasetRepo, package: Path, tmp_path: Path
) -> None:
    write_package(package, FIRST, card="---\nlicense: [mit\n---\n\nHello\n")
    with pytest.raises(HubError, match="the Hub rejects the front matter of the data set card"):
        push(package, repo)
    assert len(hub.commits(REPO)) == 1


# ── secrets ──


def test_the_token_shows_up_nowhere(
    hub: HubServer,
    repo: DatasetRepo,
    package: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = [repo, vars(repo)["_place"]]
    told.append(push(package, repo, report=told.append))
    hub.faults.always("commit", Answer(403))
    with pytest.raises(HubError) as caught:
        push(write_package(tmp_path / "later", LATER, position=20), repo, report=told.append)
    out, err = capfd.readouterr()
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = "\n".join([repr(told), out, err, caplog.text, repr(caught.value), str(caught.value.__cause__)])
    assert "hf_test" not in said
    assert not any(b"hf_test" in content for content in kept)
    assert out == err == ""
