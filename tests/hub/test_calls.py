"""The push bounds its own requests and leaves those of the program around it alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, close_session, constants, get_session, set_client_factory
from huggingface_hub.utils import _http
from huggingface_hub.utils._http import default_client_factory

from labeler.errors import HubError
from labeler.hub import push
from labeler.hub.calls import HookedClients, TriedBefore, hook_in, one_call
from tests.hub.conftest import QUICK, REPO, repo_on
from tests.hub.packages import dpo, write_package
from tests.hub_server import Answer, HubServer, Lost


@pytest.fixture(autouse=True)
def _own_client() -> Iterator[None]:
    set_client_factory(default_client_factory)
    yield
    set_client_factory(default_client_factory)


def test_importing_changes_nothing_in_the_program_around() -> None:
    script = (
        "from huggingface_hub.utils import _http\n"
        "before = _http._GLOBAL_CLIENT_FACTORY\n"
        "import labeler.hub\n"
        "assert _http._GLOBAL_CLIENT_FACTORY is before is _http.default_client_factory\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_factory_of_the_program_around_stays_in_use() -> None:
    def proxied() -> httpx2.Client:
        return httpx2.Client(headers={"x-proxy": "of the house"}, timeout=7.0)

    set_client_factory(proxied)
    hook_in()
    hook_in()
    assert HookedClients(proxied) == _http._GLOBAL_CLIENT_FACTORY
    assert get_session().headers["x-proxy"] == "of the house"
    assert get_session().timeout == httpx2.Timeout(7.0)


def test_a_second_repo_object_does_not_close_the_connections_of_the_first(hub: HubServer) -> None:
    repo_on(hub)
    session = get_session()
    repo_on(hub)
    assert get_session() is session
    assert not session.is_closed


def test_outside_a_push_requests_are_what_they_were(hub: HubServer) -> None:
    hook_in()
    seen: list[object] = []
    get_session().event_hooks["request"].append(lambda request: seen.append(request.extensions["timeout"]))
    hub.faults.next("paths_info", Answer(503))
    api = HfApi(endpoint=hub.endpoint, token="hf_test")
    api.create_repo(REPO, repo_type="dataset", private=True)
    answer = get_session().post(f"{hub.endpoint}/api/datasets/{REPO}/paths-info/main")
    assert answer.status_code == 503
    assert seen == [httpx2.Timeout(None).as_dict()] * 2


def test_inside_a_push_every_request_has_a_timeout(hub: HubServer, tmp_path: Path, way: str) -> None:
    repo = repo_on(hub, timeout=4.0)
    seen: list[dict[str, float]] = []
    get_session().event_hooks["request"].append(lambda request: seen.append(request.extensions["timeout"]))
    push(write_package(tmp_path / "package", {("dpo", "train", 0): dpo("a")}), repo)
    assert len(seen) > 8
    assert all(timeout == httpx2.Timeout(4.0).as_dict() for timeout in seen)


def test_a_shorter_limit_that_somebody_set_stays(hub: HubServer) -> None:
    hook_in()
    seen: list[dict[str, float]] = []
    get_session().event_hooks["request"].append(lambda request: seen.append(request.extensions["timeout"]))
    with one_call(5.0):
        get_session().get(hub.endpoint, timeout=httpx2.Timeout(None, read=2.0))
    assert seen == [httpx2.Timeout(5.0, read=2.0).as_dict()]


def test_a_request_without_an_answer_is_not_repeated_by_the_library(hub: HubServer) -> None:
    hook_in()
    hub.faults.always("whoami", Lost())
    with one_call(1.0), pytest.raises(TriedBefore):
        _http.http_backoff("GET", f"{hub.endpoint}/api/whoami-v2", headers={"Authorization": "Bearer hf_test"})
    assert hub.count("whoami") == 1


def test_uploaded_bytes_are_counted_and_nothing_else(hub: HubServer) -> None:
    hook_in()
    with one_call(1.0) as call:
        get_session().post(f"{hub.endpoint}/api/validate-yaml", json={"content": "", "repoType": "dataset"})
        get_session().put(f"{hub.endpoint}/lfs/{'0' * 64}", content=b"twelve bytes")
    assert call.sent == 12


def test_the_connection_survives_a_closed_session(hub: HubServer, tmp_path: Path) -> None:
    package, repo = write_package(tmp_path / "package", {("dpo", "train", 0): dpo("a")}), repo_on(hub)
    push(package, repo)
    close_session()
    assert push(package, repo).note == "up to date"


def test_offline_mode_is_named(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = write_package(tmp_path / "package", {("dpo", "train", 0): dpo("a")})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        push(package, repo_on(hub), patience=QUICK)
    assert hub.seen == []


def test_a_hub_that_does_not_say_what_is_missing_is_understood(hub: HubServer, tmp_path: Path) -> None:
    hub.state.create(REPO, private=True)
    hub.faults.next("resolve", Answer(404), times=2)
    package = write_package(tmp_path / "package", {("dpo", "train", 0): dpo("a")})
    assert push(package, repo_on(hub)).commit == hub.commits(REPO)[0].oid
