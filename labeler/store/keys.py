"""Which keys a log was begun with: no key stands here, only what tells whether another one is the same."""

from __future__ import annotations

from sqlalchemy import select, update

from labeler.store.dialects import insertion
from labeler.store.schema import keys
from labeler.store.store import Store


def mark_of_key(store: Store, name: str, mark: str) -> str:
    """The mark of the key under this name that was noted first; this one, if none was."""
    with store.database.appending() as connection:
        connection.execute(insertion(connection, keys).on_conflict_do_nothing(), {"name": name, "mark": mark})
        return str(connection.scalars(select(keys.c.mark).where(keys.c.name == name)).one())


def note_key(store: Store, name: str, mark: str) -> None:
    """Have another key take the place of the one that was noted."""
    with store.database.appending() as connection:
        connection.execute(update(keys).where(keys.c.name == name).values(mark=mark))
