"""`labeler doctor` finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect

from labeler.checkup import Check, told
from labeler.doctor.machine import SLACK_SECONDS, clock, room, secret_files
from labeler.doctor.packages import packages, pins_in
from labeler.durations import later
from labeler.store import Store, utc_now
from labeler.store.examining import SETTINGS, durability, examine
from tests.cli.conftest import ROOT, Run, write_study
from tests.hub_server import Account, HubServer
from tests.model_server import ModelServer

LINE = re.compile(r"(ok  |warn|fail) (packages|database|clock|disk|key|secret|model \S+|token|repo): .+")
NOW = "2026-11-22T10:00:00.000000Z"


@pytest.fixture(scope="module")
def answering() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def study_on(place: Path, model: ModelServer, **keys: Any) -> Path:
    spec = {"kind": "openai", "name": "m", "base_url": model.base_url, "model": "m"}
    return write_study(place, models=[spec], **keys)


def begun(place: Path) -> Path:
    """A log in the study's place, as serving leaves it."""
    path = place / ".labeler" / "tried.db"
    Store.open(f"sqlite:///{path}").close()
    return path


def levels(checks: list[Check] | Iterator[Check]) -> list[str]:
    return [check.level for check in checks]


def everything_in(place: Path) -> dict[str, str]:
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


# ── the command ──


def test_a_sound_study_is_fine_throughout_and_looking_changes_nothing(
    run: Run, place: Path, answering: ModelServer
) -> None:
    study_on(place, answering)
    begun(place)
    before = everything_in(place)
    said = run("doctor")
    assert (said.code, said.err) == (0, "")
    assert all(LINE.fullmatch(line) for line in said.out.splitlines())
    names = {line[5:].partition(":")[0] for line in said.out.splitlines()}
    assert names == {"packages", "database", "clock", "disk", "key", "secret", "model m", "repo"}
    assert everything_in(place) == before


def test_before_anything_was_begun_nothing_is_made(run: Run, place: Path, answering: ModelServer) -> None:
    study_on(place, answering)
    before = everything_in(place)
    assert run("doctor").code == 0
    assert everything_in(place) == before


def test_each_failure_stands_on_its_line_and_the_command_ends_with_one(run: Run, place: Path) -> None:
    database = begun(place)
    database.write_bytes(b"no database " * 1000)
    said = run("doctor")
    assert said.line.startswith("2 of ")
    assert "(database, model m)" in said.line
    failures = [line for line in said.out.splitlines() if line.startswith("fail")]
    assert len(failures) == 2
    assert all("; " in line for line in failures)


def test_as_json_it_is_one_object(run: Run, place: Path, answering: ModelServer) -> None:
    study_on(place, answering)
    document = json.loads(run("doctor", "--json").out)
    assert document["ok"] is True
    assert all(check.keys() == {"name", "level", "words", "todo"} for check in document["checks"])
    write_study(place)
    assert json.loads(run("doctor", "--json").out)["ok"] is False


# ── the database ──


def test_a_served_log_is_looked_at_beside_its_server(place: Path) -> None:
    with Store.open(f"sqlite:///{begun(place)}") as store:
        assert set(levels(examine(store.url).checks)) == {"ok"}


def test_a_locked_log_is_told_with_what_to_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeler.store.examining.LOCKED_SECONDS", 0.1)
    path = begun(place)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        (failure,) = [check for check in examine(f"sqlite:///{path}").checks if check.level == "fail"]
        other.execute("ROLLBACK")
    other.close()
    assert "another program keeps the database locked" in str(failure)


def test_damaged_pages_are_found(place: Path) -> None:
    path = begun(place)
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 3] = b"\xff" * 4096
    path.write_bytes(content)
    assert "fail" in levels(examine(f"sqlite:///{path}").checks)


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        ("DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)", "warn", "back it up first"),
        ("INSERT INTO migrations VALUES (9999, 'tomorrow', '2030')", "fail", "install that version"),
        ("DROP TABLE migrations", "fail", "no log of labeler's"),
        ("PRAGMA journal_mode = DELETE", "warn", "journal mode delete"),
    ],
)
def test_a_log_of_another_version_or_kind_is_told(place: Path, statement: str, level: str, words: str) -> None:
    path = begun(place)
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    (check,) = [check for check in examine(f"sqlite:///{path}").checks if check.level != "ok"]
    assert check.level == level
    assert words in str(check)


