"""A Hub of one's own, both ways of sending files to it, and nothing of this machine's account."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from labeler.hub import DatasetRepo, Patience
from tests.hub_server import Account, HubServer

REPO = "tester/votes"
QUICK = Patience(tries=8, first=0.01, longest=0.05)
ACCOUNTS = {
    "hf_test": Account("tester"),
    "hf_reader": Account("tester", "read"),
    "hf_narrow": Account("tester", "fineGrained", repos=(REPO,)),
    "hf_other": Account("stranger"),
}

MakeRepo = Callable[..., DatasetRepo]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token and no cache but those the test makes."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture(autouse=True, scope="module")
def _sockets_end_here() -> Iterator[None]:
    """huggingface_hub's clients are closed by nobody: what they hold ends here, and no other test hears of it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(accounts=ACCOUNTS) as server:
        yield server


@pytest.fixture(params=["xet", "lfs"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which files reach the Hub: Xet, the default, and plain LFS."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", request.param == "lfs")
    return str(request.param)


@pytest.fixture
def repo(hub: HubServer) -> DatasetRepo:
    return repo_on(hub)


def repo_on(hub: HubServer, **options: object) -> DatasetRepo:
    """The repo of these tests on a Hub, with little time to lose."""
    settings: dict[str, object] = {"endpoint": hub.endpoint, "token": "hf_test", "timeout": 5.0, **options}
    return DatasetRepo(REPO, **settings)  # type: ignore[arg-type]
