"""How a database is named, and what is said when it cannot be used. These tests are about SQLite files."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from labeler.errors import StoreError
from labeler.store import Store
from labeler.store.sqlite import database_path
from tests.store.made import ids, log_of, made, votes


def refusal(url: str, **options: float) -> str:
    """The one line with which opening fails."""
    with pytest.raises(StoreError) as refused:
        Store.open(url, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ── names ──


def test_a_url_names_a_file() -> None:
    assert database_path("sqlite:///.labeler/study.db") == Path(".labeler/study.db")
    assert database_path("sqlite:////var/lib/study.db") == Path("/var/lib/study.db")
    assert database_path("sqlite+pysqlite:///study.db") == Path("study.db")
    assert database_path("sqlite:///50%25 of it%3F #2 ü.db") == Path("50% of it? #2 ü.db")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://me:secret@host/db", "unknown kind of database 'mysql'"),
        ("sqlite+aiosqlite:///x.db", "unknown kind of database 'sqlite+aiosqlite'"),
        ("sqlite://", "memory is not durable"),
        ("sqlite:///:memory:", "memory is not durable"),
        ("sqlite://host/x.db", "of a file has nothing else"),
        ("sqlite:///x.db?mode=ro", "of a file has nothing else"),
        ("sqlite:///is it.db?", "a ? in its name as %3F"),
        ("sqlite:///what?.db", "a ? in its name as %3F"),
        ("me:secret@nowhere", "cannot be read"),
        ("other://me:secret@host:port/db", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_what_names_no_file_is_refused_with_the_form_that_does(url: str, reason: str) -> None:
    line = refusal(url)
    assert reason in line
    assert "sqlite:///FILE" in line
    assert "secret" not in line


# ── places ──


def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/a/b/study.db").close()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "this is a folder" in refusal(f"sqlite:///{tmp_path}")


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot make the folder" in refusal(f"sqlite:///{tmp_path}/file/study.db")


OPEN_AS_NOBODY = """
import os, sys
from labeler.errors import StoreError
from labeler.store import Store
Store.open(sys.argv[1]).close()  # all is imported by now
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
for url in sys.argv[2:]:
    try:
        Store.open(url)
    except StoreError as error:
        print(error)
