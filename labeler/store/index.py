"""The derived table of conversations: kept with every append, and made anew from the log when it must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from labeler.core.events import LogStarted
from labeler.store.rows import Draft
from labeler.store.schema import conversations, events

_moved = (
    update(conversations)
    .where(conversations.c.conversation_id == bindparam("stream_id"))
    .values(last_position=bindparam("position"))
)


def index(connection: Connection, rows: Sequence[Draft], first: int) -> None:
    """Take in rows that were just stored at positions ``first``, ``first + 1``, ..."""
    begun = [(position, row) for position, row in enumerate(rows, first) if begins_conversation(row)]
    if begun:
        _enter(connection, begun)
    moved = {row[1]: position for position, row in enumerate(rows, first) if row[2] != 1}
    if moved:
        parameters = [{"stream_id": stream, "position": position} for stream, position in moved.items()]
        connection.execute(_moved, parameters)


def begins_conversation(row: Draft) -> bool:
    """Whether a row is the first of a conversation, and not of an annotator's or the study's own stream."""
    _, stream_id, seq, kind, _, annotator_id, _ = row
    return seq == 1 and stream_id != annotator_id and kind != LogStarted.kind


def derived() -> Select[Any]:
    """What the table must hold, from the log alone; its columns, in the order of ``ordinal``."""
    spans = (
        select(
            events.c.conversation_id,
            func.min(events.c.position).label("first_position"),
            func.max(events.c.position).label("last_position"),
        )
        .group_by(events.c.conversation_id)
        .subquery()
    )
    return (
        select(
            (func.row_number().over(order_by=spans.c.first_position) - 1).label("ordinal"),
            spans.c.conversation_id,
            events.c.annotator_id,
            spans.c.first_position,
            spans.c.last_position,
        )
        .join(events, events.c.position == spans.c.first_position)
        .where(events.c.conversation_id != events.c.annotator_id, events.c.kind != LogStarted.kind)
        .order_by(spans.c.first_position)
    )


def rebuild(connection: Connection) -> None:
    """Make the table anew."""
    connection.execute(delete(conversations))
    connection.execute(insert(conversations).from_select(list(conversations.c.keys()), derived()))


def _enter(connection: Connection, begun: Sequence[tuple[int, Draft]]) -> None:
    count = connection.scalar(select(func.coalesce(func.max(conversations.c.ordinal) + 1, 0)))
    entries = [
        {
            "ordinal": ordinal,
            "conversation_id": row[1],
            "annotator_id": row[5],
            "first_position": position,
            "last_position": position,
        }
        for ordinal, (position, row) in enumerate(begun, count or 0)
    ]
    connection.execute(insert(conversations), entries)
