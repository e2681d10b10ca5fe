"""What is derived from the log to find conversations in it: kept with every append, and made anew when it must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

import orjson
from sqlalchemy import Connection, Select, Table, case, delete, except_, func, insert, null, select, update

from labeler.core.events import ConversationAdopted, ConversationStarted, Erased
from labeler.store.dialects import compiled
from labeler.store.rows import Draft
from labeler.store.schema import adoptions, begins_conversation, conversations, events, touches

# Who touched which stream.
Touch = tuple[str, str]

# Compiled once: see positions.py.
_touch = compiled(lambda module: module.insert(touches).on_conflict_do_nothing())
_count = select(func.coalesce(func.max(conversations.c.ordinal) + 1, 0))


def index(
    connection: Connection, rows: Sequence[Draft], first: int | None, known: Set[Touch] = frozenset()
) -> set[Touch]:
    """Take in rows that were just stored at positions ``first``, ``first + 1``, ..., or at none yet.

    ``known`` are touches that are in their table for certain, so that nobody looks; the answer is those to which this
    applies once the transaction is committed.
    """
    touched = {(row[5], row[1]) for row in rows if row[5] != row[1]} - known
    if touched:
        # In one order everywhere: of two that wait for each other's rows, one would be ended.
        connection.exec_driver_sql(_touch[connection.dialect.name], sorted(touched))
    begun = [(at, row) for at, row in enumerate(rows) if _begins_conversation(row)]
    if begun:
        _enter(connection, begun, first)
    for row in rows:
        if row[3] == ConversationAdopted.kind:
            owned = conversations.c.conversation_id == row[1]
            connection.execute(update(conversations).where(owned).values(annotator_id=row[5]))
    return touched


def _begins_conversation(row: Draft) -> bool:
    _, _, seq, kind, _, _, body = row
    if kind == Erased.kind:
        kind = orjson.loads(body)["erased_kind"]
    return seq == 1 and kind == ConversationStarted.kind


def _enter(connection: Connection, begun: Sequence[tuple[int, Draft]], first: int | None) -> None:
    count = 0 if first is None else connection.scalars(_count).one()
    entries = [
        {
            "ordinal": None if first is None else ordinal,
            "conversation_id": row[1],
            "annotator_id": row[5],
            "first_position": None if first is None else first + at,
        }
        for ordinal, (at, row) in enumerate(begun, count)
    ]
    connection.execute(insert(conversations), entries)


# ── the same from the log alone: what the tables must hold ──

_adoptions = events.alias()
_owner = (
    select(_adoptions.c.annotator_id)
    .where(
        _adoptions.c.conversation_id == events.c.conversation_id,
        adoptions(_adoptions),
    )
    .order_by(_adoptions.c.seq.desc())
    .limit(1)
    .scalar_subquery()
)

DERIVED: dict[Table, Select[Any]] = {
    conversations: select(
        case((events.c.position.is_(None), null()), else_=func.row_number().over(order_by=events.c.position) - 1).label(
            "ordinal"
        ),
        events.c.conversation_id,
        func.coalesce(_owner, events.c.annotator_id).label("annotator_id"),
        events.c.position.label("first_position"),
    ).where(begins_conversation),
    touches: select(events.c.annotator_id, events.c.conversation_id)
    .where(events.c.conversation_id != events.c.annotator_id)
    .distinct(),
}


def differences(connection: Connection) -> Iterator[str]:
    """Where the tables say something else than the log."""
    for table, derived in DERIVED.items():
        for row in connection.execute(except_(derived, select(table))):
            yield f"table {table.name}: {tuple(row)} is missing"
        for row in connection.execute(except_(select(table), derived)):
            yield f"table {table.name}: {tuple(row)} does not follow from the log"


def rebuild(connection: Connection) -> None:
    """Make the tables anew."""
    for table, derived in DERIVED.items():
        connection.execute(delete(table))
        connection.execute(insert(table).from_select(table.columns.keys(), derived))
