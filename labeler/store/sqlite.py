"""One SQLite file: how it is named, opened and read, and what its errors mean to a person."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from labeler.errors import StoreError
from labeler.store.database import EXPECTED, Database, dialect_of, parsed

READ_ONLY = "read-only; give labeler write access, or name another database with --database"
READERS_KEPT = 8
BUSY_PAUSE_SECONDS = 0.01

# Beginnings of SQLite's own error names, and what to do. The first that fits is taken.
ADVICE: tuple[tuple[str, str], ...] = (
    ("SQLITE_FULL", "the disk is full; make room and try again"),
    ("SQLITE_READONLY", "the database is read-only; give labeler write access to the file and its folder"),
    ("SQLITE_BUSY", "another program keeps the database locked; try again when it is done"),
    ("SQLITE_LOCKED", "another program keeps the database locked; try again when it is done"),
    ("SQLITE_CORRUPT", "the database is damaged; restore a backup, or load a log dump into a new file"),
    ("SQLITE_NOTADB", "this is not a database; name another file, or restore a backup"),
    ("SQLITE_CANTOPEN", "the database cannot be opened; check that its folder exists and can be written"),
    ("SQLITE_IOERR", "the disk cannot be read or written; check it and the room left on it"),
    ("SQLITE_NOMEM", "there is not enough memory"),
)


class SQLiteDatabase(Database):
    """A file and its two kinds of connections: many that only read, and one that writes.

    Every writing transaction begins with BEGIN IMMEDIATE, so that what it reads first (the last position) still holds
    when it writes, whatever other processes do. ``busy_seconds`` is how long it waits for theirs.
    """

    erased = "log: its events are overwritten (secure_delete), the write-ahead log is truncated"

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        self.path = path
        self.name = str(path)
        self._reads = _engine(path, busy_seconds, pool_size=READERS_KEPT, max_overflow=-1)
        self._writes = _engine(path, busy_seconds, pool_size=1, max_overflow=0)
        self._checkpoints = _engine(path, 0.2, pool_size=1, max_overflow=0)  # no transaction begins by itself here
        event.listen(self._checkpoints, "connect", _write_durably)
        event.listen(self._reads, "connect", _never_write)
        event.listen(self._writes, "connect", _write_durably)
        event.listen(self._writes, "begin", _begin_immediate)
        self._identity: tuple[int, int] | None = None
        self._turn = threading.Lock()
        self.driver_error = self._reads.dialect.loaded_dbapi.Error

    @property
    def url(self) -> str:
        """Names the file, wherever a process has its working directory."""
        return database_url(self.path.resolve())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.explained(), self._reads.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        with self.explained(), self._reads.connect() as connection:
            connection.exec_driver_sql("BEGIN")  # the first question decides which state it is
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._turn, self.explained():
            self._check_identity()
            with self._writes.begin() as connection:
                yield connection

    def appending(self) -> AbstractContextManager[Connection]:
        return self.writing()

    def halt_appends(self, connection: Connection) -> None:
        """Nothing is to be done: a file has one writer at a time."""

    def scrub(self) -> str | None:
        """Move the write-ahead log into the file and cut it to nothing."""
        with self._turn, self.explained(), self._checkpoints.connect() as connection:
            busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        return f"{self.path}-wal" if busy else None

    def damages(self) -> Iterator[str]:
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        yield from (f"the file is damaged: {line}" for line in found if line != "ok")

    def exists(self) -> bool:
        return self.path.exists()

    def close(self) -> None:
        self._reads.dispose()
        self._writes.dispose()
        self._checkpoints.dispose()

    def prepare(self) -> None:
        prepare_folder(self.path)

    def meaning(self, error: BaseException | None) -> str:
        name = getattr(error, "sqlite_errorname", "")
        return next((words for start, words in ADVICE if name.startswith(start)), "the database cannot be used")

    def _check_identity(self) -> None:
        """Refuse to write into a file that was deleted or replaced: it would be durable, and gone with the process."""
        try:
            found = os.stat(self.path)
        except OSError:
            if self._identity is None:
                return
            raise StoreError("the database was deleted or moved while in use; put it back", self.name) from None
        identity = (found.st_dev, found.st_ino)
        if self._identity is None:
            self._identity = identity
        elif identity != self._identity:
            raise StoreError("the database was replaced while in use; restart labeler", self.name)


def database_path(url: str) -> Path:
    """The file that a database URL names.

    Raises:
        StoreError: another kind of database, or none.
    """
    if dialect_of(url) != "sqlite":
        raise StoreError(f"that names no file; {EXPECTED}")
    named = parsed(url)
    if not named.database or named.database == ":memory:":
        raise StoreError(f"the log needs a file, since memory is not durable; {EXPECTED}")
    if "?" in url or named.host:  # what is behind it would be dropped, and another file taken than was named
        raise StoreError(f"a database URL of a file has nothing else, a ? in its name as %3F; {EXPECTED}")
    return Path(named.database)


def database_url(path: Path) -> str:
    """The URL of a file, from which ``database_path`` reads the same file again."""
    return f"sqlite:///{quote(str(path))}"


def prepare_folder(path: Path) -> None:
    """Make the folder of a database, for its owner's eyes only, and see that both can be written.

    Raises:
        StoreError: they cannot; SQLite would say so later and in fewer words.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot make the folder of the database ({error.strerror})") from error
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreError(f"{path.parent}: {READ_ONLY}")
    if path.is_dir():
        raise StoreError(f"{path}: this is a folder; name a file in it")
    if path.exists() and not os.access(path, os.W_OK):
        raise StoreError(f"{path}: {READ_ONLY}")


def _engine(path: Path, busy_seconds: float, *, pool_size: int, max_overflow: int) -> Engine:
    return create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=max_overflow,
        # The driver begins no transaction of its own accord: readers need none, the writer says how.
        connect_args={"timeout": busy_seconds, "isolation_level": None},
    )


def _never_write(connection: Any, record: object) -> None:
    _set(connection, "query_only = ON")


def _write_durably(connection: Any, record: object) -> None:
    # What is overwritten or deleted is zeroed in the file, too: an erased text must not lie about in free pages.
    _set(connection, "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON")


def _set(connection: Any, *pragmas: str) -> None:
    """Set up a new connection, or close it: until this returns nobody else holds it."""
    with ExitStack() as undone:
        undone.callback(connection.close)
        for pragma in pragmas:
            _execute(connection, f"PRAGMA {pragma}")
        undone.pop_all()


def _execute(connection: Any, statement: str) -> None:
    """Run a statement as patiently as the connection is.

    SQLite itself waits for nobody when it is to begin a write-ahead log while another is just about to begin the file.
    """
    began = time.monotonic()
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            (patience_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() - began > patience_ms / 1000:
                raise
        time.sleep(BUSY_PAUSE_SECONDS)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
