"""How tables come to be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Connection, create_engine, inspect, select, update
from sqlalchemy.pool import NullPool

from labeler.errors import StoreError
from labeler.store.database import Database
from labeler.store.migrations import MIGRATIONS, Migration, migrate
from labeler.store.opening import database_at
from labeler.store.postgresql_migrations import POSTGRESQL_MIGRATIONS
from labeler.store.schema import metadata, migrations
from labeler.store.sqlite import SQLiteDatabase
from tests.store.conftest import Place
from tests.store.made import AT, ids, log_of, made, votes


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    with closing(database_at(place.url, busy_seconds=10)) as database:
        database.prepare()
        yield database


@pytest.fixture
def steps(database_kind: str) -> list[Migration]:
    """What makes the tables of this kind of database."""
    return {"sqlite": MIGRATIONS, "postgresql": POSTGRESQL_MIGRATIONS}[database_kind]


COLUMNS_OF_POSTGRESQL = (
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
)


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


@pytest.mark.databases("sqlite")
def test_the_schema_is_the_sum_of_its_migrations(database: Database) -> None:
    migrate(database, AT)
    memory = create_engine("sqlite://", poolclass=NullPool)
    with database.reading() as migrated, memory.connect() as declared:
        metadata.create_all(declared)
        assert shape(migrated) == shape(declared)
        assert partial_indexes(migrated) == partial_indexes(declared) != {}


@pytest.mark.databases("postgresql")
def test_postgresql_has_the_tables_of_the_schema_and_what_gives_positions(database: Database) -> None:
    migrate(database, AT)
    with database.reading() as connection:
        seen = inspect(connection)
        assert set(seen.get_table_names()) == set(metadata.tables)
        found: dict[str, set[str]] = {name: set() for name in metadata.tables}
        for table, column in connection.exec_driver_sql(COLUMNS_OF_POSTGRESQL):
            found[table].add(column)
        indexed = {name: {index["name"] for index in seen.get_indexes(name)} for name in metadata.tables}
    declared = {name: set(table.columns.keys()) for name, table in metadata.tables.items()}
    assert found == declared | {"events": declared["events"] | {"stored", "tx"}}
    for name, table in metadata.tables.items():
        assert {index.name for index in table.indexes} <= indexed[name]


@pytest.mark.databases("postgresql")
def test_texts_sort_by_their_bytes_on_postgresql(database: Database) -> None:
    """As on SQLite; a language's own order differs between machines, and would move rows in exports."""
    migrate(database, AT)
    with database.reading() as connection:
        unordered = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
        ).all()
    sorts = {(table.name, column.name) for table in metadata.tables.values() for column in table.primary_key}
    assert not sorts & {tuple(row) for row in unordered}


def test_every_step_leaves_a_record(database: Database, steps: list[Migration]) -> None:
    migrate(database, AT)
    assert steps_run(database) == [(number, step.__name__) for number, step in enumerate(steps, 1)]


@pytest.mark.databases("sqlite")
def test_migrating_twice_is_a_noop(database: Database) -> None:
    migrate(database, AT)
    assert isinstance(database, SQLiteDatabase)
    before = database.path.read_bytes()
    migrate(database, AT)
    assert database.path.read_bytes() == before


@pytest.mark.parametrize(("letter", "steps"), [("m", MIGRATIONS), ("p", POSTGRESQL_MIGRATIONS)])
def test_steps_are_numbered_by_their_names(letter: str, steps: list[Migration]) -> None:
    assert [step.__name__[:4] for step in steps] == [f"{letter}{number:03d}" for number in range(1, len(steps) + 1)]


def test_an_older_database_is_brought_up_to_date(database: Database, steps: list[Migration]) -> None:
    for ran in range(len(steps)):
        migrate(database, AT, steps[:ran])
        assert ran == 0 or len(steps_run(database)) == ran
    migrate(database, AT)
    assert len(steps_run(database)) == len(steps)


def test_servers_go_on_while_another_brings_their_database_up_to_date(place: Place, steps: list[Migration]) -> None:
    def x999_more(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE more (name TEXT)")

    with place.open() as running:
        running.append([made("e1")])
        with closing(database_at(place.url, busy_seconds=10)) as newer:
            migrate(newer, AT, [*steps, x999_more])
        running.append([made("e2", seq=2)])
        assert ids(log_of(running)) == ["e1", "e2"]


def test_a_log_keeps_its_events_through_a_migration(place: Place, steps: list[Migration]) -> None:
    def m999_another(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE touches ADD COLUMN note TEXT")

    with place.open() as store:
        store.append(votes("c1", 3))
        before = log_of(store)
        migrate(store.database, AT, [*steps, m999_another])
        assert log_of(store) == before


def test_a_step_that_fails_leaves_nothing_behind(database: Database, steps: list[Migration]) -> None:
    def m999_half(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half (name TEXT)")
        connection.exec_driver_sql("CREATE TABLE half (name TEXT)")

    def tables() -> set[str]:
        with database.reading() as connection:
            return set(inspect(connection).get_table_names())

    migrate(database, AT)
    before = tables()
    with pytest.raises(StoreError, match="half"):
        migrate(database, AT, [*steps, m999_half])
    assert tables() == before
    assert len(steps_run(database)) == len(steps)


def test_a_newer_database_is_refused_and_left_alone(database: Database, place: Place, steps: list[Migration]) -> None:
    def m999_future(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE future (name TEXT)")

    migrate(database, AT, [*steps, m999_future])
    with pytest.raises(StoreError, match=r"written by a newer labeler .*m999_future.*; update labeler$"):
        place.open()


def test_a_database_of_another_lineage_is_refused(database: Database, place: Place) -> None:
    migrate(database, AT)
    with database.writing() as connection:
        connection.execute(update(migrations).where(migrations.c.number == 1).values(name="m001_another"))
    with pytest.raises(StoreError, match="written by a newer labeler"):
        place.open()


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
