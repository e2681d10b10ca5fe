"""A look at a database as it stands, for whoever wonders why it does not serve: nothing in it is changed.

It is opened by itself, not as a log: one that is damaged, locked or from another version is to be told, not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, func, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from labeler.checkup import Check, failed, told, warned, well
from labeler.errors import StoreError
from labeler.store.database import Database
from labeler.store.migrations import MIGRATIONS
from labeler.store.opening import database_at
from labeler.store.postgresql_migrations import POSTGRESQL_MIGRATIONS
from labeler.store.schema import events, migrations
from labeler.store.sqlite import SQLiteDatabase

NAME = "database"
LOCKED_SECONDS = 3.0
FEW_CONNECTIONS = 20  # what one page may take at once
SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")


@dataclass(slots=True)
class Examined:
    """What was found. ``newest_at`` is the time of the log's last event, None if there is none or it cannot be read.

    ``folder`` is where its files lie, if they lie on this machine.
    """

    checks: list[Check] = field(default_factory=list)
    newest_at: str | None = None
    folder: Path | None = None


def examine(url: str) -> Examined:
    """Look at the database of a study."""
    found = Examined()
    try:
        with closing(database_at(url, busy_seconds=LOCKED_SECONDS)) as database:
            looked = _file(database, found) if isinstance(database, SQLiteDatabase) else _server(database, found)
            found.checks.extend(_explained(database, looked))
    except StoreError as error:
        found.checks.append(told(NAME, str(error)))
    return found


def _explained(database: Database, checks: Iterator[Check]) -> Iterator[Check]:
    """The checks until one cannot be made; why not is the last."""
    try:
        yield from checks
    except DBAPIError as error:
        yield told(NAME, f"{database.name}: {database.advice(error.orig)}")
    except StoreError as error:
        yield told(NAME, str(error))


# ── what both have in common ──


def _version(connection: Connection, name: str, steps: int) -> Check:
    """How far its tables have come, beside what this program knows."""
    if not inspect(connection).has_table(migrations.name):
        return failed(NAME, f"{name} is no log of labeler's", "name another one with --database")
    done = connection.scalar(select(func.coalesce(func.max(migrations.c.number), 0))) or 0
    if done > steps:
        return failed(NAME, f"{name} was used by a newer labeler (step {done})", "install that version")
    if done < steps:
        return warned(
            NAME,
            f"{name} is at step {done} of {steps}",
            "the next labeler serve brings it up to date; back it up first",
        )
    return well(NAME, f"its tables are up to date (step {done})")


def _newest(connection: Connection) -> str | None:
    if not inspect(connection).has_table(events.name):
        return None
    last = select(func.max(events.c.position)).scalar_subquery()
    newest: str | None = connection.scalar(select(events.c.at).where(events.c.position == last))
    return newest


def _writable(connection: Connection, name: str, begin: str, advice: Callable[[BaseException | None], str]) -> Check:
    """A row is really written, in a transaction that is rolled back."""
    try:
        connection.exec_driver_sql(begin)
        try:
            connection.exec_driver_sql("CREATE TABLE labeler_doctor (looked INTEGER)")
            connection.exec_driver_sql("INSERT INTO labeler_doctor VALUES (1)")
        finally:
            connection.exec_driver_sql("ROLLBACK")
    except DBAPIError as error:
        return told(NAME, f"{name} takes no writes: {advice(error.orig)}")
    return well(NAME, "it takes writes (one was rolled back)")


# ── a file ──


def _file(database: SQLiteDatabase, found: Examined) -> Iterator[Check]:
    path = database.path
    found.folder = path.parent
    if not path.exists():
        yield well(NAME, f"{path} is not there yet; labeler serve begins it")
        return
    engine = _engine(path)
    try:
        with closing(engine.connect()) as connection:
            yield _sound(connection, path)
            yield _version(connection, str(path), len(MIGRATIONS))
            found.newest_at = _newest(connection)
            yield _journal(connection, path)
            yield _writable(connection, str(path), "BEGIN IMMEDIATE", database.advice)
    finally:
        engine.dispose()


def _engine(path: Path) -> Engine:
    import sqlite3  # noqa: PLC0415 - the driver itself: SQLAlchemy's URLs make a file that is not there

    def connect() -> Any:
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, timeout=LOCKED_SECONDS, isolation_level=None
        )

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _sound(connection: Connection, path: Path) -> Check:
    said = list(connection.exec_driver_sql("PRAGMA quick_check(1)").scalars())
    if said == ["ok"]:
        return well(NAME, f"{path} opens and its pages are sound")
    return failed(NAME, f"{path} is damaged ({said[0]})", "restore a backup, or load a log dump into a new file")


def _journal(connection: Connection, path: Path) -> Check:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    if mode == "wal":
        return well(NAME, "readers do not wait for writers (journal mode wal)")
    return warned(
        NAME, f"{path} is in journal mode {mode}", "labeler serve turns wal on; keep it off network file systems"
    )


# ── a server ──


def _server(database: Database, found: Examined) -> Iterator[Check]:
    database.prepare()
    with closing(create_engine(database.url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect()) as connection:
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        yield well(NAME, f"PostgreSQL {version} answers as {database.name}")
        if inspect(connection).has_table(migrations.name):
            yield _version(connection, database.name, len(POSTGRESQL_MIGRATIONS))
            found.newest_at = _newest(connection)
        else:
            yield well(NAME, f"{database.name} holds no log yet; labeler serve begins it")
        yield durability({name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in SETTINGS})
        yield _connections(connection)
        yield _writable(
            connection, database.name, f"BEGIN; SET LOCAL lock_timeout = '{LOCKED_SECONDS:.0f}s'", database.advice
        )


def durability(settings: Mapping[str, str]) -> Check:
    """Whether what the server calls committed is on its disk. Each page asks for synchronous commits by itself."""
    off = [name for name in ("fsync", "full_page_writes") if settings[name] != "on"]
    if off:
        return failed(
            NAME,
            f"the server runs with {' and '.join(f'{name} = off' for name in off)}",
            f"set {' and '.join(f'{name} = on' for name in off)}: a power cut may cost votes that were called saved",
        )
    said = ", ".join(f"{name} = {value}" for name, value in settings.items())
    return well(NAME, f"what is committed is on disk ({said})")


def _connections(connection: Connection) -> Check:
    most = int(connection.exec_driver_sql("SHOW max_connections").scalar_one())
    taken = int(connection.exec_driver_sql("SELECT count(*) FROM pg_stat_activity").scalar_one())
    if most - taken < FEW_CONNECTIONS:
        return warned(NAME, f"{taken} of its {most} connections are taken", "raise max_connections")
    return well(NAME, f"{most - taken} of its {most} connections are free")
