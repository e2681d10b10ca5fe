"""Why a row is there, or is not: the events, the rule and the decision behind one id of the data set or of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from labeler.core.bodies import body_json
from labeler.core.events import Event
from labeler.core.laws import Preflight, ids_of
from labeler.core.records import Derived
from labeler.core.references import messages_of
from labeler.core.rules import REASONS, RULES
from labeler.core.standing import standing_of
from labeler.errors import PackageError
from labeler.export.building import derived_from
from labeler.export.columns import Record, record_ids
from labeler.export.package import read_manifest
from labeler.export.pseudonyms import Pseudonyms
from labeler.export.recipe import recipe_of
from labeler.export.redacting import redactor_of
from labeler.store import Row, Store, event_of
from labeler.study import Study

ID_COLUMNS = ("record_id", "message_id", "conversation_id", "event_id")


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one candidate: a row (``config`` and ``split`` say where), or not (``reason`` says why).

    ``messages`` are the log's ids of its answers, the chosen one first. ``rule`` made the row or left it out, and
    ``meaning`` says so in words.
    """

    rule: str
    meaning: str
    messages: tuple[str, ...]
    event_ids: tuple[str, ...] = ()
    config: str | None = None
    split: str | None = None
    record_id: str | None = None
    reason: str | None = None
    sources: tuple[str, ...] = ()
    strength: int | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All decisions that concern an id, and the events of its conversation that they rest on, in their order."""

    asked: str
    conversation_id: str
    annotator_id: str
    decisions: tuple[Decision, ...]
    events: tuple[Event, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as a plain object."""
        tree = asdict(self) | {"decisions": [asdict(one) for one in self.decisions]}
        tree["events"] = [
            {
                "position": event.position,
                "seq": event.seq,
                "at": event.at,
                "kind": event.payload.kind,
                "annotator_id": event.annotator_id,
                "event_id": event.event_id,
                "body": body_json(event.payload),
            }
            for event in self.events
        ]
        return tree


def explain(
    store: Store,
    study: Study,
    asked: str,
    *,
    key: bytes,
    package: Path | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Explanation:
    """Find the conversation that an id belongs to, and derive it once more.

    A package shortens the search: its files say in which shard an id of the data set stands. Without it, and for ids of
    the log, conversations are looked through in their order; ``report`` is told how many of how many.

    Raises:
        PackageError: nothing has this id.
        StoreError, LogError: the log cannot be read.
    """
    search = _Search(store, study, asked, key)
    total = store.conversation_count(search.position)
    for first, last in (*_places(package, asked), *_slices(total)):
        for found in search.between(first, last):
            return found
        report(min(last, total), total)
    raise PackageError(
        f"{asked}: neither the log nor the data set has this id; name a record, a message, a conversation or an event"
    )


def _slices(total: int, size: int = 500) -> Iterator[tuple[int, int]]:
    return ((first, first + size) for first in range(0, total, size))


def _places(package: Path | None, asked: str) -> Iterator[tuple[int, int]]:
    """The conversations of the shards of a package in which an id stands."""
    manifest = read_manifest(package) if package is not None and package.is_dir() else None
    if package is None or manifest is None:
        return
    size = manifest.conversations_per_shard
    for file in manifest.files:
        with pq.ParquetFile(package / file.path) as parquet:
            columns = [name for name in ID_COLUMNS if name in parquet.schema_arrow.names]
            table = parquet.read(columns=columns)
        if any(pc.any(pc.equal(table[name], asked)).as_py() for name in columns):
            yield file.shard * size, (file.shard + 1) * size
            return


class _Search:
    """Looks for an id among the conversations of a log."""

    def __init__(self, store: Store, study: Study, asked: str, key: bytes) -> None:
        self.position = store.position()
        self._store, self._asked, self._dataset, self._key = store, asked, study.name, key
        standing = standing_of(store.annotator_events(self.position), consent_needed=study.consent is not None)
        self._recipe = recipe_of(study, key, standing)
        self._preflight, self._redactor = Preflight(), redactor_of(self._recipe, store)

    def between(self, first: int, last: int) -> Iterator[Explanation]:
        for conversation_id, members in self._store.shard_rows(first, last, self.position):
            rows = list(members)
            derived = derived_from(conversation_id, rows, self._recipe, self._preflight, self._redactor)
            case = _Case(conversation_id, rows, derived, Pseudonyms.of(self._key, self._dataset))
            if found := case.explained(self._asked):
                yield found


class _Case:
    """One conversation, its yield, and the published names of what is in it."""

    def __init__(self, conversation_id: str, rows: list[Row], derived: Derived, names: Pseudonyms) -> None:
        self._id, self._rows, self._derived, self._names = conversation_id, rows, derived, names
        self._events = [event_of(conversation_id, row) for row in rows]

    def explained(self, asked: str) -> Explanation | None:
        decisions = [*self._made(), *self._left_out()]
        wanted = self._concerned(asked, decisions)
        if wanted is None:
            return None
        return Explanation(
            asked, self._id, self._events[0].annotator_id, tuple(wanted), tuple(self._behind(wanted, asked))
        )

    def _concerned(self, asked: str, decisions: list[Decision]) -> list[Decision] | None:
        """The decisions about an id; ``None`` if nothing in this conversation has it."""
        if asked in (self._id, self._names.conversations[self._id]):
            return decisions
        if found := [one for one in decisions if one.record_id == asked]:
            return found
        for event in self._events:
            if asked in (event.event_id, self._names.events[event.event_id]):
                return [one for one in decisions if event.event_id in one.event_ids]
            for message_id in messages_of(event):
                if asked in (message_id, self._names.messages[message_id]):
                    return [one for one in decisions if message_id in one.messages]
        return None

    def _made(self) -> Iterator[Decision]:
        derived, names = self._derived, self._names
        made: dict[str, Sequence[Record]] = {
            "dpo": derived.pairs,
            "reward": derived.pairs,
            "kto": derived.unpaired,
            "sft": derived.demonstrations,
        }
        for config, records in made.items():
            for record, record_id in zip(records, record_ids(config, records, names), strict=True):
                yield _row(config, record, record_id)

    def _left_out(self) -> Iterator[Decision]:
        for one in self._derived.ledger:
            meaning = REASONS[one.reason][1]
            touching = tuple(event.event_id for event in self._events if set(one.candidates) & set(messages_of(event)))
            yield Decision(one.rule, meaning, one.candidates, touching, reason=one.reason)

    def _behind(self, decisions: Iterable[Decision], asked: str) -> Iterator[Event]:
        """The events that decisions name, those that made their answers, and the one that was asked for."""
        wanted = {asked, *(event_id for one in decisions for event_id in one.event_ids)}
        answers = {message_id for one in decisions for message_id in one.messages}
        for event in self._events:
            names = {event.event_id, self._names.events[event.event_id]}
            if wanted & names or answers & set(messages_of(event)):
                yield event


def _row(config: str, record: Record, record_id: str) -> Decision:
    grounds = record.grounds
    return Decision(
        grounds.source,
        RULES[grounds.source].pattern,
        ids_of(record),
        grounds.event_ids,
        config,
        record.prompt.split,
        record_id,
        sources=grounds.sources,
        strength=grounds.strength,
        confidence=grounds.confidence,
    )
