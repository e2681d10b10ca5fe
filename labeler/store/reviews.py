"""What is there to be reviewed, and who has it in hand: tables that follow the log.

``review_items`` and ``review_words`` follow the log (projections.py); ``review_leases`` is the memory of who was given
what.

An item is given out in a transaction that first takes in what the log says by then, and no writer can come between:
finished reviews and running leases together never exceed what is wanted of an item. Whoever hands a review in holds
their lease first (``hold``), so that it cannot run out and be given to somebody else while the review is being stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, case, delete, exists, func, insert, select, update

from labeler.core.conversation import Conversation
from labeler.core.reviewing import SKIP, Item, items_of
from labeler.core.standing import Standing
from labeler.store.projections import Projection, catch_up, follow
from labeler.store.schema import review_items, review_leases, review_words
from labeler.store.store import Store

DISPUTES = ("disputed", "flagged")


@dataclass(frozen=True, slots=True)
class Lease:
    """An item that somebody has in hand until a time, to review it or (``ruling``) to adjudicate it.

    ``left`` is the answer that stands on the left for them.
    """

    id: str
    item_id: str
    conversation_id: str
    message_a: str
    message_b: str | None
    annotator_id: str
    left: str
    until: str
    ruling: bool
    owner: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What items are made by: ``overlap`` reviews of each are wanted; whoever has to consent and has not gives none."""

    overlap: int
    consent_needed: bool = False

    @property
    def projection(self) -> Projection:
        """The tables of items and of what was said of them."""
        return Projection("reviews", str(self.overlap), (review_items, review_words), self.consent_needed, self._put)

    def _put(self, connection: Connection, changed: Sequence[Conversation], standing: Standing) -> None:
        for conversation in changed:
            barred = standing.refusal(conversation.annotator_id) is not None
            items = [] if barred else items_of(conversation)
            _write(connection, conversation.id, items, [item.heard(standing) for item in items], self.overlap)


def _write(
    connection: Connection, conversation_id: str, items: Sequence[Item], heard: Sequence[Item], overlap: int
) -> None:
    """Put what a conversation holds in the place of what it held before.

    Who has said something of an item is not given it again (``items``), be it that nobody hears it (``heard``).
    """
    known = select(review_items.c.item_id).where(review_items.c.conversation_id == conversation_id)
    connection.execute(delete(review_words).where(review_words.c.item_id.in_(known)))
    connection.execute(delete(review_items).where(review_items.c.conversation_id == conversation_id))
    if not items:
        return
    rows = [
        {
            "item_id": item.id,
            "conversation_id": conversation_id,
            "message_a": item.message_a,
            "message_b": item.message_b,
            "owner": item.owner,
            "state": item.state(overlap),
            "reviews": item.reviews,
            "agreement": item.agreement,
            "confidence": item.confidence,
        }
        for item in heard
    ]
    connection.execute(insert(review_items), rows)
    words = [
        {"item_id": item.id, "annotator_id": annotator_id, "word": word}
        for item in items
        for annotator_id, word in item.said.items()
    ]
    if words:
        connection.execute(insert(review_words), words)


# ── leases ──

