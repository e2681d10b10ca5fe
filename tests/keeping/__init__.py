"""Backups, restoring, moving."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from sqlalchemy import Boolean, Float, Integer, Table, insert

from labeler.store import Store
from labeler.store.kept import Held, held_by, kept_tables
from labeler.store.schema import events
from tests.stories import told, told_of

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


def a_log(store: Store) -> None:
    """A bit of everything: several people, texts of any script, what is told of an annotator."""
    store.append(told(system_prompt="Be brief.").asks("Warum? 🌤\n\tSo?\0\u2028").answers("«Streuung»").likes().events)
    store.append(told("bea", "c2").asks("Why?").answers("So.").retries("Thus.").better().edits("Hence.").events)
    store.append(told_of("ann").consents().is_excluded().is_included().events)


def rows_of(table: Table) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Any rows that a table takes: keys and what must be unique differ, all else is as it comes."""
    rows = st.lists(st.fixed_dictionaries({column.name: _values(column.type) for column in table.columns}), max_size=4)

    def told_apart(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
        unique = [column.name for column in table.columns if column.primary_key or column.unique]
        return [row | {name: f"{row[name]}/{number}" for name in unique} for number, row in enumerate(drawn)]

    return rows.map(told_apart)


def _values(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, Boolean):
        return st.booleans()
    if isinstance(kind, Float):
        return st.floats(allow_nan=False, allow_infinity=False)
    return st.integers(-(2**31), 2**31 - 1) if isinstance(kind, Integer) else TEXTS


def a_row(table: Table) -> dict[str, Any]:
    """One row, its values the plainest of their types."""
    return {column.name: column.type.python_type() for column in table.columns}


def beside() -> list[Table]:
    """The tables that are kept, without the log."""
    return [table for table in kept_tables().values() if table is not events]


def fill(store: Store, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        with store.database.writing() as connection:
            connection.execute(insert(table), rows)


def state_of(store: Store) -> dict[str, Held]:
    with store.database.snapshot() as connection:
        return held_by(connection)
