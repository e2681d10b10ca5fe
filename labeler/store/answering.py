"""Which replica writes the answers of a conversation, and whether it still lives: a memory beside the log.

A row of ``answering`` says that one replica, and no other, writes answers in a conversation; its key sees to that. It
is there before the log says that an answer was begun, and goes after the log says how it ended. A replica's row in
``replicas`` holds a number that changes while the process lives and writes: whoever sees it stand still for long
enough, by a clock of their own, takes over what it was at. No time of day is compared, so no clock has to be right.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, delete, select, update

from labeler.store.dialects import insertion
from labeler.store.schema import answering, conversations, replicas
from labeler.store.store import Store

Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Replica:
    """A serving process. It says another ``beat`` each time, and none twice. ``process`` says where it runs, for those
    who can see it there; see ``whereabouts.py``."""

    id: str
    beat: int
    process: str


@dataclass(frozen=True, slots=True)
class Answering:
    """Somebody writes answers in a conversation: ``texts`` so far by message, as of their last beat.

    ``stop``: somebody wishes that they end.
    """

    conversation_id: str
    replica: str
    texts: Texts = field(default_factory=dict)
    stop: bool = False


def take(store: Store, replica: Replica, conversation_id: str) -> bool:
    """Be the one who writes answers in a conversation; false if another replica is."""
    with store.database.appending() as connection:
        _beat(connection, replica)
        row = {"conversation_id": conversation_id, "replica": replica.id, "texts": "{}", "stop": False}
        connection.execute(insertion(connection, answering).on_conflict_do_nothing(), row)
        query = select(answering.c.replica).where(answering.c.conversation_id == conversation_id)
        return bool(connection.scalar(query) == replica.id)


def let_go(store: Store, replica_id: str, conversation_ids: Collection[str]) -> None:
    """Write answers there no longer."""
    own = answering.c.replica == replica_id, answering.c.conversation_id.in_(list(conversation_ids))
    with store.database.appending() as connection:
        connection.execute(delete(answering).where(*own))


def answering_in(store: Store, conversation_id: str) -> Answering | None:
    """Who writes answers in a conversation."""
    with store.database.reading() as connection:
        row = connection.execute(select(answering).where(answering.c.conversation_id == conversation_id)).one_or_none()
    return None if row is None else _answering(row)


def answering_by(store: Store, replica_id: str) -> list[Answering]:
    """Where a replica writes answers."""
    with store.database.reading() as connection:
        found = connection.execute(select(answering).where(answering.c.replica == replica_id)).all()
    return [_answering(row) for row in found]


def answering_of(store: Store, annotator_id: str) -> list[str]:
    """Which of an annotator's conversations are answered now."""
    theirs = conversations.c.conversation_id == answering.c.conversation_id
    query = select(answering.c.conversation_id).join(conversations, theirs)
    with store.database.reading() as connection:
        return list(connection.scalars(query.where(conversations.c.annotator_id == annotator_id)))


def wish_stop(store: Store, conversation_id: str) -> None:
    """Have whoever writes answers in a conversation stop them, at their next beat."""
    with store.database.appending() as connection:
        there = answering.c.conversation_id == conversation_id
        connection.execute(update(answering).where(there).values(stop=True))


def beat(store: Store, replica: Replica, texts: Mapping[str, Texts]) -> None:
    """Say that the replica lives, and how far its answers are, by conversation."""
    with store.database.appending() as connection:
        _beat(connection, replica)
        for conversation_id, written in texts.items():
            own = answering.c.replica == replica.id, answering.c.conversation_id == conversation_id
            spelled = orjson.dumps(dict(written)).decode()
            connection.execute(update(answering).where(*own).values(texts=spelled))


def replicas_seen(store: Store) -> list[Replica]:
    """Every replica that writes answers now, or died doing it."""
    with store.database.reading() as connection:
        return [Replica(*row) for row in connection.execute(select(replicas).order_by(replicas.c.replica))]


def inherit(store: Store, heir: Replica, dead: Replica) -> list[Answering]:
    """Take over where a replica was writing, if its number is still the one that was seen; then it is forgotten.

    Of several heirs one gets all of it. The dead one, should it come back, finds that nothing is its own.
    """
    with store.database.appending() as connection:
        # Heirs of each other would wait for each other's rows: here they take them in one order.
        both = select(replicas.c.replica).where(replicas.c.replica.in_([heir.id, dead.id]))
        connection.execute(both.order_by(replicas.c.replica).with_for_update()).all()
        still = replicas.c.replica == dead.id, replicas.c.beat == dead.beat
        if not connection.execute(delete(replicas).where(*still)).rowcount:
            return []
        _beat(connection, heir)
        theirs = answering.c.replica == dead.id
        found = [_answering(row) for row in connection.execute(select(answering).where(theirs))]
        connection.execute(update(answering).where(theirs).values(replica=heir.id, stop=False))
    return found


def leave(store: Store, replica_id: str) -> None:
    """The replica ends, and so does what it was writing."""
    with store.database.appending() as connection:
        connection.execute(delete(replicas).where(replicas.c.replica == replica_id))
        connection.execute(delete(answering).where(answering.c.replica == replica_id))


def _beat(connection: Connection, replica: Replica) -> None:
    row = {"replica": replica.id, "beat": replica.beat, "process": replica.process}
    new = insertion(connection, replicas).values(row)
    connection.execute(new.on_conflict_do_update(index_elements=[replicas.c.replica], set_={"beat": replica.beat}))


def _answering(row: tuple[str, str, str, bool]) -> Answering:
    conversation_id, replica, texts, stop = row
    return Answering(conversation_id, replica, orjson.loads(texts), stop)
