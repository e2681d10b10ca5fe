"""One shard from the log to its files: the unit of work of an export, in this process or in another.

Whoever builds a shard needs the log, the folder that the files go to, and ``Work``. What comes out depends on neither
the process nor the machine, so a shard that was lost half-way is simply built again, by whomever.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from labeler.core.events import Erased
from labeler.core.folding import replay
from labeler.core.laws import Preflight
from labeler.core.records import Derived, Exclusion
from labeler.core.rules import REASONS, derive
from labeler.errors import LogError, PackageError
from labeler.export.pseudonyms import Names, purpose
from labeler.export.recipe import TOOL_VERSION, Recipe
from labeler.export.redacting import Redactor, redactor_of
from labeler.export.shards import Encoder, Shard, ShardOnItsWay, ShardRows, write_shard
from labeler.store import Lineage, Row, Store, event_of

UNREADABLE = "unreadable"
ERASED = "erased"

# What has to be the same wherever shards of one package are built, or their bytes are not.
MADE_WITH = f"{TOOL_VERSION}, pyarrow {pa.__version__}"

# Deriving needs the interpreter, encoding does not: one thread of a process derives at a time, and while its tables are
# encoded the next one has its turn.
_turn = threading.Lock()


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker has to know to build any shard of one export; small enough to be sent along with each."""

    database_url: str
    folder: Path
    position: int
    lineage: str
    conversations_per_shard: int
    recipe: Recipe
    made_with: str = MADE_WITH


def build(work: Work, ordinal: int) -> Shard:
    """Derive one shard and write its files below the folder of the work.

    Raises:
        PackageError: this worker is another version, or reads another log, than the export that it works for.
        StoreError, LogError: the log cannot be read.
    """
    if work.made_with != MADE_WITH:
        raise PackageError(
            f"a worker makes packages with {MADE_WITH}, the export with {work.made_with}; install the same everywhere"
        )
    with Encoder() as encoder:
        return _derived(work, ordinal, encoder).arrived()


def lineage_of(store: Store, position: int, key: bytes, dataset: str) -> str:
    """What the store says of the log up to there, under the key: it names an event."""
    return lineage_text(store.lineage(position), key, dataset)


def lineage_text(lineage: Lineage, key: bytes, dataset: str) -> str:
    """The published form of a lineage."""
    return Names(key, purpose(dataset, "lineage"))[f"{lineage.last} {lineage.erased}"]


def _derived(work: Work, ordinal: int, encoder: Encoder) -> ShardOnItsWay:
    # The rows are gone when the garbage collector comes back, or it would look through all of them.
    with _turn, _no_cycles():
        return _written(work, ordinal, encoder)


def _written(work: Work, ordinal: int, encoder: Encoder) -> ShardOnItsWay:
    recipe = work.recipe
    with Store.open(work.database_url) as store:
        if lineage_of(store, work.position, recipe.key, recipe.dataset) != work.lineage:
            raise PackageError(
                f"{store.name}: a worker reads another log here than the export does, or something was erased"
                " meanwhile; let all of them see the same file, and export again"
            )
        rows = _rows(store, work, ordinal)
        return write_shard(work.folder, ordinal, rows, recipe.terms(), encoder)


def _rows(store: Store, work: Work, ordinal: int) -> ShardRows:
    first, rows = ordinal * work.conversations_per_shard, ShardRows()
    preflight, redactor = Preflight(), redactor_of(work.recipe, store)
    for conversation_id, members in store.shard_rows(first, first + work.conversations_per_shard, work.position):
        rows.add(derived_from(conversation_id, members, work.recipe, preflight, redactor))
    if redactor is not None:
        redactor.scanner.save()
    return rows


def derived_from(
    conversation_id: str, members: Iterable[Row], recipe: Recipe, preflight: Preflight, redactor: Redactor | None
) -> Derived:
    """What a conversation yields, with what breaks a law in its ledger.

    Events that contradict each other (a log may have been written by another program and loaded) cost this conversation
    only, and its ledger says so.

    Raises:
        LogError: a body cannot be read: the log is damaged, and nobody knows what else is.
    """
    events = [event_of(conversation_id, row) for row in members]
    try:
        conversation = replay(conversation_id, events)
    except LogError:
        return Derived(ledger=[Exclusion((conversation_id,), REASONS[UNREADABLE][0], UNREADABLE)])
    redacted = redactor.redact(conversation) if redactor else None
    derived = derive(conversation, recipe.standing, recipe.options)
    if redacted is not None:
        redacted.recheck(derived)
    if any(isinstance(event.payload, Erased) for event in events):
        derived.ledger.append(Exclusion((conversation_id,), REASONS[ERASED][0], ERASED))
    preflight.check(derived)
    return derived


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Derivation makes no reference cycles; to look for some among all records of a shard costs a third of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
