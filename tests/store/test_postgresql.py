"""A PostgreSQL database: how it is named, and what is said when it cannot be used."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection

from labeler.errors import StoreError
from labeler.store import Store, postgresql
from labeler.store.positions import append_rows
from labeler.store.rows import drafts_of
from tests.postgres_server import QUICK, PostgresServer
from tests.store.conftest import Place
from tests.store.made import held, ids, log_of, made, votes
from tests.store.test_database import refusal

pytestmark = pytest.mark.databases("postgresql")
SECRET = "s3cret/with:odd@signs"


@pytest.fixture
def guarded(postgres: PostgresServer, place: Place) -> str:
    return postgres.guard(place.url.rpartition("/")[2], SECRET)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_a_url_may_be_written_as_other_programs_write_it(place: Place, scheme: str) -> None:
    url = place.url.replace("postgresql+psycopg", scheme)
    with Store.open(url) as store:
        store.append([made("e1")])
    assert Store.begun(place.url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql+psycopg2://me:secret@host/db", "unknown kind of database 'postgresql+psycopg2'"),
        ("postgresql+asyncpg://me:secret@host/db", "unknown kind of database 'postgresql+asyncpg'"),
        ("postgresql+psycopg://me:secret@host", "names no database"),
    ],
)
def test_what_names_no_database_is_refused_with_the_form_that_does(url: str, reason: str) -> None:
    line = refusal(url)
    assert reason in line
    assert "postgresql+psycopg://USER@HOST/NAME" in line
    assert "secret" not in line


def test_a_log_is_there_when_it_was_begun(place: Place) -> None:
    assert not Store.begun(place.url)
    with place.open():
        assert Store.begun(place.url)


def test_a_server_that_does_not_answer_is_told_without_the_password() -> None:
    line = refusal("postgresql+psycopg://me:secret@127.0.0.1:1/db")
    assert line.startswith("postgresql+psycopg://me@127.0.0.1:1/db: the database server cannot be reached; check")
    assert "secret" not in line


def test_a_wrong_password_is_told_without_it(guarded: str) -> None:
    line = refusal(guarded.replace("s3cret", "wr0ng"))
    assert "the database server refuses the user or the password" in line
    assert "wr0ng" not in line


def test_a_password_opens_the_log_and_stands_in_no_message(guarded: str) -> None:
    with Store.open(guarded) as store:
        store.append([made("e1")])
        with Store.open(store.url) as again:  # what a process beside the page is given
            assert ids(log_of(again)) == ["e1"]
        with pytest.raises(StoreError) as refused, store.database.reading() as connection:
            connection.exec_driver_sql("SELECT *\nFROM nowhere")
        assert "\n" not in str(refused.value)
        assert "s3cret" not in str(refused.value) + store.name + repr(store.database)


def test_a_database_that_is_not_there_is_named(postgres: PostgresServer) -> None:
    assert "has no database of this name; make it with createdb" in refusal(postgres.url("nowhere"))


def test_a_database_of_another_program_is_refused_and_left_alone(postgres: PostgresServer, place: Place) -> None:
    name = place.url.rpartition("/")[2]
    with postgres.connect(name) as theirs:
        theirs.execute("CREATE TABLE recipes (name TEXT)")
    assert "belongs to another program" in refusal(place.url)
    with postgres.connect(name) as theirs:
        found = theirs.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert found == [("recipes",)]


def test_a_user_who_may_not_make_tables_is_told(postgres: PostgresServer, place: Place) -> None:
    name = place.url.rpartition("/")[2]
    url = postgres.guard(name, SECRET)
    with postgres.connect(name) as owner:
        owner.execute("ALTER SCHEMA public OWNER TO postgres")
        owner.execute(f"ALTER DATABASE {name} OWNER TO postgres".encode())
    assert "the database user may not do this; make it the owner" in refusal(url)


def test_without_the_driver_it_is_said_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from labeler.errors import StoreError\n"
        "from labeler.store import Store\n"
        "try: Store.open('postgresql+psycopg://h/db')\n"
        "except StoreError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.strip() == (
        "PostgreSQL needs the package psycopg; install it with: pip install 'labeler[postgresql]'"
    )


def test_readers_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="the database is read-only"), store.database.reading() as connection:
        connection.exec_driver_sql("DELETE FROM events")


def test_every_commit_waits_for_the_disk(place: Place, postgres: PostgresServer) -> None:
    """Whatever the server's own setting is."""
    name = place.url.rpartition("/")[2]
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    with place.open() as store, store.database.appending() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


