"""The tables of the log, as SQLAlchemy Core sees them. The migrations make them; a test proves that both agree.

``events`` is the log (append-only, the only truth). ``conversations`` is derived from it, kept in the same transaction
and can be rebuilt at any time: it gives conversations a dense number and answers who began what, and what changed last.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()

migrations = Table(
    "migrations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("at", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False, unique=True),
    Column("conversation_id", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("annotator_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("conversation_id", "seq"),
)

# An annotator's own stream bears the annotator's id. It stays findable when its events become tombstones, since this
# says nothing about their kind.
in_annotator_stream = events.c.conversation_id == events.c.annotator_id

# Who touched what, and what they did, without a look at the rows themselves.
events_by_annotator = Index("events_by_annotator", events.c.annotator_id, events.c.conversation_id, events.c.kind)
events_about_annotators = Index("events_about_annotators", events.c.position, sqlite_where=in_annotator_stream)

conversations = Table(
    "conversations",
    metadata,
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("conversation_id", Text, nullable=False, unique=True),
    Column("annotator_id", Text, nullable=False),
    Column("first_position", Integer, nullable=False, unique=True),
    Column("last_position", Integer, nullable=False),
    Index("conversations_by_annotator", "annotator_id", "last_position"),
)
