"""How the tables came to be: an ordered list of small steps, each run once, in one transaction with the record of it.

A step is never changed once it is released: a database that ran it will not run it again. Steps are written in SQL and
not with ``schema.py``, which shows where they lead and moves on with every new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, inspect, select

from labeler.errors import StoreError
from labeler.store.database import Database
from labeler.store.dialects import on_postgresql
from labeler.store.postgresql_migrations import POSTGRESQL_MIGRATIONS
from labeler.store.schema import migrations

Migration = Callable[[Connection], None]
MIGRATIONS: list[Migration] = []
"""The steps of SQLite; those of PostgreSQL have a file of their own."""


def step(migration: Migration) -> Migration:
    """Put a step at the end of the list."""
    MIGRATIONS.append(migration)
    return migration


def _run(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


@step
def m001_events(connection: Connection) -> None:
    """The log. Nobody who writes to this file, by whatever program, can leave a gap in a stream."""
    _run(
        connection,
        """
        CREATE TABLE events (
            position INTEGER NOT NULL PRIMARY KEY,
            event_id TEXT NOT NULL UNIQUE,
            conversation_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            at TEXT NOT NULL,
            annotator_id TEXT NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (conversation_id, seq)
        )
        """,
        """
        CREATE TRIGGER events_follow BEFORE INSERT ON events
        WHEN NEW.seq <> 1 AND NOT EXISTS (
            SELECT 1 FROM events WHERE conversation_id = NEW.conversation_id AND seq = NEW.seq - 1
        )
        BEGIN SELECT RAISE(ABORT, 'a stream has no gaps'); END
        """,
        """
        CREATE INDEX events_about_annotators ON events (position) WHERE kind IN (
            'consent_given', 'consent_withdrawn', 'annotator_excluded', 'annotator_included', 'erased'
        )
        """,
    )


@step
def m002_index(connection: Connection) -> None:
    """What is derived from the log to find conversations in it: see ``index.py``, which can make it anew."""
    _run(
        connection,
        """
        CREATE TABLE conversations (
            ordinal INTEGER NOT NULL PRIMARY KEY,
            conversation_id TEXT NOT NULL UNIQUE,
            annotator_id TEXT NOT NULL,
            first_position INTEGER NOT NULL UNIQUE
        )
        """,
        "CREATE INDEX ix_conversations_annotator_id ON conversations (annotator_id)",
        """
        CREATE TABLE touches (
            annotator_id TEXT NOT NULL,
            conversation_id TEXT NOT NULL,
            PRIMARY KEY (annotator_id, conversation_id)
        ) WITHOUT ROWID
        """,
    )


@step
def m003_spans(connection: Connection) -> None:
    """What was found in texts that are published: see ``spans.py``."""
    _run(
        connection,
        """
        CREATE TABLE spans (
            text_sha256 TEXT NOT NULL,
            finder TEXT NOT NULL,
            found TEXT NOT NULL,
            PRIMARY KEY (text_sha256, finder)
        ) WITHOUT ROWID
        """,
    )


@step
def m004_pushes(connection: Connection) -> None:
    """What was published where, and who does it: see ``pushes.py``."""
    _run(
        connection,
        """
        CREATE TABLE pushes (
            repo TEXT NOT NULL PRIMARY KEY,
            holder TEXT,
            held_until TEXT,
            pushed_at TEXT,
            position INTEGER,
            committed_at TEXT,
            commit_oid TEXT,
            next_at TEXT,
            failures INTEGER NOT NULL,
            error TEXT
        ) WITHOUT ROWID
        """,
    )


@step
def m005_accounts(connection: Connection) -> None:
    """Who may sign in, and whose sessions are over: see ``accounts.py``."""
    _run(
        connection,
        """
        CREATE TABLE accounts (
            name TEXT NOT NULL PRIMARY KEY,
            annotator_id TEXT NOT NULL UNIQUE,
            role TEXT NOT NULL,
            made_at TEXT NOT NULL,
            password TEXT,
            subject TEXT UNIQUE,
            disabled BOOLEAN NOT NULL,
            epoch INTEGER NOT NULL,
            failures INTEGER NOT NULL,
            locked_until TEXT
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE ended_sessions (
            session TEXT NOT NULL PRIMARY KEY,
            until TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    )


@step
def m006_owners(connection: Connection) -> None:
    """Conversations change hands when whoever began them signs in."""
    _run(
        connection,
        """
        CREATE INDEX events_of_owners ON events (conversation_id, seq) WHERE kind IN ('conversation_adopted', 'erased')
        """,
    )


@step
def m007_reviews(connection: Connection) -> None:
    """What is there to be reviewed, and who has it in hand: see ``reviews.py``."""
    _run(
        connection,
        """
        CREATE TABLE projections (
            name TEXT NOT NULL PRIMARY KEY,
            position INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE review_items (
            item_id TEXT NOT NULL PRIMARY KEY,
            conversation_id TEXT NOT NULL,
            message_a TEXT NOT NULL,
            message_b TEXT,
            owner TEXT NOT NULL,
            state TEXT NOT NULL,
            reviews INTEGER NOT NULL,
            agreement FLOAT NOT NULL,
            confidence FLOAT NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX ix_review_items_conversation_id ON review_items (conversation_id)",
        "CREATE INDEX review_items_by_need ON review_items (state, reviews, agreement, confidence, item_id)",
        """
        CREATE TABLE review_words (
            item_id TEXT NOT NULL,
            annotator_id TEXT NOT NULL,
            word TEXT NOT NULL,
            PRIMARY KEY (item_id, annotator_id)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE review_leases (
            lease_id TEXT NOT NULL PRIMARY KEY,
            item_id TEXT NOT NULL,
            annotator_id TEXT NOT NULL,
            "left" TEXT NOT NULL,
            until TEXT NOT NULL,
            ruling BOOLEAN NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX ix_review_leases_item_id ON review_leases (item_id)",
        "CREATE INDEX ix_review_leases_annotator_id ON review_leases (annotator_id)",
        "CREATE INDEX ix_review_leases_until ON review_leases (until)",
    )


@step
def m008_summaries(connection: Connection) -> None:
    """What judgements add up to: see ``summaries.py``."""
    _run(
        connection,
        """
        CREATE TABLE summary_parts (
            conversation_id TEXT NOT NULL PRIMARY KEY,
            counts TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE summary_sums (
            key TEXT NOT NULL PRIMARY KEY,
            times INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
    )


@step
def m009_replicas(connection: Connection) -> None:
    """Which process writes which answers (``answering.py``), and whether all have the same keys (``keys.py``)."""
    _run(
        connection,
        """
        CREATE TABLE replicas (
            replica TEXT NOT NULL PRIMARY KEY,
            beat INTEGER NOT NULL,
            process TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE answering (
            conversation_id TEXT NOT NULL PRIMARY KEY,
            replica TEXT NOT NULL,
            texts TEXT NOT NULL,
            stop BOOLEAN NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX ix_answering_replica ON answering (replica)",
        """
        CREATE TABLE keys (
            name TEXT NOT NULL PRIMARY KEY,
            mark TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    )


@step
def m010_tokens(connection: Connection) -> None:
    """Which programs may use the API: see ``tokens.py``."""
    _run(
        connection,
        """
        CREATE TABLE tokens (
            token_id TEXT NOT NULL PRIMARY KEY,
            study TEXT NOT NULL,
            name TEXT NOT NULL,
            digest TEXT NOT NULL UNIQUE,
            made_at TEXT NOT NULL,
            until TEXT,
            revoked_at TEXT,
            UNIQUE (study, name)
        ) WITHOUT ROWID
        """,
    )


def steps_of(database: Database) -> Sequence[Migration]:
    """The steps of a database of this kind."""
    with database.reading() as connection:
        return POSTGRESQL_MIGRATIONS if on_postgresql(connection) else MIGRATIONS


def migrate(database: Database, now: str, steps: Sequence[Migration] | None = None) -> None:
    """Run the steps that a database has not run yet; of several that try at once one does.

    Raises:
        StoreError: it belongs to another program or to a newer labeler, or cannot be written.
    """
    steps = steps_of(database) if steps is None else steps
    while (done := _steps_run(database, steps)) < len(steps):
        _run_step(database, steps[done], done + 1, now)


def _steps_run(database: Database, steps: Sequence[Migration]) -> int:
    with database.reading() as connection:
        tables = inspect(connection).get_table_names()
        if migrations.name not in tables:
            if tables:
                raise StoreError("this database belongs to another program; name another one", database.name)
            return 0
        names = connection.scalars(select(migrations.c.name).order_by(migrations.c.number)).all()
    if list(names) != [migration.__name__ for migration in steps[: len(names)]]:
        raise StoreError(f"written by a newer labeler (its last step is {names[-1]}); update labeler", database.name)
    return len(names)


def _run_step(database: Database, migration: Migration, number: int, now: str) -> None:
    with database.writing() as connection:
        migrations.create(connection, checkfirst=True)
        ran = connection.scalar(select(migrations.c.number).where(migrations.c.number == number))
        if ran is None:  # else another process was first
            migration(connection)
            connection.execute(migrations.insert().values(number=number, name=migration.__name__, at=now))