def test_the_newest_events_time_is_found(place: Path) -> None:
    path = begun(place)
    with Store.open(f"sqlite:///{path}") as store:
        (event,) = store.scan()
    assert examine(f"sqlite:///{path}").newest_at == event.at


@pytest.mark.parametrize("url", ["oracle://x", "sqlite://", "nonsense"])
def test_a_url_that_is_none_is_told_and_never_shown_with_its_password(url: str) -> None:
    (check,) = examine(url).checks
    assert check.level == "fail"


# ── a database server ──


@pytest.mark.databases("postgresql")
def test_a_server_is_looked_at_and_nothing_is_made_in_it(new_url: Callable[[str], str]) -> None:
    url = new_url("looked-at")
    assert "holds no log yet" in " ".join(map(str, examine(url).checks))
    assert not Store.begun(url)
    with Store.open(url) as store:
        (event,) = store.scan()
        found = examine(url)
        assert found.newest_at == event.at
        assert store.position() == 1
    troubled = [check for check in found.checks if check.level != "ok"]
    assert ["fsync = off" in check.words for check in troubled] == [True]  # the tests' server need not be durable
    assert len(found.checks) == 5
    assert not any("labeler_doctor" in table for table in tables_of(url))


def tables_of(url: str) -> list[str]:
    engine = create_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


@pytest.mark.databases("postgresql")
def test_a_server_that_takes_no_writes_is_told(new_url: Callable[[str], str]) -> None:
    url = new_url("standby")
    Store.open(url).close()
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    engine.dispose()
    assert "the database is read-only" in str(examine(url).checks[-1])


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    (check,) = examine("postgresql+psycopg://labeler:s3cret@127.0.0.1:9/log").checks
    assert check.level == "fail"
    assert "cannot be reached" in str(check)
    assert "s3cret" not in str(check)


@given(st.fixed_dictionaries({name: st.sampled_from(["on", "off"]) for name in SETTINGS}))
def test_a_server_that_may_forget_what_it_committed_is_a_failure(settings: dict[str, str]) -> None:
    check = durability(settings)
    off = [name for name in ("fsync", "full_page_writes") if settings[name] == "off"]
    assert check.level == ("fail" if off else "ok")
    assert all(f"{name} = on" in check.todo for name in off)


# ── the machine ──


@given(st.floats(-1e9, 1e9))
def test_the_clock_is_right_unless_the_newest_event_lies_ahead_of_it(ahead: float) -> None:
    (check,) = clock(later(NOW, ahead), NOW)
    assert check.level == ("fail" if ahead > SLACK_SECONDS + 1e-6 else "ok") or abs(ahead - SLACK_SECONDS) < 1e-3


def test_a_clock_before_this_program_was_written_is_wrong() -> None:
    assert levels(clock(None, "1970-01-01T00:00:07.000000Z")) == ["fail"]
    assert levels(clock(None, utc_now())) == ["ok"]


@pytest.mark.parametrize(("free", "level"), [(10**12, "ok"), (10**9, "warn"), (10**7, "fail")])
def test_little_room_is_a_warning_and_none_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage(free))
    assert levels(room(tmp_path / "not" / "there", tmp_path)) == [level]


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


@pytest.mark.parametrize("name", ["key", "secret"])
@pytest.mark.parametrize(("mode", "level"), [(0o600, "ok"), (0o400, "ok"), (0o640, "fail"), (0o604, "fail")])
def test_a_key_that_others_can_read_is_a_failure(tmp_path: Path, name: str, mode: int, level: str) -> None:
    (tmp_path / ".labeler").mkdir()
    (tmp_path / ".labeler" / name).write_text("s3cret")
    (tmp_path / ".labeler" / name).chmod(mode)
    (check,) = [check for check in secret_files({}, tmp_path) if check.name == name]
    assert check.level == level
    assert "s3cret" not in str(check)


def test_a_key_from_the_environment_is_never_shown(tmp_path: Path) -> None:
    checks = list(secret_files({"LABELER_KEY": "s3cret"}, tmp_path))
    assert levels(checks) == ["ok", "ok"]
    assert "s3cret" not in "".join(map(str, checks))


