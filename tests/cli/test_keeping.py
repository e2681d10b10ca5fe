"""The commands that keep a study, as a person meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labeler import app
from labeler.cli import keeping
from tests.cli.conftest import Run, environment

NEW = "sqlite:///new.db"


@pytest.fixture
def kept(place: Path, run: Run) -> Path:
    """A backup of a log of some conversations."""
    run("simulate", "--conversations", "5")
    assert run("users", "add", "ann", "--generate").code == 0
    assert run("backup", "--to", "b.zip").code == 0
    return place / "b.zip"


def test_a_backup_says_what_is_in_it_and_what_is_not(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("backup", "--to", "b.zip")
    assert said.code == 0
    proven = run("verify").out.split()[-1]
    first, second, third = said.out.splitlines()
    assert first.startswith("b.zip: source ")
    assert f"1 accounts, sha256 of the log's dump {proven}, {kept.stat().st_size:,} bytes" in first
    assert second == "proven: put back and replayed, 5 conversations, nothing differs"
    assert third == "not in it, keep apart and safe: .labeler/key, .labeler/secret"
    monkeypatch.setenv("LABELER_KEY", "a key")
    facts = json.loads(run("backup", "--to", "b.zip", "--json").out)
    assert facts["keep_beside"] == ["LABELER_KEY", ".labeler/secret"]
    assert facts["tables"]["events"] == {"rows": facts["position"], "sha256": proven}


def test_the_keys_are_in_no_backup(run: Run, kept: Path) -> None:
    run("export")
    key = Path(".labeler/key").read_bytes().strip()
    run("backup", "--to", "b.zip")
    from zipfile import ZipFile  # noqa: PLC0415

    with ZipFile(kept) as archive:
        assert [name for name in archive.namelist() if key in archive.read(name)] == []
    assert keeping.SECRET == app.SECRET_FILE


def test_a_restored_database_is_equal_and_sound(run: Run, kept: Path) -> None:
    said = run("restore", "b.zip", "--database", NEW)
    assert said.out.startswith("b.zip: restored and equal, source ")
    assert run("verify", "--database", NEW).out.split()[-1] == run("verify").out.split()[-1]
    assert "ann" in run("users", "list", "--database", NEW).out


def test_a_bad_backup_is_refused_with_a_line_and_begins_no_database(run: Run, kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-9])
    assert run("restore", "b.zip", "--database", NEW).line.startswith("b.zip: this is no backup")
    assert run("restore", "none.zip", "--database", NEW).line.startswith("none.zip: there is no such file")
    assert not Path("new.db").exists()


def test_a_database_that_is_not_empty_takes_no_backup(run: Run, kept: Path) -> None:
    assert "this database is not empty" in run("restore", "b.zip").line


def test_there_is_no_backup_of_no_log(run: Run, place: Path) -> None:
    assert "there is no log here" in run("backup", "--to", "b.zip").line
    assert not Path("b.zip").exists()


def test_a_moved_database_is_proven_equal(run: Run, kept: Path) -> None:
    said = run("migrate", "--from", "sqlite:///.labeler/tried.db", "--to", NEW)
    assert said.out.startswith("moved and equal: source ")
    assert run("verify", "--database", NEW).out.split()[-1] == run("verify").out.split()[-1]
    assert "not empty" in run("migrate", "--to", NEW).line
    facts = json.loads(run("migrate", "--to", "sqlite:///newer.db", "--json").out)
    assert facts["conversations"] == 5


def test_a_database_is_not_moved_onto_itself(run: Run, kept: Path) -> None:
    said = run("migrate", "--to", "sqlite:///.labeler/tried.db")
    assert said.code == 2
    assert "name the same database" in said.err


SLOW = """
import sys, time
from labeler import cli, keeping
def slowly(*arguments, **options):
    print("a copy of the log is on the disk", flush=True)
    time.sleep(60)
keeping.verify_log = slowly
sys.argv = ["labeler", "backup", "--to", "b.zip"]
cli.main()
"""


def test_a_backup_that_is_told_to_end_leaves_nothing_lying_about(run: Run, kept: Path) -> None:
    before = sorted(Path().iterdir())
    with subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=kept.parent, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a copy of the log is on the disk\n"
        assert len(list(Path().iterdir())) == len(before) + 2  # the draft, and the scratch database's folder
        process.terminate()
        assert process.wait(60) == 143
    assert sorted(Path().iterdir()) == before
