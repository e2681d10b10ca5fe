"""What is taken back is gone from the log, the package and the Hub, and the receipt says nothing but what is so."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, constants

from labeler.errors import HubError, LogError
from labeler.export.exporter import export
from labeler.export.manifest import MANIFEST_PATH, Manifest
from labeler.export.proof import verify_package
from labeler.export.pseudonyms import Pseudonyms
from labeler.forgetting import Place, Receipt, Wish, forget
from labeler.hub import DatasetRepo, push
from labeler.store import Store
from labeler.store.pushes import push_states
from labeler.store.verify import verify_log
from tests.export import KEY, judged, open_store, study_of, tell
from tests.hub_server import Account, Answer, Gate, Hold, HubServer
from tests.stories import told

AT = "2026-11-26T10:00:00.000000Z"
REPO = "tester/votes"
SECRET = "Zebedee Quux of 7 Elm Row"
STUDY = study_of()
NAMES = Pseudonyms.of(KEY, STUDY.name)


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(accounts={"hf_test": Account("tester")}) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Four conversations, in two shards; one of them is a confidence of zeb's, who also judged another."""
    with open_store(tmp_path) as store:
        secret = told("zeb", "z1").asks(f"I am {SECRET}.").answers(f"Hello, {SECRET}!").likes()
        secret.explains("Helpful", comment=f"It knows {SECRET}.").edits(f"Good day, {SECRET}.")
        judged_by_zeb = judged(4).by("zeb").asks("And zeb asks?").answers(f"An answer to {SECRET}.").likes()
        tell(store, judged(1), secret, judged(2), judged_by_zeb)
        yield store


@pytest.fixture
def package(tmp_path: Path, store: Store) -> Path:
    export(store, STUDY, tmp_path / "exports" / "stories", key=KEY)
    return tmp_path / "exports" / "stories"


@pytest.fixture
def repo(hub: HubServer, package: Path) -> DatasetRepo:
    """The repo, with the confidence published."""
    repo = DatasetRepo(REPO, endpoint=hub.endpoint, token="hf_test", timeout=5.0)
    push(package, repo)
    return repo


def forgotten(store: Store, package: Path, subject: str, id: str, **place: Any) -> Receipt:
    wish = Wish(subject, id)  # type: ignore[arg-type]
    receipt, path = forget(store, STUDY, wish, Place(package, KEY, **place), clock=lambda: AT)
    assert json.loads(path.read_text()) == json.loads(receipt.to_json())
    return receipt


def words(content: bytes) -> str:
    """All that a file says: the values of a parquet file, whose pages are compressed, or the plain text."""
    if content.startswith(b"PAR1"):
        return str(pq.read_table(io.BytesIO(content)).to_pylist())
    return content.decode("utf-8", "replace")


def served(hub: HubServer) -> str:
    return "\n".join(words(content) for content in hub.state.served())


def on_disk(*folders: Path) -> str:
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    return "\n".join(words(file.read_bytes()) + file.read_bytes().decode("latin-1") for file in files)


@pytest.mark.parametrize(("subject", "id"), [("annotator", "zeb"), ("conversation", "z1")])
def test_the_text_is_in_no_byte_of_the_database_the_package_and_the_hub(
    subject: str, id: str, store: Store, package: Path, hub: HubServer, repo: DatasetRepo, tmp_path: Path
) -> None:
    if subject == "conversation":  # the other one, in which zeb is a guest, is not asked for
        forgotten(store, package, "conversation", "c4")
    assert SECRET in served(hub)
    assert SECRET in on_disk(tmp_path)
    receipt = forgotten(store, package, subject, id, repo=repo, purge=True)
    assert receipt.finished
    assert "Zebedee" not in served(hub)
    assert "Zebedee" not in on_disk(tmp_path)
    assert "Question 1?" in served(hub)
    assert "Question 1?" in on_disk(tmp_path)


