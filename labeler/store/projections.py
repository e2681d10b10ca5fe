"""Tables that follow the log: what conversations amount to, kept up to a position that is kept with them.

They are derived, conversation by conversation: taken in twice a conversation changes nothing, and made anew from the
beginning the tables say the same. The cost of following is that of the conversations that changed, not of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from labeler.core.conversation import Conversation
from labeler.core.folding import replay
from labeler.core.standing import Standing, standing_of
from labeler.store import queries
from labeler.store.positions import late_conversations
from labeler.store.rows import event_from
from labeler.store.schema import about_annotators, conversations, events, projections
from labeler.store.store import Store

AT_ONCE = 500  # conversations that are taken in in one transaction

_named = (
    select(conversations.c.conversation_id)
    .where(conversations.c.ordinal.in_(bindparam("ordinals", expanding=True)))
    .order_by(conversations.c.ordinal)
)


@dataclass(frozen=True, slots=True)
class Projection:
    """Some tables that follow the log together.

    ``family`` names them and ``options`` what they were made by: with other options they are made anew. Of whoever has
    to consent (``consent_needed``) and has not, nothing is heard. ``put`` writes what conversations say now in the
    place of what they said before.
    """

    family: str
    options: str
    tables: tuple[Table, ...]
    consent_needed: bool
    put: Callable[[Connection, Sequence[Conversation], Standing], None]

    @property
    def name(self) -> str:
        """Names the state of the tables."""
        return f"{self.family}/{self.options}/{int(self.consent_needed)}"


def untold(done: int, all_of_them: int) -> None:
    """For whoever need not hear how far it is."""


def follow(store: Store, projection: Projection, tell: Callable[[int, int], None] = untold) -> int:
    """Take in what the log says by now, in small transactions. Returns the position that was reached.

    Broken off it begins again where it began. ``tell`` hears how many conversations were taken in, and of how many.
    """
    upto = store.position()
    with store.database.reading() as connection:
        after = _known(connection, projection)
    if after is None:
        with store.database.writing() as connection:
            after = _position(connection, projection)
    if after >= upto:
        return upto
    with store.database.reading() as connection:
        changed = _changed(connection, after, upto)
    for start in range(0, len(changed), AT_ONCE):
        batch = changed[start : start + AT_ONCE]
        with store.database.writing() as connection:
            _take_in(connection, projection, _names(connection, batch))
        tell(start + len(batch), len(changed))
    with store.database.writing() as connection:
        _remember(connection, projection, upto)
    return upto


def catch_up(connection: Connection, projection: Projection) -> None:
    """The same within a transaction, when little can have happened since; with what has no position yet."""
    after, upto = _position(connection, projection), connection.scalars(queries.last_position).one()
    if after < upto:
        changed = _changed(connection, after, upto)
        for start in range(0, len(changed), AT_ONCE):
            _take_in(connection, projection, _names(connection, changed[start : start + AT_ONCE]))
        _remember(connection, projection, upto)
    if late := late_conversations(connection):
        _take_in(connection, projection, late)


def _changed(connection: Connection, after: int, upto: int) -> Sequence[int]:
    """The numbers of the conversations that the events in ``after < position <= upto`` can have changed."""
    bounds = {"after": after, "upto": upto}
    if after == 0:
        return range(connection.scalars(queries.begun_upto, bounds).one_or_none() or 0)
    return sorted(connection.scalars(queries.dirty, bounds))


def _names(connection: Connection, ordinals: Sequence[int]) -> Sequence[str]:
    return connection.scalars(_named, {"ordinals": list(ordinals)}).all()


def _take_in(connection: Connection, projection: Projection, named: Sequence[str]) -> None:
    """Take in some conversations as they are now."""
    about = connection.execute(select(events).where(about_annotators).order_by(events.c.position))
    standing = standing_of(map(event_from, about), consent_needed=projection.consent_needed)
    projection.put(connection, [_read(connection, conversation_id) for conversation_id in named], standing)


def _read(connection: Connection, conversation_id: str) -> Conversation:
    return replay(conversation_id, map(event_from, connection.execute(queries.stream, {"stream_id": conversation_id})))


def _known(connection: Connection, projection: Projection) -> int | None:
    mine = projections.c.name == projection.name
    return connection.scalars(select(projections.c.position).where(mine)).one_or_none()


def _position(connection: Connection, projection: Projection) -> int:
    """How far the tables follow the log. Tables that were made by other options are emptied."""
    found = _known(connection, projection)
    if found is None:
        for table in projection.tables:
            connection.execute(delete(table))
        connection.execute(delete(projections).where(projections.c.name.startswith(f"{projection.family}/")))
        connection.execute(insert(projections).values(name=projection.name, position=0))
    return found or 0


def _remember(connection: Connection, projection: Projection, position: int) -> None:
    """Another process may have come further meanwhile."""
    mine = projections.c.name == projection.name, projections.c.position < position
    connection.execute(update(projections).where(*mine).values(position=position))
