"""The operator's page runs: its commands, from top to bottom, on a log like theirs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.cli.conftest import ROOT, Run
from tests.hub_server import Account, HubServer
from tests.postgres_server import PostgresServer

PAGE = ROOT / "docs" / "operations.md"
ELSEWHERE = ("labeler serve",)  # it does not end by itself; others serve


def told() -> list[list[str]]:
    """Every ``labeler ...`` line of the page's shell blocks, as arguments."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("labeler ")]
    return [shlex.split(line)[1:] for line in lines if not line.startswith(ELSEWHERE)]


@pytest.fixture
def hub(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer(accounts={"hf_test": Account("someone")}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        HfApi(endpoint=server.endpoint, token="hf_test").create_repo("someone/kept", repo_type="dataset", private=True)
        yield server


def test_every_command_of_the_page_does_what_it_says(
    place: Path, run: Run, hub: HubServer, postgres: PostgresServer
) -> None:
    (place / "configs" / "local.yaml").write_text((ROOT / "configs" / "local.yaml").read_text(encoding="utf-8"))
    run("simulate", "--conversations", "5")
    commands, ran = told(), []
    assert len(commands) == 12
    with postgres.database() as name:
        for command in commands:
            words = [postgres.url(name) if "@localhost/labeler" in word else word for word in command]
            if "--every" in words:
                continue  # tests/cli/test_offsite.py runs and ends one
            said = run(*words)
            assert said.code == 0, (command, said.err)
            ran.append(words[0])
        assert run("verify", "--database", postgres.url(name)).out.split()[-1] == run("verify").out.split()[-1]
    assert set(ran) == {"users", "backup", "restore", "verify", "migrate"}


def test_what_must_be_kept_is_told_where_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for part in (".labeler/key", ".labeler/secret", "LABELER_KEY", "**It does not reach backups.**"):
        assert part in page