def test_a_table_that_stays_locked_refuses_after_a_while_and_takes_it_later(place: Place) -> None:
    with place.open(busy_seconds=0.2) as store:
        with held(store):
            outcomes = [store.submit([made(f"e{number}", f"c{number}")]) for number in range(3)]
            refusals = {str(outcome.exception()) for outcome in outcomes}
            assert all("keeps the database locked; try again" in line for line in refusals)
        assert ids(store.append([made("e0", "c0")])) == ["e0"]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_goes_away_is_told_and_comes_back_with_all_that_was_acknowledged(mode: str) -> None:
    with PostgresServer(*QUICK) as server, server.database() as name, Store.open(server.url(name)) as store:
        store.append(votes("before", 3))
        server.stop(mode)
        with pytest.raises(StoreError, match=r"the database server (cannot be reached|is stopping)"):
            store.append(votes("lost", 1))
        with pytest.raises(StoreError, match=r"the database server (cannot be reached|is stopping)"):
            store.position()
        server.start()
        store.append(votes("after", 2))
        assert ids(log_of(store)) == ["before-1", "before-2", "before-3", "after-1", "after-2"]


@pytest.mark.parametrize("doing", ["starting up", "shutting down", "in recovery mode"])
def test_a_server_that_is_not_ready_is_not_taken_for_one_without_the_database(place: Place, doing: str) -> None:
    said = f'connection failed: connection to server at "127.0.0.1" failed: FATAL:  the database system is {doing}'
    with place.open() as store:
        assert "is stopping or starting" in store.database.advice(psycopg.OperationalError(said))


def test_who_vanishes_in_the_middle_of_a_transaction_keeps_nothing_from_others_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "SILENT_WRITER_SECONDS", 0.5)
    with place.open() as gone, place.open() as other:
        with pytest.raises(StoreError, match="was not heard of"), gone.database.appending() as connection:
            _vanish_until(connection, other, "e1")
        assert ids(log_of(gone)) == ["e1"]


def _vanish_until(connection: Connection, other: Store, event_id: str) -> None:
    """Begin to write, and say no more until somebody else has stored an event and can see it."""
    append_rows(connection, drafts_of([made("lost", "c1")]))
    assert ids(other.append([made(event_id, "c1")])) == [event_id]  # waits for who began before
    deadline = time.monotonic() + 20
    while ids(log_of(other)) != [event_id]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    connection.exec_driver_sql("SELECT 1")


def test_who_halts_appends_on_purpose_takes_the_time_it_needs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "SILENT_WRITER_SECONDS", 0.2)
    with place.open() as store, store.database.writing() as connection:
        store.database.halt_appends(connection)
        time.sleep(0.6)
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_who_only_reads_takes_the_time_it_needs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "SILENT_WRITER_SECONDS", 0.2)
    with place.open() as store, store.database.snapshot() as connection:
        connection.exec_driver_sql("SELECT 1")
        time.sleep(0.6)
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_a_server_looks_whether_who_connected_is_still_there(store: Store) -> None:
    database = store.database
    for kind in (database.reading, database.appending, database.writing):
        with kind() as connection:
            found = [
                connection.exec_driver_sql(f"SHOW {name}").scalar_one()
                for name in (
                    "tcp_keepalives_idle",
                    "tcp_keepalives_interval",
                    "tcp_keepalives_count",
                    "tcp_user_timeout",
                )
            ]
            assert found == ["5", "2", "3", "10000"]


def test_what_is_erased_is_vacuumed_when_nobody_can_see_it_any_more(store: Store) -> None:
    store.append(votes("c1", 3))
    assert store.database.scrub() is None
    assert "write-ahead log, backups and standbys" in store.database.erased