def test_an_empty_key_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / ".labeler").mkdir()
    (tmp_path / ".labeler" / "key").touch(0o600)
    assert levels(secret_files({}, tmp_path)) == ["fail", "ok"]


# ── packages ──


def test_pins_that_are_not_what_is_installed_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "requirements"
    folder.mkdir()
    (folder / "core.txt").write_text("gradio==0.0.1 \\\n    --hash=sha256:0\nnumpy==0.1 ; sys_platform == 'amiga' \\\n")
    (check,) = packages(tmp_path)
    assert check.level == "warn"
    assert "gradio 6.31.0 (pinned 0.0.1)" in check.words
    assert "numpy" not in check.words


def test_without_a_checkout_the_declared_ranges_count(tmp_path: Path) -> None:
    (check,) = packages(tmp_path)
    assert check.level == "ok"
    assert "no pins are here" in check.words


def test_the_pins_of_this_checkout_are_read() -> None:
    pins = pins_in(ROOT / "requirements")
    assert pins["gradio"] == "6.31.0"
    assert len(pins) > 50


# ── the Hub ──


@pytest.mark.parametrize(
    ("token", "repo", "private", "expected"),
    [
        ("hf_test", None, True, [("token", "ok"), ("repo", "warn")]),
        ("hf_test", True, True, [("token", "ok"), ("repo", "ok"), ("repo", "ok")]),
        ("hf_test", True, False, [("token", "ok"), ("repo", "fail"), ("repo", "ok")]),
        ("hf_test", False, True, [("token", "ok"), ("repo", "fail"), ("repo", "ok")]),
        ("hf_read", True, True, [("token", "fail")]),
        ("hf_nobody", True, True, [("token", "fail")]),
        ("hf_narrow", True, True, [("token", "ok"), ("repo", "warn")]),
    ],
)
def test_the_tokens_rights_and_the_repos_privacy_are_looked_at(
    run: Run,
    place: Path,
    answering: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    repo: bool | None,
    private: bool,
    expected: list[tuple[str, str]],
) -> None:
    accounts = {
        "hf_test": Account("tester"),
        "hf_read": Account("tester", "read"),
        "hf_narrow": Account("tester", "fineGrained", repos=("tester/other",)),
    }
    study_on(place, answering, dataset={"repo": "tester/votes", "private": private})
    with HubServer(accounts=accounts) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", token)
        if repo is not None:
            from huggingface_hub import HfApi  # noqa: PLC0415 - reads HF_ENDPOINT when it is imported

            HfApi(endpoint=hub.endpoint, token="hf_test").create_repo("tester/votes", repo_type="dataset", private=repo)
        made = len(hub.state.repos)
        document = json.loads(run("doctor", "--json").out)
        assert len(hub.state.repos) == made
    found = [(check["name"], check["level"]) for check in document["checks"] if check["name"] in ("token", "repo")]
    assert found == expected
    assert token not in json.dumps(document)


def test_a_hub_that_does_not_answer_is_told(
    run: Run, place: Path, answering: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_on(place, answering, dataset={"repo": "tester/votes"})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert "(token)" in run("doctor").line


# ── models ──


def test_a_local_model_is_looked_at_and_not_started(run: Run, place: Path) -> None:
    spec = {"kind": "local", "name": "m", "path": str(place / "m.gguf")}
    write_study(place, models=[spec])
    assert "there is no file" in run("doctor").out
    (place / "m.gguf").write_bytes(b"<html>not found</html>")
    assert "is no GGUF file" in run("doctor").out
    (place / "m.gguf").write_bytes(b"GGUF" + bytes(60))
    assert "m.gguf is there" in run("doctor").out


def test_a_model_is_asked_for_one_token(run: Run, place: Path, answering: ModelServer) -> None:
    study_on(place, answering)
    run("doctor")
    assert answering.requests[-1].body["max_tokens"] == 1


@given(st.text(max_size=60).filter(lambda words: "; " not in words), st.text(max_size=60))
def test_a_line_of_ours_is_told_with_its_advice_apart(words: str, advice: str) -> None:
    check = told("x", f"{words}; {advice}") if words else told("x", advice)
    assert check.level == "fail"
    assert str(check).startswith("fail x: ")
