"""A look at a database as it lies there, for whoever wonders why it does not serve: nothing in it is changed.

It is opened by itself, not as a log: one that is damaged, locked or from another version is to be told, not refused.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from labeler.store.database import advice, database_path
from labeler.store.migrations import MIGRATIONS
from labeler.store.queries import last_position
from labeler.store.schema import events, migrations

NAME = "database"
LOCKED_SECONDS = 3.0


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
        path = database_path(url)
    except StoreError as error:
        found.checks.append(told(NAME, str(error)))
        return found
    found.folder = path.parent
    if not path.exists():
        found.checks.append(well(NAME, f"{path} is not there yet; labeler serve begins it"))
        return found
    engine = _engine(path)
    try:
        found.checks.extend(_looked_at(engine, path, found))
    except DBAPIError as error:
        found.checks.append(told(NAME, f"{path}: {advice(error.orig)}"))
    finally:
        engine.dispose()
    return found


def _looked_at(engine: Engine, path: Path, found: Examined) -> Iterator[Check]:
    with closing(engine.connect()) as connection:
        yield _sound(connection, path)
        yield _version(connection, path)
        found.newest_at = _newest(connection)
        yield _journal(connection, path)
        yield _writable(connection, path)


def _sound(connection: Connection, path: Path) -> Check:
    said = list(connection.exec_driver_sql("PRAGMA quick_check(1)").scalars())
    if said == ["ok"]:
        return well(NAME, f"{path} opens and its pages are sound")
    return failed(NAME, f"{path} is damaged ({said[0]})", "restore a backup, or load a log dump into a new file")


def _version(connection: Connection, path: Path) -> Check:
    """How far its tables have come, beside what this program knows."""
    if not inspect(connection).has_table(migrations.name):
        return failed(NAME, f"{path} is no log of labeler's", "name another file with --database")
    done = connection.scalar(select(func.coalesce(func.max(migrations.c.number), 0))) or 0
    if done > len(MIGRATIONS):
        return failed(NAME, f"{path} was used by a newer labeler (step {done})", "install that version")
    if done < len(MIGRATIONS):
        return warned(
            NAME,
            f"{path} is at step {done} of {len(MIGRATIONS)}",
            "the next labeler serve brings it up to date; back it up first",
        )
    return well(NAME, f"its tables are up to date (step {done})")


def _newest(connection: Connection) -> str | None:
    if not inspect(connection).has_table(events.name):
        return None
    newest = select(events.c.at).where(events.c.position == last_position.scalar_subquery())
    return connection.scalar(newest)


def _journal(connection: Connection, path: Path) -> Check:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    if mode == "wal":
        return well(NAME, "readers do not wait for writers (journal mode wal)")
    return warned(
        NAME, f"{path} is in journal mode {mode}", "labeler serve turns wal on; keep it off network file systems"
    )


def _writable(connection: Connection, path: Path) -> Check:
    """A row is really written, in a transaction that is rolled back."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            connection.exec_driver_sql("CREATE TABLE labeler_doctor (looked INTEGER)")
            connection.exec_driver_sql("INSERT INTO labeler_doctor VALUES (1)")
        finally:
            connection.exec_driver_sql("ROLLBACK")
    except DBAPIError as error:
        return told(NAME, f"{path} takes no writes: {advice(error.orig)}")
    return well(NAME, "it takes writes (one was rolled back)")


def _engine(path: Path) -> Engine:
    import sqlite3  # noqa: PLC0415 - the driver itself: SQLAlchemy's URLs make a file that is not there

    def connect() -> Any:
        # Opened only if it is there: a look must not make a file.
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, timeout=LOCKED_SECONDS, isolation_level=None
        )

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)