def test_what_rests_on_it_goes_too_and_everything_else_stays(store: Store, package: Path) -> None:
    def rows(*configs: str) -> list[dict[str, Any]]:
        files = [file for config in configs for file in sorted((package / config).glob("*.parquet"))]
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    pairs, zeb = rows("dpo", "kto", "sft", "votes", "messages"), NAMES.conversations["z1"]
    assert any(row["conversation_id"] == zeb for row in pairs)
    forgotten(store, package, "conversation", "z1")
    now = rows("dpo", "kto", "sft", "votes", "messages")
    assert now == [row for row in pairs if row["conversation_id"] != zeb]


def test_log_and_package_are_sound_afterwards(store: Store, package: Path) -> None:
    forgotten(store, package, "annotator", "zeb")
    assert verify_log(store).problems == ()
    assert verify_package(package).problems == ()


def test_only_touched_shards_are_written(store: Store, package: Path) -> None:
    before = {file.path: file.shard for file in manifest(package).files}
    receipt = forgotten(store, package, "conversation", "z1")
    changed = {shard for path, shard in before.items() if path not in {file.path for file in manifest(package).files}}
    assert changed == {0}
    assert receipt.package["shards_written"] == 1


def manifest(package: Path) -> Manifest:
    return Manifest.from_json((package / MANIFEST_PATH).read_text())


# ── the receipt ──


def test_the_receipt_names_what_where_which_commits_and_how_it_was_seen(
    store: Store, package: Path, hub: HubServer, repo: DatasetRepo
) -> None:
    old = [commit.oid for commit in hub.commits(REPO)]
    receipt = forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    assert (receipt.subject, receipt.pseudonym) == ("annotator", NAMES.annotators["zeb"])
    assert set(receipt.conversations) == {NAMES.conversations["z1"], NAMES.conversations["c4"]}
    assert receipt.events > 0
    assert receipt.hub is not None
    assert receipt.hub["repo"] == REPO
    assert set(old) < set(receipt.hub["old_commits"])
    assert receipt.hub["purge"]["head"] == hub.commits(REPO)[0].oid
    assert receipt.hub["purge"]["checked"] == len(receipt.hub["old_commits"])
    assert any("old commits were looked up" in line for line in receipt.verified)
    assert receipt.finished_at == AT


def test_it_lies_beside_the_package_outlives_exports_and_is_never_pushed(
    store: Store, package: Path, hub: HubServer, repo: DatasetRepo
) -> None:
    forgotten(store, package, "conversation", "z1")
    tell(store, judged(5))
    export(store, STUDY, package, key=KEY)
    push(package, repo)
    assert len(list((package / "receipts").glob("*.json"))) == 1
    assert not [path for path in hub.files(REPO) if "receipts" in path]


def test_it_tells_no_id_and_no_text(store: Store, package: Path) -> None:
    forgotten(store, package, "conversation", "z1")
    (path,) = (package / "receipts").glob("*.json")
    assert "z1" not in path.read_text().replace(path.name, "")
    assert "Zebedee" not in path.read_text()


def test_without_a_push_it_says_that_published_copies_are_left(
    store: Store, package: Path, hub: HubServer, repo: DatasetRepo
) -> None:
    receipt = forgotten(store, package, "conversation", "z1")
    assert receipt.hub is None
    assert any("published copies" in line for line in receipt.left)
    assert SECRET in served(hub)


def test_without_a_purge_it_says_that_older_revisions_are_left(
    store: Store, package: Path, hub: HubServer, repo: DatasetRepo
) -> None:
    receipt = forgotten(store, package, "annotator", "zeb", repo=repo)
    assert any("older revisions" in line for line in receipt.left)
    assert "Zebedee" not in "".join(words(content) for content in hub.files(REPO).values())


@pytest.mark.parametrize("purge", [False, True])
def test_the_log_remembers_which_commit_the_repo_is_at_since(
    store: Store, package: Path, hub: HubServer, repo: DatasetRepo, purge: bool
) -> None:
    receipt = forgotten(store, package, "annotator", "zeb", repo=repo, purge=purge)
    (state,) = push_states(store)
    assert (state.repo, state.commit_oid) == (repo.address, hub.commits(REPO)[0].oid)
    assert (state.position, state.error, state.holder) == (receipt.position, None, None)
    assert state.pushed_at == state.committed_at