"""


def test_what_may_not_be_written_is_said_to_be_read_only(tmp_path: Path) -> None:
    shut, file = tmp_path / "shut", tmp_path / "open" / "study.db"
    shut.mkdir()
    file.parent.mkdir()
    Store.open(f"sqlite:///{file}").close()
    shut.chmod(0o555)
    file.chmod(0o444)
    file.parent.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    places = [tmp_path / "used.db", shut / "study.db", shut / "new" / "study.db", file]
    urls = [f"sqlite:///{place}" for place in places]
    command = [sys.executable, "-c", OPEN_AS_NOBODY, *urls]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.stderr == ""
    assert said.stdout.splitlines() == [
        f"{shut}: read-only; give labeler write access, or name another database with --database",
        f"{shut / 'new'}: cannot make the folder of the database (Permission denied)",
        f"{file}: read-only; give labeler write access, or name another database with --database",
    ]


# ── contents ──


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_text("study: this is YAML, and the wrong argument\n" * 100)
    before = path.read_bytes()
    assert "this is not a database" in refusal(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE recipes (name TEXT)")
    assert "belongs to another program" in refusal(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as theirs:
        assert theirs.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


READS: dict[str, Callable[[Store], object]] = {
    "load": lambda store: store.load("c1"),
    "scan": lambda store: list(store.scan()),
    "shard": lambda store: list(store.shard_rows(0, 9, 9999)),
}


@pytest.mark.parametrize("read", READS)
def test_a_damaged_database_says_so_to_whoever_reads_there(tmp_path: Path, read: str) -> None:
    path = tmp_path / "study.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.extend([event] for event in votes("c1", 3000))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(bytes(size // 3))  # both ends of the log can still be read
    with Store.open(f"sqlite:///{path}") as store, pytest.raises(StoreError, match="the database is damaged; restore"):
        READS[read](store)


# ── what can happen while it is open ──


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else's transaction that does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_database_that_stays_locked_refuses_after_a_while_and_takes_it_later(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with Store.open(f"sqlite:///{path}", busy_seconds=0.2) as store:
        with locked(path):
            outcomes = [store.submit([made(f"e{number}", f"c{number}")]) for number in range(3)]
            refusals = {str(outcome.exception()) for outcome in outcomes}
            assert all("keeps the database locked; try again" in line for line in refusals)
            assert log_of(store) == []
        assert ids(store.append([made("e0", "c0")])) == ["e0"]


def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with Store.open(f"sqlite:///{path}") as store:
        with locked(path):
            waiting = store.submit([made("e1")])
            time.sleep(0.2)
            assert not waiting.done()
        assert ids(waiting.result(timeout=10)) == ["e1"]


def test_a_locked_database_can_be_opened_and_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    with Store.open(url) as store:
        store.append([made("e1")])
    with locked(tmp_path / "study.db"), Store.open(url, busy_seconds=0.1) as store:
        assert ids(log_of(store)) == ["e1"]


def test_a_log_that_another_program_is_about_to_begin_is_waited_for(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as elsewhere:
        with locked(tmp_path / "study.db"):
            opening = elsewhere.submit(Store.open, f"sqlite:///{tmp_path}/study.db")
            time.sleep(0.2)
            assert not opening.done()
        with opening.result(timeout=10) as store:
            assert ids(store.append([made("e1")])) == ["e1"]


def test_a_log_that_another_program_never_begins_is_given_up(tmp_path: Path) -> None:
    with locked(tmp_path / "study.db"):
        began = time.monotonic()
        line = refusal(f"sqlite:///{tmp_path}/study.db", busy_seconds=0.2)
    assert "another program keeps the database locked; try again" in line
    assert time.monotonic() - began >= 0.2


def test_a_full_disk_refuses_everything_and_loses_nothing(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/study.db") as store:
        with store.database.writing() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4}")
        histories = [votes(f"c{number}", 40) for number in range(20)]
        outcomes = [store.submit(history) for history in histories]
        failed = [number for number, outcome in enumerate(outcomes) if outcome.exception()]
        assert failed
        assert "the disk is full; make room and try again" in str(outcomes[failed[0]].exception())
        kept = {event.conversation_id for event in log_of(store)}
        assert kept == {f"c{number}" for number in range(20)} - {f"c{number}" for number in failed}
        with store.database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        for number in failed:
            store.append(histories[number])
        assert all(len(store.load(f"c{number}")) == 40 for number in range(20))


APPEND_UNTIL_FULL = """
import resource, sys
from labeler.errors import StoreError
from labeler.store import Store
from tests.store.made import votes
with Store.open(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    for number in range(10_000):
        try:
            store.append(votes(f"c{number}", 10))
        except StoreError as error:
            print(error)
            break
    acknowledged = number
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.append(votes(f"c{number}", 10))
    print(acknowledged)
"""


def test_a_write_that_the_system_refuses_is_told_and_the_writer_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    said = subprocess.run(
        [sys.executable, "-c", APPEND_UNTIL_FULL, url], capture_output=True, text=True, check=True, timeout=100
    )
    line, acknowledged = said.stdout.splitlines()
    assert "the disk cannot be read or written; check it and the room left on it" in line
    with Store.open(url) as store:
        assert store.conversation_count(store.position()) == int(acknowledged) + 1
        assert store.position() == 1 + 10 * (int(acknowledged) + 1)


def test_a_database_that_was_deleted_is_not_written_to(tmp_path: Path) -> None:
    """What goes into a deleted file is on disk, and gone with the process."""
    path = tmp_path / "study.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.append([made("e1")])
        path.rename(tmp_path / "moved.db")
        with pytest.raises(StoreError, match="was deleted or moved while in use"):
            store.append([made("e2", seq=2)])
        shutil.copy(tmp_path / "moved.db", path)
        with pytest.raises(StoreError, match="was replaced while in use"):
            store.append([made("e2", seq=2)])
        path.unlink()
        (tmp_path / "moved.db").rename(path)
        assert ids(store.append([made("e2", seq=2)])) == ["e2"]


def test_an_error_of_the_driver_is_one_line_with_the_file_in_it(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/study.db") as store:
        with pytest.raises(StoreError) as refused, store.database.reading() as connection:
            connection.exec_driver_sql("SELECT *\nFROM nowhere")
        assert str(refused.value) == f"{tmp_path}/study.db: the database cannot be used (no such table: nowhere)"


def test_readers_cannot_write(tmp_path: Path) -> None:
    with (
        Store.open(f"sqlite:///{tmp_path}/study.db") as store,
        pytest.raises(StoreError, match="the database is read-only"),
        store.database.reading() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM events")


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/study.db") as store, store.database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
