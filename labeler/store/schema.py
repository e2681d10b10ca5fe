"""The tables of the log, as SQLAlchemy Core sees them. The migrations make them; a test proves that both agree.

On PostgreSQL an event has no ``position`` until a reader gives it one, nor a new conversation its ``ordinal`` and
``first_position``: see ``positions.py``, which has further columns of ``events`` to itself.

``events`` is the log (append-only, the only truth). ``conversations`` and ``touches`` are derived from it, kept in the
same transaction, and can be made anew at any time; so can ``spans``, what was found in texts that are published. They
grow with conversations, not with events: what every append must pay for is the log itself and nothing else. ``pushes``
remembers what was published where; lost, it is found anew by the next push. ``accounts`` and ``ended_sessions`` say who
may sign in: nothing derives them, and no dump of the log holds them. ``review_items``, ``review_words``,
``summary_parts`` and ``summary_sums`` follow the log as far as ``projections`` says; ``review_leases`` says who has
what in hand. ``replicas`` and ``answering`` say which serving process writes which answers now, and ``keys`` tells
whether all of them have the same ones.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    FromClause,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
    or_,
)

from labeler.core.events import (
    AnnotatorExcluded,
    AnnotatorIncluded,
    ConsentGiven,
    ConsentWithdrawn,
    ConversationAdopted,
    ConversationStarted,
    Erased,
)
from labeler.store.dialects import SQLITE, member

metadata = MetaData()

# Positions and what is counted: SQLite has one kind of integer, and its key must be called so.
Number = BigInteger().with_variant(Integer, SQLITE)

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
    Column("position", Number, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False, unique=True),
    Column("conversation_id", Text, nullable=False),
    Column("seq", Number, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("annotator_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("conversation_id", "seq"),
)

# An annotator's own stream bears the annotator's id; who wrote into it may be somebody else. Tombstones stand there and
# in conversations. The kinds are spelled out in the statement: an index on a part serves only who asks for that part.
ABOUT_ANNOTATORS = (
    ConsentGiven.kind,
    ConsentWithdrawn.kind,
    AnnotatorExcluded.kind,
    AnnotatorIncluded.kind,
    Erased.kind,
)
about_annotators = events.c.kind.in_([literal_column(f"'{kind}'") for kind in ABOUT_ANNOTATORS])
events_about_annotators = Index(
    "events_about_annotators", events.c.position, sqlite_where=about_annotators, postgresql_where=about_annotators
)

# What begins a conversation, be it a tombstone by now.
begins_conversation = and_(
    events.c.seq == 1,
    or_(
        events.c.kind == ConversationStarted.kind,
        and_(
            events.c.kind == Erased.kind,
            member(events.c.body, "erased_kind") == ConversationStarted.kind,
        ),
    ),
)


def adoptions(table: FromClause) -> ColumnElement[bool]:
    """What made a conversation somebody else's, be it a tombstone by now; the index's own condition stands first."""
    erased_kind = member(table.c.body, "erased_kind")
    return and_(_of_owners(table), or_(table.c.kind != Erased.kind, erased_kind == ConversationAdopted.kind))


def _of_owners(table: FromClause) -> ColumnElement[bool]:
    kinds = (ConversationAdopted.kind, Erased.kind)
    return table.c.kind.in_([literal_column(f"'{kind}'") for kind in kinds])


events_of_owners = Index(
    "events_of_owners",
    events.c.conversation_id,
    events.c.seq,
    sqlite_where=_of_owners(events),
    postgresql_where=_of_owners(events),
)

# The conversations, numbered from 0 in the order of their first events, and whose each is.
conversations = Table(
    "conversations",
    metadata,
    Column("ordinal", Number, primary_key=True, autoincrement=False),
    Column("conversation_id", Text, nullable=False, unique=True),
    Column("annotator_id", Text, nullable=False, index=True),
    Column("first_position", Number, nullable=False, unique=True),
)

# In which streams, besides their own, an annotator has caused an event.
touches = Table(
    "touches",
    metadata,
    Column("annotator_id", Text, primary_key=True),
    Column("conversation_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)

spans = Table(
    "spans",
    metadata,
    Column("text_sha256", Text, primary_key=True),
    Column("finder", Text, primary_key=True),
    Column("found", Text, nullable=False),
    sqlite_with_rowid=False,
)

pushes = Table(
    "pushes",
    metadata,
    Column("repo", Text, primary_key=True),
    Column("holder", Text),
    Column("held_until", Text),
    Column("pushed_at", Text),
    Column("position", Number),
    Column("committed_at", Text),
    Column("commit_oid", Text),
    Column("next_at", Text),
    Column("failures", Integer, nullable=False),
    Column("error", Text),
    sqlite_with_rowid=False,
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("annotator_id", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("made_at", Text, nullable=False),
    Column("password", Text),
    Column("subject", Text, unique=True),
    Column("disabled", Boolean, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Text),
    sqlite_with_rowid=False,
)

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("session", Text, primary_key=True),
    Column("until", Text, nullable=False),
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("study", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("made_at", Text, nullable=False),
    Column("until", Text),
    Column("revoked_at", Text),
    UniqueConstraint("study", "name"),
    sqlite_with_rowid=False,
)

projections = Table(
    "projections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Number, nullable=False),
    sqlite_with_rowid=False,
)

review_items = Table(
    "review_items",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("conversation_id", Text, nullable=False, index=True),
    Column("message_a", Text, nullable=False),
    Column("message_b", Text),
    Column("owner", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reviews", Integer, nullable=False),
    Column("agreement", Float, nullable=False),
    Column("confidence", Float, nullable=False),
    Index("review_items_by_need", "state", "reviews", "agreement", "confidence", "item_id"),
    sqlite_with_rowid=False,
)

review_words = Table(
    "review_words",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("annotator_id", Text, primary_key=True),
    Column("word", Text, nullable=False),
    sqlite_with_rowid=False,
)

review_leases = Table(
    "review_leases",
    metadata,
    Column("lease_id", Text, primary_key=True),
    Column("item_id", Text, nullable=False, index=True),
    Column("annotator_id", Text, nullable=False, index=True),
    Column("left", Text, nullable=False),
    Column("until", Text, nullable=False, index=True),
    Column("ruling", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

summary_parts = Table(
    "summary_parts",
    metadata,
    Column("conversation_id", Text, primary_key=True),
    Column("counts", Text, nullable=False),
    sqlite_with_rowid=False,
)

summary_sums = Table(
    "summary_sums",
    metadata,
    Column("key", Text, primary_key=True),
    Column("times", Number, nullable=False),
    sqlite_with_rowid=False,
)

replicas = Table(
    "replicas",
    metadata,
    Column("replica", Text, primary_key=True),
    Column("beat", Number, nullable=False),
    Column("process", Text, nullable=False),
    sqlite_with_rowid=False,
)

answering = Table(
    "answering",
    metadata,
    Column("conversation_id", Text, primary_key=True),
    Column("replica", Text, nullable=False, index=True),
    Column("texts", Text, nullable=False),
    Column("stop", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

keys = Table(
    "keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("mark", Text, nullable=False),
    sqlite_with_rowid=False,
)
