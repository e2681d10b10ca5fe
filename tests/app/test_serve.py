"""`labeler serve` as an operator meets it: its line, its health, its end, its refusals."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labeler.app import Serving, cookie_secret, serve
from labeler.errors import LabelerError
from labeler.store import utc_now
from labeler.study import parse_study
from tests.model_server import ModelServer
from tests.served import Served


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def study_of(model: ModelServer) -> dict[str, object]:
    spec = {"name": "scripted", "kind": "openai", "base_url": model.base_url, "model": "scripted"}
    return {"name": "served", "models": [spec]}


def test_it_says_one_line_when_the_page_answers_and_ends_cleanly_on_sigterm(tmp_path: Path, model: ModelServer) -> None:
    with Served(tmp_path, study_of(model)) as served:
        assert served.address == f"http://127.0.0.1:{served.port}"
        assert served.health() == {"status": "ok", "study": "served", "position": 1}
        assert served.terminate() == 0
        assert "".join(served.errors) == ""


def test_a_second_start_on_the_same_port_is_refused_with_one_line(tmp_path: Path, model: ModelServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LabelerError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(parse_study(study_of(model)), Serving("127.0.0.1", port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.7.7", "::", "labeler.example"])
def test_without_accounts_it_binds_to_loopback_only(tmp_path: Path, model: ModelServer, host: str) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study_of(model)), encoding="utf-8")
    command = [sys.executable, "-m", "labeler", "serve", "--config", str(config), "--host", host]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "--allow-anonymous" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_missing_model_file_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    study = {"name": "served", "models": [{"name": "m", "kind": "local", "path": str(tmp_path / "absent.gguf")}]}
    config.write_text(yaml.safe_dump(study), encoding="utf-8")
    command = [sys.executable, "-m", "labeler", "serve", "--config", str(config), "--port", "0"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "absent.gguf" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("rest", [b"", b"sixteen bytes..."])
def test_a_cookie_secret_that_lost_its_end_is_refused(tmp_path: Path, rest: bytes) -> None:
    (tmp_path / "secret").write_bytes(rest)
    with pytest.raises(LabelerError, match="cut short"):
        cookie_secret(tmp_path / "secret")


def test_the_cookie_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    first = cookie_secret(path)
    assert cookie_secret(path) == first
    assert len(first) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_times_sort_as_text() -> None:
    assert utc_now() < utc_now()[:-1] + "Z~"
    assert len(utc_now()) == len("2026-11-22T10:00:00.000000Z")


def test_a_replica_with_another_key_does_not_serve_until_it_is_told_that_the_old_one_is_lost(
    tmp_path: Path, model: ModelServer
) -> None:
    study = study_of(model)
    with Served(tmp_path, study) as served:
        database = served.database
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    command = [sys.executable, "-m", "labeler", "serve", "--database", database, "--port", "0"]
    command += ["--config", str(elsewhere / "study.yaml")]
    refused = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--new-key" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
