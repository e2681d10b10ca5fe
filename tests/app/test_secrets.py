"""Secrets stay where they are: in no page, answer, log, database, package or traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx

from labeler.accounts import cookie_key
from tests.model_server import Answer, ModelServer
from tests.page.visitor import Visitor
from tests.served import Served

SECRETS = {
    "HF_TOKEN": "hf_quinceMarmaladeQuinceMarmaladeQu",
    "HOUSE_KEY": "sk-quince-marmalade-0123456789abcdef",
    "LABELER_KEY": "cXVpbmNlIG1hcm1hbGFkZSBpcyBncmVhdCBqYW0hISE=",
}


class Secretive(Served):
    """A served study whose environment holds secrets."""

    def _environ(self) -> dict[str, str]:
        return super()._environ() | SECRETS


def command(served: Served, *words: str) -> str:
    """Everything that a command says."""
    line = [sys.executable, "-m", "labeler", *words, "--config", str(served.config), "--database", served.database]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | SECRETS
    done = subprocess.run(line, cwd=served.directory, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def everything_below(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != ".labeler"]
    assert len(files) > 5
    return b"".join(path.read_bytes() for path in files)


def test_no_secret_is_in_any_page_answer_log_database_or_package(tmp_path: Path) -> None:
    with ModelServer(key=SECRETS["HOUSE_KEY"]) as model:
        spec = {"name": "house", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
        study = {"name": "secretive", "models": [spec | {"key_env": "HOUSE_KEY"}]}
        with Secretive(tmp_path, study) as served, closing(Visitor(served)) as visitor:
            visitor.say("say: One")
            # A model server that says what it was sent, as some do.
            model.plan(Answer(fault="401", say=f"Incorrect API key provided: {SECRETS['HOUSE_KEY']}"))
            visitor.conversation = ""
            visitor.say("Does it?")
            visitor.conversation = ""
            model.plan(Answer(fault="500", say=f"headers: authorization: Bearer {SECRETS['HOUSE_KEY']}"))
            visitor.say("And now?")
            assert SECRETS["HOUSE_KEY"] in str(model.requests[-1].headers)
            paths = ("/", "/api/me", "/api/alive", "/healthz", "/nowhere", "/api/gesture", "/gradio_api/info")
            said = [visitor.http.get(path).text + str(visitor.http.get(path).headers) for path in paths]
            said += [visitor.http.post(path, json={"a": 1}).text for path in paths]
            said += [json.dumps(visitor.call({"kind": "open", "conversation": visitor.conversation, "nonce": "n" * 8}))]
            assert served.terminate(60) == 0
        said += [command(served, "export"), command(served, "stats"), command(served, "verify"), *served.errors]
    assert not (tmp_path / ".labeler" / "secret").exists()
    cookie_secret = cookie_key(SECRETS["LABELER_KEY"])
    told = "\n".join(said).encode() + everything_below(tmp_path)
    assert b"Does it?" in told
    for name, secret in SECRETS.items():
        assert secret.encode() not in told, name
    assert cookie_secret not in told
    assert cookie_secret.hex().encode() not in told


def test_an_address_of_a_database_with_a_password_is_never_repeated(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "labeler", "stats", "--database", "postgresql://ann:quince-marmalade@127.0.0.1:1/x"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert "quince-marmalade" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_cookie_secret_and_the_key_are_their_owners_alone(tmp_path: Path) -> None:
    with ModelServer() as model:
        spec = {"name": "m", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
        with Served(tmp_path, {"name": "private", "models": [spec]}) as served:
            assert httpx.get(f"{served.address}/").status_code == 200
    assert (tmp_path / ".labeler" / "secret").stat().st_mode & 0o077 == 0