_running = (review_leases.c.item_id == review_items.c.item_id, review_leases.c.until > bindparam("now"))
_in_hand = select(func.count()).select_from(review_leases).where(*_running).correlate(review_items).scalar_subquery()
_met = exists().where(
    review_words.c.item_id == review_items.c.item_id, review_words.c.annotator_id == bindparam("annotator_id")
)
_skipped = exists().where(
    review_words.c.item_id == review_items.c.item_id,
    review_words.c.annotator_id == bindparam("annotator_id"),
    review_words.c.word == SKIP,
)
_mine = (
    review_leases.c.annotator_id == bindparam("annotator_id"),
    review_leases.c.until > bindparam("now"),
    review_leases.c.ruling == bindparam("ruling"),
)
_theirs = review_items.c.owner != bindparam("annotator_id")
# By need: least reviewed first, then the most disputed, then the least sure.
_next = (
    select(review_items)
    .where(
        review_items.c.state == "open",
        _theirs,
        review_items.c.reviews + _in_hand < bindparam("overlap", type_=Integer),
        ~_met,
    )
    .order_by(
        review_items.c.reviews,
        review_items.c.agreement,
        review_items.c.confidence,
        _in_hand,
        review_items.c.item_id,
    )
    .limit(1)
)
# Gold is given to everybody once, in any order that is the same for nobody.
_next_gold = select(review_items).where(review_items.c.state == "gold", _theirs, ~_met).order_by(func.random()).limit(1)
# Whoever voted on it rules on it only if ``voters`` may; whoever skipped it is not asked again.
_next_dispute = (
    select(review_items)
    .where(
        review_items.c.state.in_(DISPUTES),
        _theirs,
        _in_hand == 0,
        ~_met | (bindparam("voters") & ~_skipped),
    )
    .order_by(review_items.c.agreement, review_items.c.confidence, review_items.c.item_id)
    .limit(1)
)
_COLUMNS = (
    review_leases.c.lease_id,
    review_leases.c.item_id,
    review_items.c.conversation_id,
    review_items.c.message_a,
    review_items.c.message_b,
    review_leases.c.annotator_id,
    review_leases.c.left,
    review_leases.c.until,
    review_leases.c.ruling,
    review_items.c.owner,
)
_leases = select(*_COLUMNS).join(review_items, review_items.c.item_id == review_leases.c.item_id)


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody asks for something to review: they get it in hand from ``now`` until ``until``, under a fresh id.

    ``a_left`` says which of two answers is to stand on the left. ``ruling``: they ask for a dispute to adjudicate, be
    it one on which they voted if ``voters`` says so. ``gold``: they get a gold item, if there is one.
    """

    annotator_id: str
    lease_id: str
    now: str
    until: str
    a_left: bool
    ruling: bool = False
    voters: bool = False
    gold: bool = False


def take(store: Store, rules: Rules, by: Asked) -> Lease | None:
    """What the annotator has in hand already, or else what is needed most and is not theirs; None: there is nothing."""
    follow(store, rules.projection)
    asked = {"annotator_id": by.annotator_id, "now": by.now, "ruling": by.ruling}
    with store.database.writing() as connection:
        catch_up(connection, rules.projection)
        held = connection.execute(_leases.where(*_mine), asked).first()
        if held is not None:
            return _lease(held)
        connection.execute(delete(review_leases).where(review_leases.c.until <= by.now))
        given = {**asked, "overlap": rules.overlap, "voters": by.voters}
        item = connection.execute(_next_gold, given).one_or_none() if by.gold and not by.ruling else None
        item = item or connection.execute(_next_dispute if by.ruling else _next, given).one_or_none()
        if item is None:
            return None
        left = item.message_a if by.a_left or item.message_b is None else item.message_b
        row = {"lease_id": by.lease_id, "item_id": item.item_id, "annotator_id": by.annotator_id, "left": left}
        connection.execute(insert(review_leases).values(**row, until=by.until, ruling=by.ruling))
        return _lease(connection.execute(_leases.where(review_leases.c.lease_id == by.lease_id)).one())


def _lease(row: Sequence[Any]) -> Lease:
    return Lease(*row)


def lease_of(store: Store, lease_id: str) -> Lease | None:
    """A lease that has not been given back, run out or not; None if its item is gone."""
    with store.database.reading() as connection:
        row = connection.execute(_leases.where(review_leases.c.lease_id == lease_id)).one_or_none()
    return None if row is None else _lease(row)


def hold(store: Store, lease_id: str, annotator_id: str, *, now: str, until: str) -> bool:
    """Keep a lease from running out before ``until``; false if it has run out, or is somebody else's."""
    own = (
        review_leases.c.lease_id == lease_id,
        review_leases.c.annotator_id == annotator_id,
        review_leases.c.until > now,
    )
    longer = case((review_leases.c.until > until, review_leases.c.until), else_=until)
    with store.database.writing() as connection:
        return bool(connection.execute(update(review_leases).where(*own).values(until=longer)).rowcount)


def give_back(store: Store, rules: Rules, lease_id: str) -> None:
    """End a lease. What was stored under it is taken in in the same transaction, so that no slot is free in between."""
    with store.database.writing() as connection:
        catch_up(connection, rules.projection)
        connection.execute(delete(review_leases).where(review_leases.c.lease_id == lease_id))


def item_states(store: Store) -> dict[str, int]:
    """The same as of when somebody last looked: nothing is taken in from the log, and nothing is written."""
    query: Any = select(review_items.c.state, func.count()).group_by(review_items.c.state)
    with store.database.reading() as connection:
        return {state: count for state, count in connection.execute(query)}


def counts(store: Store, rules: Rules) -> dict[str, int]:
    """How many items there are in each state."""
    follow(store, rules.projection)
    query: Any = select(review_items.c.state, func.count()).group_by(review_items.c.state)
    with store.database.reading() as connection:
        return {state: count for state, count in connection.execute(query)}
