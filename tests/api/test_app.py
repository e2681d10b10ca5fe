"""The API on the application that is served: beside the page, on one log, up to the dataset."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from datasets import load_dataset

from labeler.accounts.tokens import BELIEVED_SECONDS
from labeler.client import ApiError, Client
from tests.model_server import ModelServer
from tests.served import Served


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model: ModelServer) -> Iterator[Served]:
    spec = {"name": "scripted", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
    study = {"name": "served", "models": [spec], "dataset": {"test_percent": 0}}
    with Served(tmp_path_factory.mktemp("served"), study) as served:
        yield served


def run(served: Served, *command: str) -> str:
    said = subprocess.run(
        [sys.executable, "-m", "labeler", *command, "--config", str(served.config), "--database", served.database],
        cwd=served.directory,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_HOME": str(served.directory / "hf")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


def test_what_is_told_with_a_token_of_the_command_line_ends_in_the_dataset(served: Served) -> None:
    token = run(served, "tokens", "add", "theirs")
    with Client(served.address, token) as client:
        client.begin("a conversation without a word")
        chat = client.begin("ada").conversation_id
        client.message(chat, "Why is the sky blue?")
        first = client.reply(chat, "Because.", model="theirs-small", sampling={"seed": 7}).message_id
        second = client.reply(chat, "Rayleigh scattering.", model="theirs-large", retries=first).message_id
        client.vote(chat, first, -1)
        client.compare(chat, first, second, "b")
        client.message(chat, "And at dusk?")
        client.reply(chat, None, model="theirs-small")
    run(served, "verify")
    package = served.directory / "package"
    run(served, "export", "--out", str(package))
    (pair,) = load_dataset(str(package), "dpo", split="train", cache_dir=str(served.directory / "cache")).to_list()
    assert [one["content"] for one in pair["prompt"]] == ["Why is the sky blue?"]
    assert pair["chosen"][0]["content"] == "Rayleigh scattering."
    assert pair["rejected"][0]["content"] == "Because."
    assert (pair["chosen_model"], pair["rejected_model"]) == ("theirs-large", "theirs-small")


def test_the_page_and_the_api_share_nothing_but_the_log(served: Served) -> None:
    token = run(served, "tokens", "add", "beside-the-page")
    header = {"authorization": f"Bearer {token}"}
    page = httpx.get(f"{served.address}/", headers=header)
    assert page.status_code == 200
    cookies = dict(page.cookies)
    assert cookies
    assert httpx.get(f"{served.address}/api/v1/study", cookies=cookies).status_code == 401
    assert httpx.get(f"{served.address}/api/v1/study", headers=header).status_code == 200
    assert httpx.get(f"{served.address}/api/alive", headers=header).json()["annotator"] is None
    with Client(served.address, token) as client:
        assert client.begin("ada").event_ids


def test_a_token_that_is_revoked_while_it_is_served_is_soon_refused(served: Served) -> None:
    token = run(served, "tokens", "add", "soon-gone", "--expires", "1")
    with Client(served.address, token) as client:
        client.study()
        run(served, "tokens", "revoke", "soon-gone")
        time.sleep(BELIEVED_SECONDS)
        with pytest.raises(ApiError, match="revoked"):
            client.study()


def test_it_ends_cleanly_and_what_was_told_is_there_after_a_restart(served: Served) -> None:
    token = run(served, "tokens", "add", "stays")
    with Client(served.address, token) as client:
        told = client.begin("ada", key="the-only-one")
    assert served.terminate() == 0
    assert "".join(served.errors) == ""
    served.start()
    with Client(served.address, token) as client:
        assert client.begin("ada", key="the-only-one") == told
