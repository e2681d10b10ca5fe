"""The main job on PostgreSQL: every command finds there what it finds in a file, and makes the same of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import Run, write_study
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.databases("postgresql")
SECRET = "s3cret/with:odd@signs"


@pytest.fixture
def url(postgres: PostgresServer, place: Path) -> object:
    with postgres.database() as name:
        yield postgres.url(name)


def bytes_of(package: Path) -> dict[str, str]:
    """What every file of a package holds."""
    return {
        str(path.relative_to(package)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(package.rglob("*"))
        if path.is_file()
    }


def test_the_same_log_gives_the_same_package_from_either_database(run: Run, place: Path, url: str) -> None:
    assert run("simulate", "--conversations", "80", "--seed", "5").code == 0
    assert run("log", "dump", "--out", "log.jsonl").code == 0
    assert run("log", "load", "log.jsonl", "--database", url).code == 0
    assert run("log", "dump", "--database", url).out.encode() == (place / "log.jsonl").read_bytes()
    assert run("export", "--out", "from-file").code == 0
    assert run("export", "--out", "from-server", "--database", url, "--workers", "2").code == 0
    assert bytes_of(place / "from-server") == bytes_of(place / "from-file")
    assert run("stats", "--json", "--database", url).out == run("stats", "--json").out


def test_a_log_that_grows_on_the_server_is_exported_step_by_step_as_all_at_once(
    run: Run, place: Path, url: str
) -> None:
    write_study(place, dataset={"conversations_per_shard": 50})
    for conversations in ("60", "120"):
        assert run("simulate", "--conversations", conversations, "--seed", "6", "--database", url).code == 0
        assert run("export", "--out", "grown", "--database", url).code == 0
    assert run("export", "--out", "at-once", "--database", url).code == 0
    assert bytes_of(place / "grown" / "dpo") == bytes_of(place / "at-once" / "dpo") != {}
    assert "sound" in run("verify", "--database", url, "--package", "grown").out


def test_a_conversation_is_forgotten_on_the_server_too(run: Run, place: Path, url: str) -> None:
    assert run("simulate", "--conversations", "20", "--seed", "7", "--database", url).code == 0
    dumped = run("log", "dump", "--database", url).out
    victim = next(line for line in dumped.splitlines() if '"conversation_started"' in line)
    conversation_id = victim.split('"conversation_id":"')[1].split('"')[0]
    said = run("forget", "--conversation", conversation_id, "--database", url)
    assert said.code == 0, said.err
    assert "vacuumed" in said.out
    again = [line for line in run("log", "dump", "--database", url).out.splitlines() if conversation_id in line]
    assert again
    assert all('"kind":"erased"' in line for line in again)
    assert "sound" in run("verify", "--database", url).out


def test_where_no_log_was_begun_it_is_said_without_the_password(run: Run, postgres: PostgresServer, url: str) -> None:
    line = run("export", "--database", postgres.guard(url.rpartition("/")[2], SECRET)).line
    assert "there is no log here; labeler serve begins one" in line
    assert "s3cret" not in line


def test_a_password_comes_from_the_environment_and_is_refused_in_a_study_file(
    run: Run, place: Path, postgres: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = postgres.guard(url.rpartition("/")[2], SECRET)
    write_study(place, database=secret)
    line = run("stats").line
    assert "a password does not belong in this file; leave it out, and set PGPASSWORD or PGPASSFILE" in line
    assert "s3cret" not in line
    write_study(place, database=url.replace("postgres@", "guarded@"))
    assert "refuses the user or the password" in run("simulate", "--conversations", "2").line
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert run("simulate", "--conversations", "2").code == 0
    assert run("export").code == 0
