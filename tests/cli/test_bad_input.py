"""Whatever is wrong is said in one line that helps, exits with 1, and loses nothing."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labeler.store import Store
from tests.cli.conftest import Run, Said, command, environment, write_study
from tests.hub_server import HubServer

SomeDisk = Callable[..., Said]
LABELER = '"$PYTHON" -m labeler'


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder by digest: equal before and after means that nothing was lost."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith((".lock", "-shm", "-wal"))
    }


@pytest.fixture
def log(run: Run, place: Path) -> Path:
    """A log with something in it."""
    assert run("simulate", "--conversations", "20").code == 0
    return place / ".labeler" / "tried.db"


@pytest.fixture
def package(run: Run, log: Path, place: Path) -> Path:
    """A package made from it."""
    assert run("export").code == 0
    return place / "exports" / "tried"


# ── study files ──


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nmae: x\n", "configs/local.yaml: key 'name' is missing (and 2 more)"),
        ("name: x\nmodels:\n  - {name: m, kind: local}\nvote_reason: []\n", "unknown key 'vote_reason'; compare"),
        ("name: x\nmodels:\n  - {name: m, kind: oracle}\n", "key 'models.0'"),
        ("name: x\nmodels:\n  - {name: m, kind: local, path: 3}\n", "key 'models.0.local.path'"),
        ("name: [x\n", "configs/local.yaml, line 2: this is not YAML; mend the line"),
        ("name: x\ntitle: X\nname: y\n", "configs/local.yaml, line 3: key 'name' stands here again; keep one"),
        ("rules: {seed: 1, seed: 2}\n", "configs/local.yaml, line 1: key 'seed' stands here again; keep one"),
        ("- a\n- b\n", "a study file holds 'key: value' lines"),
        ("", "a study file holds 'key: value' lines"),
        ("name: \udcff\n", "it is not UTF-8 text"),
        ("name: 2026-13-45\n", "configs/local.yaml: this is not YAML; mend the line"),
        ("name: " + "[" * 5000, "configs/local.yaml: this is not YAML; mend the line"),
    ],
)
def test_a_wrong_study_file_is_named_with_its_key_or_line(run: Run, place: Path, text: str, said: str) -> None:
    (place / "configs" / "local.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert said in run("export").line
    assert not (place / ".labeler").exists()


def test_a_missing_study_file_is_named_with_what_to_say(run: Run) -> None:
    assert run("stats", "--config", "nowhere.yaml").line == (
        "nowhere.yaml: cannot read the study file (No such file or directory); name one with --config"
    )


def test_a_model_that_is_not_there_is_said_before_the_page_is(run: Run, place: Path) -> None:
    write_study(place, models=[{"name": "m", "kind": "local", "path": str(place / "missing.gguf")}])
    assert "missing.gguf" in run("serve", "--port", "0").line


# ── where to listen ──


def test_others_are_not_let_in_without_accounts(run: Run) -> None:
    assert "--allow-anonymous" in run("serve", "--host", "0.0.0.0", "--port", "0").line


def test_a_port_that_is_taken_is_named(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in run("serve", "--port", str(port)).line


# ── databases ──


@pytest.mark.parametrize("url", ["", "tried.db", "mysql://localhost/x", "sqlite://", "://", "sqlite:///a?.db"])
def test_a_database_that_cannot_be_one_is_refused_with_the_form_it_should_have(run: Run, url: str) -> None:
    assert "sqlite:///" in run("simulate", "--conversations", "1", "--database", url).line


@pytest.mark.parametrize("command", ["export", "stats", "verify", "log dump"])
def test_a_log_that_is_not_there_is_not_begun_by_reading_it(run: Run, place: Path, command: str) -> None:
    line = run(*command.split(), "--database", "sqlite:///misspelt.db").line
    assert "misspelt.db: there is no log here" in line
    assert not (place / "misspelt.db").exists()


@pytest.mark.parametrize("command", ["export", "stats", "verify", "log dump", "simulate --conversations 1"])
def test_a_file_that_is_no_database_is_left_alone(run: Run, place: Path, command: str) -> None:
    (place / "notes.db").write_bytes(b"These are my notes. " * 500)
    before = content(place)
    assert "this is not a database" in run(*command.split(), "--database", "sqlite:///notes.db").line
    assert content(place) == before


@pytest.mark.parametrize("command", ["export", "stats", "verify", "log dump"])
def test_a_damaged_database_is_called_damaged(run: Run, log: Path, command: str) -> None:
    with sqlite3.connect(log) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with log.open("r+b") as file:
        for page in range(3, log.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)
    line = run(*command.split()).line
    assert "damaged" in line


def test_a_locked_database_says_who_to_wait_for_and_loses_nothing(
    run: Run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Store.open.__func__.__kwdefaults__, "busy_seconds", 0.3)  # not the ten seconds of a user
    other = sqlite3.connect(log, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert (
            "another program keeps the database locked" in run("simulate", "--conversations", "1", "--seed", "2").line
        )
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert run("verify").code == 0


def test_a_full_disk_is_called_full_and_what_was_stored_is_sound(on_a_small_disk: SomeDisk, place: Path) -> None:
    simulate = f"{LABELER} simulate --conversations 4000 --database sqlite:///disk/log.db"
    said = on_a_small_disk(f"{simulate}; code=$?; cp disk/log.db* .; exit $code", kilobytes=2048)
    assert "the disk is full; make room" in said.line
    with sqlite3.connect(place / "log.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) = max(position), count(*) > 0 FROM events").fetchone() == (1, 1)
    connection.close()


@pytest.mark.parametrize("command", ["simulate --conversations 1", "export", "stats"])
def test_a_read_only_disk_is_called_read_only(on_a_small_disk: SomeDisk, command: str) -> None:
    line = f"mount -o remount,ro disk; {LABELER} {command} --database sqlite:///disk/new/log.db"
    said = on_a_small_disk(line, kilobytes=1024).line
    assert "disk/new" in said
    assert ("ead-only" in said) or ("there is no log here" in said)


def test_a_bad_line_of_a_dump_is_named_by_number_and_nothing_is_loaded(run: Run, log: Path, place: Path) -> None:
    assert run("log", "dump", "--out", "dump.jsonl").code == 0
    lines = (place / "dump.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    lines[41] = lines[41].replace('"seq":', '"sequence":')
    (place / "bad.jsonl").write_text("".join(lines), encoding="utf-8")
    assert "bad.jsonl, line 42: " in run("log", "load", "bad.jsonl", "--database", "sqlite:///new.db").line
    assert "local, 1 events" in run("stats", "--database", "sqlite:///new.db").out.replace(
        "tried: 0 conversations", "local"
    )


@pytest.mark.parametrize("file", ["nowhere.jsonl", "configs"])
def test_a_dump_that_is_not_there_begins_no_log(run: Run, place: Path, file: str) -> None:
    assert f"{file}: there is no such file" in run("log", "load", file).line
    assert not (place / ".labeler").exists()


@pytest.mark.parametrize("out", ["/dev/full", "nowhere/dump.jsonl", "configs"])
def test_a_dump_that_cannot_be_written_leaves_nothing_behind(run: Run, log: Path, place: Path, out: str) -> None:
    before = content(place)
    assert run("log", "dump", "--out", out).line
    assert content(place) == before


# ── packages ──


def test_a_package_that_was_changed_says_where(run: Run, package: Path) -> None:
    shard = next(package.glob("dpo/train-*.parquet"))
    with shard.open("r+b") as file:
        file.seek(100)
        file.write(b"\0" * 8)
    (package / "kto" / "train-00007-0123456789ab.parquet").write_bytes(shard.read_bytes())
    said = run("verify", "--package", "exports/tried")
    assert f"dpo/{shard.name}: has other content than the manifest says" in said.out
    assert "train-00007-0123456789ab.parquet: the manifest does not name it" in said.out
    assert "on stdout" in said.line


def test_a_package_of_another_log_is_told_apart(run: Run, package: Path) -> None:
    run("simulate", "--conversations", "1", "--database", "sqlite:///other.db")
    said = run("verify", "--package", "exports/tried", "--database", "sqlite:///other.db")
    assert "it was made from another log" in said.line


def test_a_log_that_lost_its_end_is_told_beside_the_package_it_made(run: Run, log: Path, package: Path) -> None:
    with sqlite3.connect(log) as connection:
        connection.execute("DELETE FROM events WHERE position = (SELECT max(position) FROM events)")
    connection.close()
    said = run("verify", "--package", "exports/tried")
    assert "exports/tried: it was made at log position " in said.out
    assert ", but the log ends at " in said.out


def test_a_tampered_log_does_not_pass_for_sound(run: Run, log: Path) -> None:
    with sqlite3.connect(log) as connection:
        connection.execute("UPDATE events SET body = replace(body, ':1,', ':9,') WHERE kind = 'vote_cast'")
    connection.close()
    assert "tried.db: " in run("verify").line


def test_a_folder_that_is_no_package_is_refused_and_left_alone(run: Run, log: Path, place: Path) -> None:
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.txt").write_text("The only copy.")
    before = content(place / "thesis")
    assert "holds files but no _export/manifest.json" in run("export", "--out", "thesis").line
    assert content(place / "thesis") == before


def test_a_full_disk_leaves_the_package_as_it_was(on_a_small_disk: SomeDisk, package: Path, place: Path) -> None:
    before = content(package)
    line = (
        f"cp -r exports/tried disk/ && {LABELER} simulate --conversations 900 >&2 && {LABELER} export --out disk/tried"
    )
    said = on_a_small_disk(f"{line}; code=$?; cp -r disk/tried after; exit $code", kilobytes=900)
    assert (said.code, "Traceback" in said.err) == (1, False)
    assert "free some space; the package is as it was" in said.err
    assert content(place / "after") == before


def test_a_package_with_a_broken_manifest_is_not_written_over(run: Run, package: Path) -> None:
    (package / "_export" / "manifest.json").write_text("{")
    before = content(package)
    assert "manifest" in run("export").line
    assert content(package) == before


def test_a_pseudonym_key_that_cannot_be_used_is_named(run: Run, log: Path, place: Path) -> None:
    (place / ".labeler" / "key").write_bytes(b"")
    assert ".labeler/key: the pseudonym key is empty" in run("export").line


# ── the Hub ──


def test_a_push_without_a_repo_says_how_to_name_one(run: Run, log: Path, place: Path) -> None:
    assert run("push").line == "no repo is named: say --repo OWNER/NAME, or set dataset.repo in the study file"
    assert not (place / "exports").exists()


@pytest.mark.parametrize("name", ["", "feedback", "a b/c", "a/b/c", "-/x", "tester/a..b"])
def test_a_repo_name_that_cannot_be_one_is_refused_before_anything_is_asked(
    run: Run, hub: HubServer, log: Path, name: str
) -> None:
    assert f"'{name}'" in run("push", "--repo", name).line
    assert f"'{name}'" in run("verify", "--repo", name).line
    assert hub.seen == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999", "http://127.0.0.1:port", "http://[::1"])
@pytest.mark.parametrize("arguments", [("export",), ("push", "--repo", "tester/feedback")], ids=["export", "push"])
def test_an_endpoint_that_is_no_address_is_said_in_one_line(
    log: Path, address: str, arguments: tuple[str, ...]
) -> None:
    # In a process of its own: the client fails while it is imported, and here it is imported already.
    ran = subprocess.run(
        command(*arguments), env=environment(HF_ENDPOINT=address), capture_output=True, text=True, check=False
    )
    said = Said(ran.returncode, ran.stdout, ran.stderr)
    assert said.line.startswith(f"'{address}' is not a Hub's address (")
    assert said.line.endswith("; check HF_ENDPOINT")


def test_a_token_without_rights_is_said_and_never_shown(
    run: Run, hub: HubServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("push", "--repo", "tester/feedback").code == 0
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert run("simulate", "--conversations", "1", "--seed", "9").code == 0
    said = run("push", "--repo", "tester/feedback")
    assert "tester/feedback" in said.line
    assert "hf_read" not in said.out + said.err
    assert len(hub.commits("tester/feedback")) == 2


def test_no_token_or_a_wrong_one_names_the_variable_to_set(
    run: Run, hub: HubServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_forgotten")
    assert "set HF_TOKEN" in run("push", "--repo", "tester/feedback").line
    monkeypatch.delenv("HF_TOKEN")
    assert "set HF_TOKEN" in run("push", "--repo", "tester/feedback").line


def test_a_repo_of_nobody_is_said_to_be_missing(run: Run, hub: HubServer, log: Path) -> None:
    assert "nobody/feedback" in run("push", "--repo", "nobody/feedback").line


def test_a_repo_of_another_log_is_not_touched(run: Run, hub: HubServer, log: Path, place: Path) -> None:
    assert run("push", "--repo", "tester/feedback").code == 0
    before = hub.files("tester/feedback")
    run("simulate", "--conversations", "3", "--database", "sqlite:///other.db")
    said = run("push", "--repo", "tester/feedback", "--database", "sqlite:///other.db", "--out", "exports/other")
    assert "holds the data of another log" in said.line
    assert hub.files("tester/feedback") == before


def test_a_repo_with_data_of_others_is_not_touched(run: Run, hub: HubServer, log: Path) -> None:
    from huggingface_hub import HfApi  # noqa: PLC0415 - a test's own visitor

    api = HfApi(endpoint=hub.endpoint, token="hf_test")
    api.create_repo("tester/theirs", repo_type="dataset", private=True)
    api.upload_file(path_or_fileobj=b"a,b\n", path_in_repo="data.csv", repo_id="tester/theirs", repo_type="dataset")
    before = hub.files("tester/theirs")
    assert "labeler did not make (data.csv)" in run("push", "--repo", "tester/theirs").line
    assert hub.files("tester/theirs") == before


def test_a_public_repo_is_not_pushed_to_by_a_private_study(run: Run, hub: HubServer, log: Path) -> None:
    from huggingface_hub import HfApi  # noqa: PLC0415 - a test's own visitor

    HfApi(endpoint=hub.endpoint, token="hf_test").create_repo("tester/open", repo_type="dataset", private=False)
    assert "is public, but the study says private" in run("push", "--repo", "tester/open").line
