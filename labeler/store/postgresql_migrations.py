"""How the tables came to be on PostgreSQL: as ``migrations.py`` has it for SQLite.

Servers that run while another one brings the database up to date go on writing as they did before: a step adds, and
what it adds can be left empty.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

POSTGRESQL_MIGRATIONS: list[Callable[[Connection], None]] = []


def step(migration: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Put a step at the end of the list."""
    POSTGRESQL_MIGRATIONS.append(migration)
    return migration


@step
def p001_tables(connection: Connection) -> None:
    """All that SQLite's first eight steps make. Texts sort by their bytes, as they do there.

    ``stored`` and ``tx`` are for whoever gives positions: see ``positions.py``.
    """
    for statement in (*_EVENTS_P001, *_INDEX_P001, *_BESIDE_P001):
        connection.exec_driver_sql(statement)


_EVENTS_P001 = (
    """
    CREATE TABLE events (
        stored BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
        position BIGINT UNIQUE,
        event_id TEXT COLLATE "C" NOT NULL UNIQUE,
        conversation_id TEXT COLLATE "C" NOT NULL,
        seq BIGINT NOT NULL,
        kind TEXT COLLATE "C" NOT NULL,
        at TEXT COLLATE "C" NOT NULL,
        annotator_id TEXT COLLATE "C" NOT NULL,
        body TEXT COLLATE "C" NOT NULL,
        UNIQUE (conversation_id, seq)
    )
    """,
    """
    CREATE FUNCTION events_follow() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.seq <> 1 AND NOT EXISTS (
            SELECT FROM events WHERE conversation_id = NEW.conversation_id AND seq = NEW.seq - 1
        ) THEN
            RAISE integrity_constraint_violation USING MESSAGE = 'a stream has no gaps';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER events_follow BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION events_follow()",
    "CREATE INDEX events_without_position ON events (conversation_id, seq) WHERE position IS NULL",
    """
    CREATE INDEX events_about_annotators ON events (position) WHERE kind IN (
        'consent_given', 'consent_withdrawn', 'annotator_excluded', 'annotator_included', 'erased'
    )
    """,
    "CREATE INDEX events_of_owners ON events (conversation_id, seq) WHERE kind IN ('conversation_adopted', 'erased')",
)
_INDEX_P001 = (
    """
    CREATE TABLE conversations (
        ordinal BIGINT UNIQUE,
        conversation_id TEXT COLLATE "C" PRIMARY KEY,
        annotator_id TEXT COLLATE "C" NOT NULL,
        first_position BIGINT UNIQUE
    )
    """,
    "CREATE INDEX ix_conversations_annotator_id ON conversations (annotator_id)",
    "CREATE INDEX conversations_without_position ON conversations (conversation_id) WHERE first_position IS NULL",
    """
    CREATE TABLE touches (
        annotator_id TEXT COLLATE "C" NOT NULL,
        conversation_id TEXT COLLATE "C" NOT NULL,
        PRIMARY KEY (annotator_id, conversation_id)
    )
    """,
)
_BESIDE_P001 = (
    """
    CREATE TABLE spans (
        text_sha256 TEXT COLLATE "C" NOT NULL,
        finder TEXT COLLATE "C" NOT NULL,
        found TEXT NOT NULL,
        PRIMARY KEY (text_sha256, finder)
    )
    """,
    """
    CREATE TABLE pushes (
        repo TEXT COLLATE "C" PRIMARY KEY,
        holder TEXT,
        held_until TEXT COLLATE "C",
        pushed_at TEXT COLLATE "C",
        position BIGINT,
        committed_at TEXT COLLATE "C",
        commit_oid TEXT,
        next_at TEXT COLLATE "C",
        failures INTEGER NOT NULL,
        error TEXT
    )
    """,
    """
    CREATE TABLE accounts (
        name TEXT COLLATE "C" PRIMARY KEY,
        annotator_id TEXT COLLATE "C" NOT NULL UNIQUE,
        role TEXT NOT NULL,
        made_at TEXT COLLATE "C" NOT NULL,
        password TEXT,
        subject TEXT COLLATE "C" UNIQUE,
        disabled BOOLEAN NOT NULL,
        epoch INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        locked_until TEXT COLLATE "C"
    )
    """,
    'CREATE TABLE ended_sessions (session TEXT COLLATE "C" PRIMARY KEY, until TEXT COLLATE "C" NOT NULL)',
    'CREATE TABLE projections (name TEXT COLLATE "C" PRIMARY KEY, position BIGINT NOT NULL)',
    """
    CREATE TABLE review_items (
        item_id TEXT COLLATE "C" PRIMARY KEY,
        conversation_id TEXT COLLATE "C" NOT NULL,
        message_a TEXT NOT NULL,
        message_b TEXT,
        owner TEXT COLLATE "C" NOT NULL,
        state TEXT COLLATE "C" NOT NULL,
        reviews INTEGER NOT NULL,
        agreement DOUBLE PRECISION NOT NULL,
        confidence DOUBLE PRECISION NOT NULL
    )
    """,
    "CREATE INDEX ix_review_items_conversation_id ON review_items (conversation_id)",
    "CREATE INDEX review_items_by_need ON review_items (state, reviews, agreement, confidence, item_id)",
    """
    CREATE TABLE review_words (
        item_id TEXT COLLATE "C" NOT NULL,
        annotator_id TEXT COLLATE "C" NOT NULL,
        word TEXT NOT NULL,
        PRIMARY KEY (item_id, annotator_id)
    )
    """,
    """
    CREATE TABLE review_leases (
        lease_id TEXT COLLATE "C" PRIMARY KEY,
        item_id TEXT COLLATE "C" NOT NULL,
        annotator_id TEXT COLLATE "C" NOT NULL,
        "left" TEXT NOT NULL,
        until TEXT COLLATE "C" NOT NULL,
        ruling BOOLEAN NOT NULL
    )
    """,
    "CREATE INDEX ix_review_leases_item_id ON review_leases (item_id)",
    "CREATE INDEX ix_review_leases_annotator_id ON review_leases (annotator_id)",
    "CREATE INDEX ix_review_leases_until ON review_leases (until)",
    'CREATE TABLE summary_parts (conversation_id TEXT COLLATE "C" PRIMARY KEY, counts TEXT NOT NULL)',
    'CREATE TABLE summary_sums (key TEXT COLLATE "C" PRIMARY KEY, times BIGINT NOT NULL)',
)


@step
def p002_replicas(connection: Connection) -> None:
    """SQLite's ninth step."""
    for statement in _REPLICAS_P002:
        connection.exec_driver_sql(statement)


_REPLICAS_P002 = (
    'CREATE TABLE replicas (replica TEXT COLLATE "C" PRIMARY KEY, beat BIGINT NOT NULL, process TEXT NOT NULL)',
    """
    CREATE TABLE answering (
        conversation_id TEXT COLLATE "C" PRIMARY KEY,
        replica TEXT COLLATE "C" NOT NULL,
        texts TEXT NOT NULL,
        stop BOOLEAN NOT NULL
    )
    """,
    "CREATE INDEX ix_answering_replica ON answering (replica)",
    'CREATE TABLE keys (name TEXT COLLATE "C" PRIMARY KEY, mark TEXT NOT NULL)',
)


@step
def p003_tokens(connection: Connection) -> None:
    """As ``m010_tokens``."""
    connection.exec_driver_sql(
        """
        CREATE TABLE tokens (
            token_id TEXT COLLATE "C" PRIMARY KEY,
            study TEXT COLLATE "C" NOT NULL,
            name TEXT COLLATE "C" NOT NULL,
            digest TEXT COLLATE "C" NOT NULL UNIQUE,
            made_at TEXT COLLATE "C" NOT NULL,
            until TEXT COLLATE "C",
            revoked_at TEXT COLLATE "C",
            UNIQUE (study, name)
        )
        """
    )
