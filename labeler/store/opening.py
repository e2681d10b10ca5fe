"""Which database a URL names. PostgreSQL's driver is loaded when a log is there."""

from __future__ import annotations

from contextlib import closing

from labeler.store.database import Database, dialect_of
from labeler.store.sqlite import SQLiteDatabase, database_path


def named(url: str) -> str:
    """What a URL names, for a person: a path, or a URL without a password.

    Raises:
        StoreError: it names no database.
    """
    with closing(database_at(url, busy_seconds=0.0)) as database:
        return database.name


def database_at(url: str, *, busy_seconds: float) -> Database:
    """The database that a URL names; nothing is made yet.

    Raises:
        StoreError: the URL names none, or what it needs is not installed.
    """
    if dialect_of(url) == "sqlite":
        return SQLiteDatabase(database_path(url), busy_seconds=busy_seconds)
    from labeler.store.postgresql import PostgreSQLDatabase  # noqa: PLC0415 - its driver is an extra

    return PostgreSQLDatabase(url, busy_seconds=busy_seconds)
