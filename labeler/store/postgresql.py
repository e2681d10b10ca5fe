"""A PostgreSQL database: how it is named, opened and read, and what its errors mean to a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL

from labeler.errors import StoreError
from labeler.store.database import EXPECTED, ContentionError, Database, LockedError, parsed, said_by
from labeler.store.dialects import WRITING, lock
from labeler.store.schema import migrations

try:
    import psycopg
except ModuleNotFoundError as error:
    raise StoreError(
        "PostgreSQL needs the package psycopg; install it with: pip install 'labeler[postgresql]'"
    ) from error

OLDEST = 130000  # the first with 64-bit transaction ids
CONNECT_SECONDS = 5
# Connections of one process. Readers come and go all the time, and a new connection costs more than what most of them
# ask, so as many are kept as there may be; of those who write, more than kept are there for what is rare.
READERS = 16
WRITERS = 12
WRITERS_KEPT = 4
SCRUB_SECONDS = 10.0

# A cut network shows within seconds, not hours: https://www.postgresql.org/docs/current/libpq-connect.html
_PATIENCE = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# The same for the server: who vanished while writing keeps its locks, and keeps readers from all that was stored since,
# until the server finds out. By itself it would wait for hours.
SILENT_WRITER_SECONDS = 20
_SILENCE = "idle_in_transaction_session_timeout"
_SERVERS_PATIENCE = (
    "tcp_keepalives_idle = 5",
    "tcp_keepalives_interval = 2",
    "tcp_keepalives_count = 3",
    "tcp_user_timeout = 10000",
)

# Beginnings of SQLSTATE codes, and what to do. The first that fits is taken.
ADVICE: tuple[tuple[str, str], ...] = (
    ("53100", "the disk of the database server is full; make room and try again"),
    ("53300", "the database server has no connection left; raise its max_connections or run fewer servers"),
    ("53", "the database server is short of something; look at its log"),
    ("55P03", "another program keeps the database locked; try again when it is done"),
    ("40", "the database ended this for the sake of others; try again"),
    ("28", "the database server refuses the user or the password; check them in the database URL or in PGPASSFILE"),
    ("3D000", "the database server has no database of this name; make it with createdb"),
    ("3F", "there is no schema to make tables in; check the user's search_path"),
    ("42501", "the database user may not do this; make it the owner of the database"),
    ("25P03", "this server was not heard of for too long in the middle of a transaction; try again"),
    ("25006", "the database is read-only; name the primary server, not a standby"),
    ("57P", "the database server is stopping or starting; it is tried again"),
    ("XX001", "the database is damaged; restore a backup"),
    ("XX002", "the database is damaged; restore a backup"),
    ("08", "the connection to the database server was lost"),
)
# Who is not let in is told why in words alone.
REFUSALS: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "28"),
    ("no password supplied", "28"),
    ("pg_hba.conf", "28"),
    ("role ", "28"),
    ("the database system is", "57P"),  # before those in which there is a database, too
    ("database ", "3D000"),
    ("too many clients", "53300"),
    ("connection slots", "53300"),
)
UNREACHABLE = "the database server cannot be reached; check that it runs and that the address is right"
CONTENTION = ("40001", "40P01")
LOCKED = "55P03"


class PostgreSQLDatabase(Database):
    """A database of a server. ``busy_seconds`` is how long a transaction waits for a lock that others hold."""

    erased = (
        "log: its events are overwritten, and vacuumed away what they replaced; the database server's own write-ahead"
        " log, backups and standbys keep them until they are recycled"
    )

    def __init__(self, url: str, *, busy_seconds: float) -> None:
        self._url = _normal(parsed(url))
        self.name = self._url.render_as_string(hide_password=True).replace(":***@", "@")
        self.driver_error = psycopg.Error
        self._reads = self._engine("AUTOCOMMIT", kept=READERS, most=READERS)
        self._writes = self._engine("READ COMMITTED", kept=WRITERS_KEPT, most=WRITERS)
        self._alone = self._engine("AUTOCOMMIT", kept=1, most=9)  # for what no transaction may be around
        event.listen(self._reads, "connect", _setting("default_transaction_read_only = on"))
        for engine in (self._reads, self._writes, self._alone):
            event.listen(engine, "connect", _setting(*_SERVERS_PATIENCE))
        event.listen(self._writes, "connect", _setting(f"{_SILENCE} = {int(SILENT_WRITER_SECONDS * 1000)}"))
        for engine in (self._writes, self._alone):
            event.listen(engine, "connect", _setting("synchronous_commit = on"))
            event.listen(engine, "connect", _setting(f"lock_timeout = {max(1, int(busy_seconds * 1000))}"))

    def _engine(self, isolation: Any, *, kept: int, most: int) -> Engine:
        """Whoever comes when ``most`` connections are taken waits for one."""
        return create_engine(
            self._url,
            isolation_level=isolation,
            pool_size=kept,
            max_overflow=most - kept,
            pool_pre_ping=True,  # after the server was away the next question is asked of a new connection
            connect_args=dict(_PATIENCE),
        )

    @property
    def url(self) -> str:
        return self._url.render_as_string(hide_password=False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.explained(), self._reads.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        with self.explained(), self._reads.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")  # until it goes back to the others
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self.explained(), self._writes.begin() as connection:
            lock(connection, WRITING)
            yield connection

    @contextmanager
    def appending(self) -> Iterator[Connection]:
        with self.explained(), self._writes.begin() as connection:
            yield connection

    def halt_appends(self, connection: Connection) -> None:
        connection.exec_driver_sql("LOCK TABLE events IN EXCLUSIVE MODE")
        connection.exec_driver_sql(f"SET LOCAL {_SILENCE} = 0")  # takes the time it needs

    def scrub(self) -> str | None:
        """Vacuum what was overwritten, when nobody can see it any more."""
        with self.explained(), self._alone.connect() as connection:
            deadline = time.monotonic() + SCRUB_SECONDS
            current = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            overwritten = connection.exec_driver_sql(current).scalar_one()
            while _oldest(connection) < overwritten:
                if time.monotonic() > deadline:
                    return f"{self.name}, table events"
                time.sleep(0.05)
            connection.exec_driver_sql("VACUUM events")
        return None

    def damages(self) -> Iterator[str]:
        """The server checks its pages itself (data checksums); every row is read by whoever asks this."""
        yield from ()

    def exists(self) -> bool:
        with self.reading() as connection:
            return migrations.name in inspect(connection).get_table_names()

    def prepare(self) -> None:
        with self.reading() as connection:
            version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if version < OLDEST:
            raise StoreError(f"PostgreSQL {version // 10000} is too old; take {OLDEST // 10000} or later", self.name)
        if encoding != "UTF8":
            raise StoreError(f"texts need a database with the encoding UTF8, and this one has {encoding}", self.name)

    def close(self) -> None:
        for engine in (self._reads, self._writes, self._alone):
            engine.dispose()

    def meaning(self, error: BaseException | None) -> str:
        state = getattr(error, "sqlstate", None) or _state_of(said_by(error))
        lost = "the database cannot be used" if state else UNREACHABLE
        return next((words for start, words in ADVICE if state.startswith(start)), lost)

    def kind(self, error: BaseException | None) -> type[StoreError]:
        state = getattr(error, "sqlstate", None)
        if state in CONTENTION:
            return ContentionError
        return LockedError if state == LOCKED else StoreError


def _state_of(said: str) -> str:
    _, failed, why = said.rpartition(" failed: ")
    return next((state for words, state in REFUSALS if words in why), "") if failed else ""


def _oldest(connection: Connection) -> int:
    """The oldest transaction whose effects somebody does not see yet, or that runs still."""
    return int(
        connection.exec_driver_sql(
            """
            SELECT least(
                (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint),
                (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint - coalesce(max(age(backend_xmin)), 0)
                 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database())
            )
            """
        ).scalar_one()
    )


def _normal(url: URL) -> URL:
    if not url.database:
        raise StoreError(f"that database URL names no database; {EXPECTED}")
    return url.set(drivername="postgresql+psycopg")


def _setting(*words: str) -> Any:
    def on_connect(connection: Any, record: object) -> None:
        before, connection.autocommit = connection.autocommit, True
        connection.execute("; ".join(f"SET {one}" for one in words))
        connection.autocommit = before

    return on_connect