def test_what_a_pull_request_keeps_is_no_finished_erasure(
    store: Store, package: Path, hub: HubServer, repo: DatasetRepo
) -> None:
    hub.state.repo(REPO).refs["refs/pr/3"] = hub.commits(REPO)[0].oid
    receipt = forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    assert not receipt.finished
    assert any("refs/pr/3" in line for line in receipt.left)
    del hub.state.repo(REPO).refs["refs/pr/3"]
    hub.state.collect(hub.state.repo(REPO))
    again = forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    assert again.finished
    assert again.events == receipt.events
    assert len(list((package / "receipts").glob("*.json"))) == 1


# ── again, and broken off ──


def test_an_id_that_nobody_has_changes_nothing(store: Store, package: Path) -> None:
    before = on_disk(package)
    with pytest.raises(LogError, match="no annotator"):
        forgotten(store, package, "annotator", "nobody")
    assert on_disk(package) == before


def test_it_can_be_run_again_with_more_reach(store: Store, package: Path, hub: HubServer, repo: DatasetRepo) -> None:
    forgotten(store, package, "annotator", "zeb")
    receipt = forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    assert receipt.finished
    assert "Zebedee" not in served(hub)


@pytest.mark.parametrize("kind", ["repo_info", "commit", "squash", "lfs_drop", "refs", "lfs_files"])
def test_broken_off_at_the_hub_the_same_call_goes_on(
    kind: str, store: Store, package: Path, hub: HubServer, repo: DatasetRepo
) -> None:
    old = {commit.oid for commit in hub.commits(REPO)}
    hub.faults.always(kind, Answer(403))
    with pytest.raises(HubError):
        forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    hub.faults.clear()
    receipt = forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    assert receipt.finished
    assert receipt.hub is not None
    assert old <= set(receipt.hub["old_commits"])
    assert receipt.events > 0
    assert "Zebedee" not in served(hub)
    assert len(list((package / "receipts").glob("*.json"))) == 1


PROGRAM = """
import sys
from pathlib import Path
from labeler.forgetting import Place, Wish, forget
from labeler.hub import DatasetRepo
from labeler.store import Store
from tests.export import KEY, study_of

url, package, endpoint = sys.argv[1:]
repo = DatasetRepo("tester/votes", endpoint=endpoint, token="hf_test", timeout=30.0)
with Store.open(url) as store:
    place = Place(Path(package), KEY, repo, True)
    forget(store, study_of(), Wish("annotator", "zeb"), place, clock=lambda: "2026-11-26T10:00:00.000000Z")
"""


@pytest.mark.parametrize("kind", ["commit", "squash", "lfs_drop"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_in_the_middle_of_a_write_to_the_hub_the_same_call_goes_on(
    kind: str, after: bool, store: Store, package: Path, hub: HubServer, repo: DatasetRepo
) -> None:
    old = {commit.oid for commit in hub.commits(REPO)}
    gate = Gate()
    hub.faults.next(kind, Hold(gate, after=after))
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, store.url, str(package), hub.endpoint])
    assert gate.arrived.wait(60)
    program.kill()
    program.wait()
    gate.open(apply=False)
    receipt = forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    assert receipt.finished
    assert receipt.hub is not None
    assert old <= set(receipt.hub["old_commits"])
    assert "Zebedee" not in served(hub)


def test_nothing_that_was_erased_comes_back_from_another_client(
    store: Store, package: Path, hub: HubServer, repo: DatasetRepo, tmp_path: Path
) -> None:
    """A package that somebody kept cannot be pushed over: the log has moved on."""
    old = tmp_path / "kept"
    export(store, STUDY, old, key=KEY)
    forgotten(store, package, "annotator", "zeb", repo=repo, purge=True)
    with pytest.raises(HubError, match="later export"):
        push(old, repo)
    assert HfApi(endpoint=hub.endpoint, token="hf_test").dataset_info(REPO).sha == hub.commits(REPO)[0].oid
