"""Signing in with an account of the Hub, against a provider on loopback that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.openid_server import OpenIDServer
from tests.page.conftest import study_of
from tests.page.test_sign_in import users
from tests.served import Served

CLIENT = {"OAUTH_CLIENT_ID": "labeler-test", "OAUTH_CLIENT_SECRET": "a client secret"}


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDServer]:
    with OpenIDServer() as provider:
        yield provider


@pytest.fixture(scope="module")
def hubbed(model: ModelServer, provider: OpenIDServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CLIENT.items() | {("OPENID_PROVIDER_URL", provider.address)}:
            patch.setenv(name, value)
        folder = tmp_path_factory.mktemp("hubbed")
        with QuickServed(folder, study_of(model, auth={"kind": "huggingface", "sign_up": False})) as served:
            users(served, "add", "ann", "--role", "reviewer", "--no-password")
            yield served


@pytest.fixture
def client(hubbed: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hubbed.address, follow_redirects=True, timeout=20) as client:
        yield client


def come_back(client: httpx.Client, to: str = "chat") -> httpx.Response:
    return client.get(f"/oauth/huggingface/login?_target_url=/sign-in/huggingface%3Fto%3D{to}")


def test_the_sign_in_page_leads_to_the_hub(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.url.path == "/sign-in"
    assert "Sign in with Hugging Face" in page.text
    assert "<form" not in page.text
    assert client.post("/sign-in", data={"name": "ann", "password": "x"}).status_code in (404, 405)


def test_who_was_added_comes_in_and_keeps_the_account_under_another_name(
    client: httpx.Client, hubbed: Served, provider: OpenIDServer
) -> None:
    provider.who = {"sub": "1", "preferred_username": "Ann"}
    landed = come_back(client)
    assert (landed.status_code, landed.url.path) == (200, "/")
    me = client.get("/api/me").json()
    assert me["name"] == "ann"
    provider.who = {"sub": "1", "preferred_username": "anna"}
    with httpx.Client(base_url=hubbed.address, follow_redirects=True) as other:
        come_back(other)
        assert other.get("/api/me").json()["annotator"] == me["annotator"]
    provider.who = {"sub": "2", "preferred_username": "ann"}
    with httpx.Client(base_url=hubbed.address, follow_redirects=True) as namesake:
        assert come_back(namesake).status_code == 403
        assert namesake.get("/api/me").status_code == 401


def test_no_access_token_stays_in_the_browser(client: httpx.Client, provider: OpenIDServer) -> None:
    provider.who = {"sub": "1", "preferred_username": "ann"}
    come_back(client)
    assert [cookie.name.partition("_0")[0] for cookie in client.cookies.jar] == ["labeler_account"]


def test_who_has_no_account_is_told_so(client: httpx.Client, provider: OpenIDServer) -> None:
    provider.who = {"sub": "3", "preferred_username": "stranger"}
    answer = come_back(client)
    assert answer.status_code == 403
    assert "There is no account for you in this study." in answer.text
    assert client.get(str(answer.url.join("../page"))).status_code in (401, 404)


def test_who_says_no_at_the_hub_is_asked_again(client: httpx.Client, provider: OpenIDServer) -> None:
    provider.who = None
    answer = come_back(client)
    assert (answer.status_code, answer.url.path) == (401, "/sign-in")
    assert "The Hub did not say who you are" in answer.text


def test_only_a_sign_in_asks_and_it_asks_for_a_profile(client: httpx.Client, provider: OpenIDServer) -> None:
    provider.who = {"sub": "1", "preferred_username": "ann"}
    come_back(client)
    asked = provider.asked[-1]
    assert (asked["client_id"], asked["scope"]) == ("labeler-test", "openid profile")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/sign-in/huggingface", "/healthz"])
def test_nobody_is_sent_elsewhere_from_the_hub(client: httpx.Client, target: str) -> None:
    for path in ("login", "callback"):
        answer = client.get(f"/oauth/huggingface/{path}", params={"_target_url": target})
        assert answer.status_code == 400


@pytest.mark.parametrize("query", ["", "?code=made-up&state=made-up", "?error=server_error"])
def test_a_forged_return_signs_nobody_in(hubbed: Served, query: str) -> None:
    with httpx.Client(base_url=hubbed.address) as client:
        answer = client.get(f"/oauth/huggingface/callback{query}")
        assert answer.status_code in (303, 307)
        assert client.get("/sign-in/huggingface").status_code == 401
        assert client.get("/api/me").status_code == 401


def test_a_study_without_the_applications_names_does_not_serve(
    model: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CLIENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AssertionError, match="auth: huggingface needs OAUTH_CLIENT_ID"):
        QuickServed(tmp_path, study_of(model, auth="huggingface")).start()


def test_a_hub_that_cannot_be_reached_is_one_line(
    model: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CLIENT.items() | {("OPENID_PROVIDER_URL", "http://127.0.0.1:9")}:
        monkeypatch.setenv(name, value)
    with (
        QuickServed(tmp_path, study_of(model, auth="huggingface")) as served,
        httpx.Client(base_url=served.address, follow_redirects=True) as client,
    ):
        answer = come_back(client)
        assert (answer.status_code, answer.url.path) == (401, "/sign-in")
        assert "The Hub did not say who you are" in answer.text
