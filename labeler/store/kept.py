"""The whole state of a database: the log, and the tables beside it that nothing derives; and a digest of each.

What is said of a state here is the same whichever kind of database holds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, Table, Text, collate, select

from labeler.errors import LogError
from labeler.store.dialects import on_postgresql
from labeler.store.rows import COLUMNS
from labeler.store.schema import (
    answering,
    conversations,
    events,
    keys,
    metadata,
    migrations,
    projections,
    replicas,
    review_items,
    review_words,
    summary_parts,
    summary_sums,
    touches,
)
from labeler.store.transfer import line_of

# Made by opening a database or serving it, or from the log when they are asked for. Every other table is kept.
DERIVED_TABLES = frozenset(
    table.name
    for table in (
        migrations,
        conversations,
        touches,
        projections,
        review_items,
        review_words,
        summary_parts,
        summary_sums,
        replicas,
        answering,
        keys,
    )
)
ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Held:
    """What a table holds: its columns, how many rows, and SHA-256 of its lines; of ``events`` that is its dump's."""

    columns: tuple[str, ...]
    rows: int
    sha256: str


def kept_tables() -> dict[str, Table]:
    """The tables that make the state, by name: the log first."""
    beside = {table.name: table for table in metadata.sorted_tables if table.name not in DERIVED_TABLES}
    return {events.name: beside.pop(events.name)} | beside


def columns_of(table: Table) -> tuple[str, ...]:
    """The columns that are kept: of the log those of a dump."""
    return COLUMNS if table is events else tuple(map(str, table.columns.keys()))


def lines_of(connection: Connection, table: Table, columns: Sequence[str]) -> Iterator[bytes]:
    """The rows of a table, each a line of JSON: the log as it is dumped, others in the order of their keys.

    Raises:
        LogError: bytes stand where text should.
    """
    found = connection.execute(_in_order(connection, table, columns).execution_options(yield_per=ROWS_AT_ONCE))
    if table is events:
        yield from map(line_of, found)
        return
    for row in found:
        try:
            yield orjson.dumps(dict(zip(columns, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)
        except TypeError as error:
            raise LogError(f"table {table.name}: a row holds what is no text or number ({error})") from error


def _in_order(connection: Connection, table: Table, columns: Sequence[str]) -> Select[Any]:
    chosen = select(*(table.columns[name] for name in columns))
    if table is events:
        return chosen.where(events.c.position.is_not(None)).order_by(events.c.position)
    keys: Sequence[ColumnElement[Any]] = list(table.primary_key.columns)
    if on_postgresql(connection):  # there text sorts as its language does, unless told otherwise
        keys = [collate(key, "C") if isinstance(key.type, Text) else key for key in keys]
    return chosen.order_by(*keys)


class Digest:
    """Takes in lines, and says what they amount to."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._rows = 0
        self._sha256 = hashlib.sha256()

    def through(self, lines: Iterable[bytes]) -> Iterator[list[bytes]]:
        """The lines, many at a time, when they are taken in."""
        rest = iter(lines)
        while chunk := list(islice(rest, ROWS_AT_ONCE)):
            self._rows += len(chunk)
            self._sha256.update(b"".join(chunk))
            yield chunk

    @property
    def held(self) -> Held:
        return Held(self._columns, self._rows, self._sha256.hexdigest())


def held_by(connection: Connection, shapes: Mapping[str, Sequence[str]] | None = None) -> dict[str, Held]:
    """What the tables of a state hold, read within one transaction; ``shapes`` names tables and columns to look at."""
    tables = kept_tables()
    shapes = {name: columns_of(table) for name, table in tables.items()} if shapes is None else shapes
    found = {}
    for name, columns in shapes.items():
        digest = Digest(columns)
        for _ in digest.through(lines_of(connection, tables[name], columns)):
            pass
        found[name] = digest.held
    return found
