"""The questions that are asked of the log, each under its name."""

from __future__ import annotations

from sqlalchemy import Text, and_, bindparam, func, select, tuple_, union, union_all

from labeler.core.events import Erased, MessageSent
from labeler.store.dialects import member
from labeler.store.rows import Row
from labeler.store.schema import about_annotators, conversations, events, touches

PAGE_EVENTS = 2000

_in_range = (events.c.position > bindparam("after"), events.c.position <= bindparam("upto"))
_of_conversation = events.c.conversation_id == conversations.c.conversation_id
its_beginning = and_(_of_conversation, events.c.seq == 1)

last_position = select(func.coalesce(func.max(events.c.position), 0))
first_stream = select(events.c.conversation_id).where(events.c.position == 1)
by_stream = (
    select(events)
    .where(tuple_(events.c.conversation_id, events.c.seq) > tuple_(bindparam("stream_id"), bindparam("seq")))
    .order_by(events.c.conversation_id, events.c.seq)
    .limit(PAGE_EVENTS)
)
by_event_id = select(events).where(events.c.event_id == bindparam("event_id"))
by_event_ids = select(events).where(events.c.event_id.in_(bindparam("event_ids", expanding=True)))
last_seq = select(func.coalesce(func.max(events.c.seq), 0)).where(events.c.conversation_id == bindparam("stream_id"))
last_seqs = (
    select(events.c.conversation_id, func.max(events.c.seq))
    .where(events.c.conversation_id.in_(bindparam("stream_ids", expanding=True)))
    .group_by(events.c.conversation_id)
)
stream = select(events).where(events.c.conversation_id == bindparam("stream_id")).order_by(events.c.seq)
in_order = select(events).where(*_in_range).order_by(events.c.position).limit(PAGE_EVENTS)
given_in = select(events).where(*_in_range).order_by(events.c.position)
of_annotators = in_order.where(
    about_annotators, events.c.conversation_id.not_in(select(conversations.c.conversation_id))
)

late = select(events.c.conversation_id).where(events.c.position.is_(None)).distinct()

event_at = select(events.c.event_id).where(events.c.position == bindparam("position"))
tombstones = select(func.count()).select_from(events).where(about_annotators, events.c.kind == Erased.kind, *_in_range)
announcements = tombstones.where(member(events.c.body, "erased_kind").in_(["annotator", "conversation"]))

_touched = select(touches.c.conversation_id).where(touches.c.annotator_id == bindparam("annotator_id"))
tally = (
    select(events.c.kind, func.count())
    .where(
        events.c.conversation_id.in_(union_all(_touched, select(bindparam("annotator_id", type_=Text)))),
        events.c.annotator_id == bindparam("annotator_id"),
    )
    .group_by(events.c.kind)
)
_newest = (
    select(events.c.position)
    .where(_of_conversation)
    .order_by(events.c.seq.desc())
    .limit(1)
    .correlate(conversations)
    .scalar_subquery()
)
_kept = select(events.c.position).where(its_beginning, events.c.kind != Erased.kind).correlate(conversations).exists()
begun_by = (
    select(conversations.c.conversation_id)
    .where(conversations.c.annotator_id == bindparam("annotator_id"), _kept)
    .order_by(_newest.desc().nulls_first(), conversations.c.conversation_id.desc())
)
_mode = select(member(events.c.body, "mode")).where(its_beginning).correlate(conversations).scalar_subquery()
begun_by_in = begun_by.where(_mode == bindparam("mode"))
begun_upto = (
    select(conversations.c.ordinal + 1)
    .where(conversations.c.first_position <= bindparam("upto"))
    .order_by(conversations.c.first_position.desc())
    .limit(1)
)

_sent = events.alias("sent")
_first_sent = (
    select(_sent.c.seq)
    .where(_sent.c.conversation_id == conversations.c.conversation_id, _sent.c.kind == MessageSent.kind)
    .order_by(_sent.c.seq)
    .limit(1)
    .correlate(conversations)
    .scalar_subquery()
)
openers = (
    select(events)
    .select_from(conversations)
    .join(events, and_(_of_conversation, events.c.seq == _first_sent))
    .where(conversations.c.conversation_id.in_(bindparam("conversation_ids", expanding=True)))
)

shard = (
    select(*(events.c[name] for name in Row._fields), conversations.c.conversation_id)
    .join(events, _of_conversation)
    .where(
        conversations.c.ordinal >= bindparam("first"),
        conversations.c.ordinal < bindparam("last"),
        events.c.position <= bindparam("upto"),
    )
    .order_by(conversations.c.ordinal, events.c.seq)
)

_heard_of = select(events.c.conversation_id).where(about_annotators, *_in_range)
dirty = union(
    select(conversations.c.ordinal).join(events, _of_conversation).where(*_in_range),
    select(conversations.c.ordinal)
    .join(touches, touches.c.conversation_id == conversations.c.conversation_id)
    .where(touches.c.annotator_id.in_(_heard_of), conversations.c.first_position <= bindparam("upto")),
)
