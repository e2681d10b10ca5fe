"""What judgements add up to, kept up to date: see ``core/contributions.py`` for what is counted.

``summary_parts`` holds what each conversation contributes and ``summary_sums`` the sums over all of them. A
conversation that changes is taken out as it was and put in as it is, so that following costs what has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.sql import ClauseElement

from labeler.core.contributions import Key, contributions
from labeler.core.conversation import Conversation
from labeler.core.standing import Standing
from labeler.store.dialects import compiled
from labeler.store.projections import Projection, follow, untold
from labeler.store.schema import summary_parts, summary_sums
from labeler.store.store import Store

VERSION = "1"  # of what is counted: with another one everything is counted anew


def _adding(module: ModuleType) -> ClauseElement:
    new = module.insert(summary_sums)
    added = summary_sums.c.times + new.excluded.times
    more: ClauseElement = new.on_conflict_do_update(index_elements=[summary_sums.c.key], set_={"times": added})
    return more


_add = compiled(_adding)
_before = select(summary_parts.c.counts).where(
    summary_parts.c.conversation_id.in_(bindparam("conversation_ids", expanding=True))
)
_gone = delete(summary_parts).where(summary_parts.c.conversation_id.in_(bindparam("conversation_ids", expanding=True)))


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums of what all conversations contribute, as of a position of the log."""

    position: int
    sums: Counter[Key]


def projection(*, consent_needed: bool) -> Projection:
    """The tables of what is counted."""
    return Projection("summaries", VERSION, (summary_parts, summary_sums), consent_needed, _put)


def summary(store: Store, *, consent_needed: bool, tell: Callable[[int, int], None] = untold) -> Summary:
    """Everything that is counted by now. ``tell`` hears how many conversations were taken in, and of how many."""
    position = follow(store, projection(consent_needed=consent_needed), tell)
    with store.database.reading() as connection:
        rows = connection.execute(select(summary_sums)).all()
    return Summary(position, Counter({tuple(orjson.loads(key)): times for key, times in rows}))


def _put(connection: Connection, changed: Sequence[Conversation], standing: Standing) -> None:
    """Write what conversations contribute now in the place of what they did before, and add the difference."""
    named = {"conversation_ids": [conversation.id for conversation in changed]}
    moved: Counter[str] = Counter()
    for counts in connection.scalars(_before, named):
        moved.subtract(orjson.loads(counts))
    connection.execute(_gone, named)
    parts = []
    for conversation in changed:
        counted = {spelled(key): times for key, times in contributions(conversation, standing).items()}
        if counted:
            parts.append({"conversation_id": conversation.id, "counts": orjson.dumps(counted).decode()})
            moved.update(counted)
    if parts:
        connection.execute(insert(summary_parts), parts)
    rows = [(key, times) for key, times in sorted(moved.items()) if times]
    if rows:
        connection.exec_driver_sql(_add[connection.dialect.name], rows)
        connection.execute(delete(summary_sums).where(summary_sums.c.times == 0))


def spelled(key: Key) -> str:
    """A key as the tables hold it."""
    return orjson.dumps(key).decode()
