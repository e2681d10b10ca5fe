"""How tables come to be. These tests are about SQLite files; what they demand is demanded of every database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, select, update
from sqlalchemy.pool import NullPool

from labeler.errors import StoreError
from labeler.store import Store
from labeler.store.database import Database
from labeler.store.migrations import MIGRATIONS, migrate
from labeler.store.schema import metadata, migrations
from tests.store.conftest import Place
from tests.store.made import AT, log_of, votes


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "study.db", busy_seconds=10)) as database:
        yield database


def steps_run(database: Database) -> list[tuple[int, str]]:
    with database.reading() as connection:
        rows = connection.execute(select(migrations.c.number, migrations.c.name).order_by(migrations.c.number))
        return [(row.number, row.name) for row in rows]


def shape(connection: Connection) -> dict[str, object]:
    """All that a database says of its tables, in a form that two of them can be compared in."""
    seen = inspect(connection)
    return {
        table: {
            "columns": [(c["name"], str(c["type"]), c["nullable"], c["primary_key"]) for c in seen.get_columns(table)],
            "primary key": seen.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(tuple(u["column_names"]) for u in seen.get_unique_constraints(table)),
            "indexes": sorted((i["name"], tuple(i["column_names"]), i["unique"]) for i in seen.get_indexes(table)),
            "options": seen.get_table_options(table),
        }
        for table in sorted(seen.get_table_names())
    }


def partial_indexes(connection: Connection) -> dict[str, str]:
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql LIKE '%INDEX%WHERE%'")
    return {name: "".join(sql.split("WHERE")[1].replace("events.", "").split()) for name, sql in rows}


def test_the_schema_is_the_sum_of_its_migrations(database: Database) -> None:
    migrate(database, AT)
    memory = create_engine("sqlite://", poolclass=NullPool)
    with database.reading() as migrated, memory.connect() as declared:
        metadata.create_all(declared)
        assert shape(migrated) == shape(declared)
        assert partial_indexes(migrated) == partial_indexes(declared) != {}


def test_every_step_leaves_a_record(database: Database) -> None:
    migrate(database, AT)
    assert steps_run(database) == [(number, step.__name__) for number, step in enumerate(MIGRATIONS, 1)]


def test_migrating_twice_is_a_noop(database: Database) -> None:
    migrate(database, AT)
    before = database.path.read_bytes()
    migrate(database, AT)
    assert database.path.read_bytes() == before


def test_steps_are_numbered_by_their_names() -> None:
    assert [step.__name__[:4] for step in MIGRATIONS] == [f"m{number:03d}" for number in range(1, len(MIGRATIONS) + 1)]


@pytest.mark.parametrize("ran", range(len(MIGRATIONS)))
def test_an_older_database_is_brought_up_to_date(database: Database, ran: int) -> None:
    migrate(database, AT, MIGRATIONS[:ran])
    migrate(database, AT)
    assert len(steps_run(database)) == len(MIGRATIONS)


def test_a_log_keeps_its_events_through_a_migration(place: Place) -> None:
    def m999_another(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE touches ADD COLUMN note TEXT")

    with place.open() as store:
        store.append(votes("c1", 3))
        before = log_of(store)
        migrate(store.database, AT, [*MIGRATIONS, m999_another])
        assert log_of(store) == before


def test_a_step_that_fails_leaves_nothing_behind(database: Database) -> None:
    def m999_half(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half (name TEXT)")
        connection.exec_driver_sql("CREATE TABLE half (name TEXT)")

    migrate(database, AT)
    with database.reading() as connection:
        before = shape(connection)
    with pytest.raises(StoreError, match="half"):
        migrate(database, AT, [*MIGRATIONS, m999_half])
    with database.reading() as connection:
        assert shape(connection) == before
    assert len(steps_run(database)) == len(MIGRATIONS)


def test_a_newer_database_is_refused_and_left_alone(database: Database) -> None:
    def m999_future(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE future (name TEXT)")

    migrate(database, AT, [*MIGRATIONS, m999_future])
    with pytest.raises(StoreError, match=r"written by a newer labeler .*m999_future.*; update labeler$"):
        Store.open(f"sqlite:///{database.path}")


def test_a_database_of_another_lineage_is_refused(database: Database) -> None:
    migrate(database, AT)
    with database.writing() as connection:
        connection.execute(update(migrations).where(migrations.c.number == 1).values(name="m001_another"))
    with pytest.raises(StoreError, match="written by a newer labeler"):
        Store.open(f"sqlite:///{database.path}")


def test_many_that_open_a_new_log_at_once_make_it_once(place: Place) -> None:
    opened: list[str] = []

    def open_it() -> None:
        with place.open() as store:
            opened.append(store.source_id)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 8
    assert len(set(opened)) == 1
    with place.open() as store:
        assert store.position() == 1
