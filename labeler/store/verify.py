"""A log that can prove itself: everything is read and replayed, and what is derived is derived again and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import orjson

from labeler.core.bodies import canonical_json, parse
from labeler.core.conversation import Conversation, Message
from labeler.core.events import ConversationStarted, Erased, Event, LogStarted
from labeler.core.folding import replay
from labeler.errors import LogError
from labeler.ids import text_sha256
from labeler.store import queries
from labeler.store.beginning import check_beginning
from labeler.store.index import differences
from labeler.store.rows import checked_at, event_from
from labeler.store.schema import ABOUT_ANNOTATORS
from labeler.store.store import Store
from labeler.store.transfer import line_of

PROBLEMS_KEPT = 100

RawRow = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What a log holds and what is wrong with it. ``digest`` is SHA-256 of its dump: equal logs have equal digests."""

    position: int
    conversations: int
    digest: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify_log(store: Store, *, report: Callable[[int], None] = lambda done: None) -> Report:
    """Prove a log up to its present position; at most a hundred problems are told, one line each.

    Positions and seqs have no gap, bodies are of their kinds and in canonical form, every conversation replays, what
    messages name is there, prompts have the digests that replies state, and the derived tables say what the log says.
    What stays consistent in itself (a text exchanged for another) shows in the digest alone, beside an older one.

    ``report`` is told of every event twice: the log is read in the order of positions, then stream by stream.

    Raises:
        StoreError: the file is too damaged to be read.
    """
    proof = _Proof(store, report)
    problems = tuple(islice(proof.problems(), PROBLEMS_KEPT))
    return Report(proof.upto, proof.conversations, proof.digest.hexdigest(), problems)


class _Proof:
    """One pass over everything; what it counts on the way is true when its problems have been read to the end."""

    def __init__(self, store: Store, report: Callable[[int], None]) -> None:
        self.upto = store.position()
        self.conversations = 0
        self.digest = hashlib.sha256()
        self._store = store
        self._report = report

    def problems(self) -> Iterator[str]:
        yield from self._in_database()
        yield from self._in_order()
        yield from self._in_streams()
        yield from self._in_derived_tables()

    def _in_database(self) -> Iterator[str]:
        yield from self._store.database.damages()

    def _in_order(self) -> Iterator[str]:
        expected = 1
        for row in self._store.scan_rows(upto=self.upto):
            self._report(1)
            position = row[0]
            if position != expected:
                yield f"position {expected}: no event is there, the next one is at {position}"
            expected = position + 1
            if _no_text(row):
                yield f"position {position}: bytes stand where text should"
                continue
            self.digest.update(line_of(row))
            yield from (f"position {position}: {problem}" for problem in _row_problems(row))

    def _in_streams(self) -> Iterator[str]:
        for _, members in groupby(self._rows_by_stream(), itemgetter(2)):
            rows = list(members)
            self._report(len(rows))
            if any(map(_no_text, rows)):
                continue  # told already, at its position
            try:
                events = [event_from(row) for row in rows]
            except LogError:
                continue  # told already, at its position
            if _in_conversation(events):
                self.conversations += 1
                yield from _conversation_problems(events)
            else:
                yield from _other_problems(events)

    def _rows_by_stream(self) -> Iterator[RawRow]:
        last = {"stream_id": "", "seq": 0}
        while page := self._page(last):
            yield from (row for row in page if (row[0] or self.upto + 1) <= self.upto)
            last = {"stream_id": page[-1][2], "seq": page[-1][3]}

    def _page(self, after: dict[str, Any]) -> Sequence[RawRow]:
        with self._store.database.reading() as connection:
            return connection.execute(queries.by_stream, after).all()

    def _in_derived_tables(self) -> Iterator[str]:
        with self._store.database.reading() as connection:
            yield from differences(connection)


# ── one row ──


def _no_text(row: RawRow) -> bool:
    return any(isinstance(value, bytes) for value in row)


def _row_problems(row: RawRow) -> Iterator[str]:
    position, _, _, _, kind, at, _, body = row
    try:
        checked_at(at)
    except ValueError as error:
        yield str(error)
    try:
        members = orjson.loads(body)
        check_beginning(position, tuple(row[1:]), parse(kind, members))
        if canonical_json(members) != body:
            yield "its body is not in canonical form"
    except ValueError:
        yield "its body is not JSON"
    except LogError as error:
        yield str(error)


# ── one stream ──


def _in_conversation(stream: Sequence[Event]) -> bool:
    return not isinstance(stream[0].payload, LogStarted) and any(
        event.payload.kind not in ABOUT_ANNOTATORS for event in stream
    )


def _other_problems(events: Sequence[Event]) -> Iterator[str]:
    """Of a stream that is no conversation: an annotator's, or the study's."""
    for expected, event in enumerate(events, 1):
        if event.seq != expected:
            yield f"{event.conversation_id}: seq {event.seq} where {expected} should be"
            return


def _conversation_problems(events: Sequence[Event]) -> Iterator[str]:
    conversation_id = events[0].conversation_id
    try:
        conversation = replay(conversation_id, events)
    except LogError as error:
        yield str(error)
        return
    for problem in (*_beginning_problems(events), *_reference_problems(conversation), *_prompt_problems(conversation)):
        yield f"conversation {conversation_id}: {problem}"


def _beginning_problems(events: Sequence[Event]) -> Iterator[str]:
    started = [event.seq for event in events if isinstance(event.payload, ConversationStarted)]
    if started != [1] and not isinstance(events[0].payload, Erased):
        yield f"'{ConversationStarted.kind}' must be its first event and no other"


def _reference_problems(conversation: Conversation) -> Iterator[str]:
    """What a message was made from must be there, and be of its kind: replay looks at parents alone."""
    messages = conversation.messages
    for message in messages.values():
        parent = messages[message.parent_id].role if message.parent_id else "assistant"
        if parent == message.role:
            yield f"message {message.id} answers one of the same role"
        for origin in (message.edits, message.retries):
            if origin is not None and not _siblings(message, messages.get(origin)):
                yield f"message {message.id} is made from {origin}, which is no sibling of it"
    for undo in conversation.undos:
        if undo.answer_id is not None and undo.answer_id not in messages:
            yield f"event {undo.event_id} names an unknown message '{undo.answer_id}'"


def _siblings(message: Message, other: Message | None) -> bool:
    return other is not None and (other.parent_id, other.role) == (message.parent_id, message.role)


def _prompt_problems(conversation: Conversation) -> Iterator[str]:
    if conversation.started is None:
        return
    prompt = conversation.started.system_prompt
    expected = text_sha256(prompt) if prompt else None
    for message in conversation.messages.values():
        if message.started is not None and message.started.system_prompt_sha256 != expected:
            yield f"message {message.id} was written under another system prompt than the conversation's"
