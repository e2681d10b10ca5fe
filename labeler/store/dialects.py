"""What the two databases say differently: statements that cannot be written once for both."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Connection, Table, Text, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

SQLITE = "sqlite"
POSTGRESQL = "postgresql"

# Of PostgreSQL's advisory locks, which all programs of a database share: what tells ours from others', and what for.
LOCKS = 0x6C61626C
WRITING = 1
NUMBERING = 2

# Positional, so that rows go to the driver as they are.
_DIALECTS: dict[str, Dialect] = {SQLITE: sqlite.dialect(), POSTGRESQL: PGDialect_psycopg(paramstyle="format")}  # type: ignore[no-untyped-call]
_MODULES: dict[str, ModuleType] = {SQLITE: sqlite, POSTGRESQL: postgresql}


def on_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == POSTGRESQL


def lock(connection: Connection, which: int) -> None:
    """Wait for one of our advisory locks, and hold it to the end of the transaction."""
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, which))


def insertion(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, for whichever database this is."""
    return _MODULES[connection.dialect.name].insert(table)


def compiled(statement: Callable[[ModuleType], ClauseElement]) -> dict[str, str]:
    """A statement as text, by the name of the dialect: compiled once, it costs a big group nothing any more.

    ``statement`` is given the dialect's module, for its ``insert``.
    """
    literal = {"literal_binds": True}
    return {
        name: str(statement(_MODULES[name]).compile(dialect=dialect, compile_kwargs=literal))
        for name, dialect in _DIALECTS.items()
    }


class member(FunctionElement[str]):
    """A text member of the JSON object in a text column."""

    type = Text()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str], key: str) -> None:
        super().__init__(column, literal_column(f"'{key}'"))


@compiles(member, SQLITE)
def _of_sqlite(element: member, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_extract({column}, '$.' || {key})"


@compiles(member, POSTGRESQL)
def _of_postgresql(element: member, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column}::json ->> {key})"
