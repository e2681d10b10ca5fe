"""A repo holds one view, with all that its readers need."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler.errors import HubError
from labeler.export.exporter import export
from labeler.hub import DatasetRepo, push, verify_remote
from labeler.store import Store
from labeler.study import View
from tests.export import KEY, judged, open_store, study_of, tell
from tests.hub.conftest import REPO
from tests.hub_server import HubServer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return tell(open_store(tmp_path), *(judged(number) for number in range(4)))


def package_of(store: Store, view: View, folder: Path) -> Path:
    return export(store, study_of().with_view(view), folder / view, key=KEY).package


def test_llamafactorys_list_is_published_with_its_rows(
    store: Store, tmp_path: Path, repo: DatasetRepo, hub: HubServer
) -> None:
    package = package_of(store, "llamafactory", tmp_path)
    push(package, repo)
    assert hub.files(REPO)["dataset_info.json"] == (package / "dataset_info.json").read_bytes()
    assert verify_remote(repo) == ()
    assert push(package, repo).note == "up to date"


@pytest.mark.parametrize("view", ["implicit", "llamafactory", "text"])
def test_a_repo_that_holds_another_view_is_not_written_to(
    view: View, store: Store, tmp_path: Path, repo: DatasetRepo, hub: HubServer
) -> None:
    push(package_of(store, "trl", tmp_path), repo)
    before = hub.commits(REPO)
    with pytest.raises(HubError, match=f"holds rows in the view trl, not {view}; use a repo for each view"):
        push(package_of(store, view, tmp_path), repo)
    assert hub.commits(REPO) == before
