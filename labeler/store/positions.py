"""Where events stand in the log, and how they come to stand there.

SQLite has one writer at a time: an event has its position when it is stored.

On PostgreSQL many write at once, and who began first may be done last. If an event took its position when it is stored,
a reader could come past a position that is committed later, and never see it. So an append stores the id of its
transaction and no position; readers, one at a time, number what no running transaction can still come before, in the
order of transactions. A position is given once and for good.
"""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from contextlib import suppress

from sqlalchemy import Connection, insert

from labeler.errors import StoreError
from labeler.store import queries
from labeler.store.database import Database, LockedError
from labeler.store.dialects import NUMBERING, compiled, lock, on_postgresql
from labeler.store.index import Touch, index
from labeler.store.rows import COLUMNS, Draft
from labeler.store.schema import events

# Compiled once, so that rows go to the driver as they are: what a group costs besides its commit is mostly this.
_insert = compiled(lambda module: insert(events))
_append = f"INSERT INTO events ({', '.join(COLUMNS[1:])}) VALUES ({', '.join(['%s'] * len(COLUMNS[1:]))})"
_last = compiled(lambda module: queries.last_position)

PATIENCE_MS = 1000

SETTLE_SECONDS = 10.0

_next_transaction = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_unsettled = "SELECT EXISTS (SELECT FROM events WHERE position IS NULL AND tx::text::bigint < %s)"
_waiting = "SELECT EXISTS (SELECT FROM events WHERE position IS NULL)"
# Who began first may write into a stream after somebody who began later: an event counts as no older than what stands
# before it in its stream, so that neither the order of positions nor its end can tear a stream. Transactions of the
# server's future are those of another server, from which this database was restored.
_number = """
    WITH waiting AS (
        SELECT stored, pg_snapshot_xmin(now)::text::bigint AS oldest, max(
            CASE WHEN tx < pg_snapshot_xmax(now) THEN tx::text::bigint ELSE 0 END
        ) OVER (PARTITION BY conversation_id ORDER BY seq) AS tx
        FROM events, pg_current_snapshot() AS now
        WHERE position IS NULL
    ),
    fresh AS (
        SELECT stored, row_number() OVER (ORDER BY tx, stored) AS step FROM waiting WHERE tx < oldest
    )
    UPDATE events SET position = (SELECT coalesce(max(position), 0) FROM events) + fresh.step
    FROM fresh WHERE events.stored = fresh.stored
"""
_number_conversations = """
    WITH fresh AS (
        SELECT conversation_id, events.position, row_number() OVER (ORDER BY events.position) AS step
        FROM conversations JOIN events USING (conversation_id)
        WHERE first_position IS NULL AND seq = 1 AND events.position IS NOT NULL
    )
    UPDATE conversations
    SET first_position = fresh.position, ordinal = (SELECT coalesce(max(ordinal), -1) FROM conversations) + fresh.step
    FROM fresh WHERE conversations.conversation_id = fresh.conversation_id
"""


def number(database: Database) -> None:
    """Give a position to all events that can have one by now. On SQLite they have it.

    Who erases or loads a dump keeps the rows for a while: until that is done the log ends where it ended before.
    """
    with database.reading() as connection:
        if not on_postgresql(connection) or not connection.exec_driver_sql(_waiting).scalar_one():
            return
    with suppress(LockedError), database.appending() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE_MS}ms'")
        number_within(connection)


def number_within(connection: Connection) -> None:
    """The same in a transaction, which keeps others from numbering until it ends."""
    if on_postgresql(connection):
        lock(connection, NUMBERING)
        connection.exec_driver_sql(_number)
        connection.exec_driver_sql(_number_conversations)


def settle(database: Database, seconds: float = SETTLE_SECONDS) -> None:
    """Give a position to all events that are stored by now.

    Raises:
        StoreError: something that began before them has not ended for too long, and may still come before them.
    """
    with database.reading() as connection:
        if not on_postgresql(connection):
            return
        upto = connection.exec_driver_sql(_next_transaction).scalar_one()
    deadline = time.monotonic() + seconds
    while True:
        number(database)
        with database.reading() as connection:
            if not connection.exec_driver_sql(_unsettled, (upto,)).scalar_one():
                return
        if time.monotonic() > deadline:
            why = "another program keeps a transaction open, so not all events have their positions"
            raise StoreError(f"{why}; end it and run this again", database.name)
        time.sleep(0.02)


def late_conversations(connection: Connection) -> list[str]:
    """The conversations with events that are stored, and have no position yet."""
    return list(connection.scalars(queries.late)) if on_postgresql(connection) else []


def insert_rows(
    connection: Connection, rows: Sequence[Draft], first: int, known: Set[Touch] = frozenset()
) -> set[Touch]:
    """Put rows at positions ``first``, ``first + 1``, ... of the log and its index, which says what ``known`` is.

    On PostgreSQL the transaction must be the one that numbers: see ``number_within``.

    Raises:
        IntegrityError: an event id or seq is taken, or a seq does not follow the one before.
    """
    if not rows:
        return set()
    connection.exec_driver_sql(
        _insert[connection.dialect.name], [(position, *row) for position, row in enumerate(rows, first)]
    )
    return index(connection, rows, first, known)


def append_rows(
    connection: Connection, rows: Sequence[Draft], known: Set[Touch] = frozenset()
) -> tuple[int | None, set[Touch]]:
    """Put rows at the end of the log. Gives the first one's position, if it has one already, and the index's touches.

    Raises:
        IntegrityError: as ``insert_rows``.
    """
    if on_postgresql(connection):
        if rows:
            connection.exec_driver_sql(_append, list(rows))
        return None, index(connection, rows, None, known)
    first = connection.exec_driver_sql(_last[connection.dialect.name]).scalar_one() + 1
    return first, insert_rows(connection, rows, first, known)
