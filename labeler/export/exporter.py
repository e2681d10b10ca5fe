"""From the log to a package: derive the shards that changed, keep the others, swap the whole in."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from labeler.core.conversation import replay
from labeler.core.records import SCHEMA_VERSION
from labeler.core.rules import RULES_VERSION, Options, derive
from labeler.core.standing import Standing, standing_of
from labeler.export import card, tallies
from labeler.export.columns import Terms
from labeler.export.manifest import MANIFEST_PATH, Manifest, ShardFile
from labeler.export.package import CARD_PATH, Staging, alone, read_manifest, read_text
from labeler.export.pseudonyms import Names, Pseudonyms, key_print, purpose
from labeler.export.schemas import CONFIGS, SPLITS
from labeler.export.shards import Encoder, Shard, ShardOnItsWay, ShardRows, write_shard
from labeler.ids import sha256_hex
from labeler.store import Store, event_of
from labeler.study import Study

# What made a row: it changes with the rules and the columns and not with every release, or each release would write and
# send every shard again.
TOOL_VERSION = f"labeler rules {RULES_VERSION}, columns {SCHEMA_VERSION}"

Report = Callable[[int, int], None]
"""Told how many shards are done, of how many."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export did. A shard counts as written if any of its files is new, other or gone."""

    package: Path
    position: int
    rows: dict[str, dict[str, int]]
    excluded: dict[str, int]
    shards_written: int
    shards_unchanged: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what a shard's conversations become, besides their events."""

    options: Options
    standing: Standing
    key: bytes
    dataset: str
    license: str | None

    def terms(self) -> Terms:
        """Fresh for every shard: the pseudonyms that it remembers would otherwise grow with the log."""
        return Terms(Pseudonyms.of(self.key, self.dataset), self.license, TOOL_VERSION)


def export(
    store: Store, study: Study, out: Path, *, key: bytes, report: Report = lambda done, total: None
) -> ExportResult:
    """Bring the package at ``out`` to the log's present position.

    Only shards with new events are derived again, unless the log's past, rules, options, key or pyarrow are others than
    those of the package that is there. The same log under the same study and key gives the same files, whatever was
    exported before.

    Raises:
        PackageError: another export is running, the folder is not a package, or the disk refuses. Nothing has changed.
        LogError: an event cannot be read. Nothing has changed.
    """
    out = out.resolve()
    with alone(out):
        return _Export(store, study, out, key).run(report)


class _Export:
    """One run: everything it knows about the log, the study and the package that is there."""

    def __init__(self, store: Store, study: Study, out: Path, key: bytes) -> None:
        self._store, self._study, self._out = store, study, out
        self._position = store.position()
        self._source_id = store.source_id
        self._per_shard = study.dataset.conversations_per_shard
        self._options_digest = options_digest(study, key)
        self._recipe = Recipe(
            options=options_of(study),
            standing=standing_of(store.annotator_events(self._position), consent_needed=study.consent is not None),
            key=key,
            dataset=study.name,
            license=study.dataset.license,
        )
        self._old = read_manifest(out)
        self._old_tallies = tallies.parse_statistics(read_text(out, tallies.STATISTICS_PATH)) if self._old else {}

    def run(self, report: Report) -> ExportResult:
        old_files = _by_shard(self._old.files if self._old else ())
        total = -(-self._store.conversation_count(self._position) // self._per_shard)
        with Staging(self._out) as staging, Encoder() as encoder, _no_cycles():
            stale = self._stale(total, old_files, staging)
            shards = {
                ordinal: Shard(ordinal, old_files.get(ordinal, ()), self._old_tallies.get(ordinal, tallies.Tally()))
                for ordinal in range(total)
                if ordinal not in stale
            }
            for path in sorted(file.path for shard in shards.values() for file in shard.files):
                staging.link(path)
            for shard in self._derived(sorted(stale), staging, encoder):
                shards[shard.ordinal] = shard
                report(len(shards), total)
            manifest = self._finish([shards[ordinal] for ordinal in range(total)], staging)
            staging.swap()
        written = sum(shard.files != old_files.get(shard.ordinal, ()) for shard in shards.values())
        return _result(self._out, manifest, written, total - written)

    def _stale(self, total: int, old_files: dict[int, tuple[ShardFile, ...]], staging: Staging) -> set[int]:
        """The shards that have to be derived: what is new, and what the package should hold but does not."""
        if self._old is None or not self._continues(self._old):
            return set(range(total))
        dirty = self._store.dirty_ordinals(self._old.position, self._position)
        stale = {ordinal // self._per_shard for ordinal in dirty}
        lost = {ordinal for ordinal, files in old_files.items() if not all(map(staging.has, files))}
        return stale | lost | (set(range(total)) - self._old_tallies.keys())

    def _continues(self, old: Manifest) -> bool:
        """Whether the package that is there is an earlier state of the one to make."""
        return old.position <= self._position and (
            (old.source_id, old.rules_version, old.options_digest, old.pyarrow, old.lineage)
            == (self._source_id, RULES_VERSION, self._options_digest, pa.__version__, self._lineage(old.position))
        )

    def _lineage(self, position: int) -> str:
        """What the store says of the log up to there, under the key: it names an event."""
        return Names(self._recipe.key, purpose(self._study.name, "lineage"))[self._store.lineage(position)]

    def _derived(self, ordinals: Iterable[int], staging: Staging, encoder: Encoder) -> Iterator[Shard]:
        """Derive shards, each while the one before is still being encoded."""
        before: ShardOnItsWay | None = None
        for ordinal in ordinals:
            rows = self._rows_of(ordinal)
            if before is not None:
                yield before.arrived()
            before = write_shard(staging.folder, ordinal, rows, self._recipe.terms(), encoder)
        if before is not None:
            yield before.arrived()

    def _rows_of(self, ordinal: int) -> ShardRows:
        first, rows = ordinal * self._per_shard, ShardRows()
        for conversation_id, members in self._store.shard_rows(first, first + self._per_shard, self._position):
            conversation = replay(conversation_id, [event_of(conversation_id, row) for row in members])
            rows.add(derive(conversation, self._recipe.standing, self._recipe.options))
        return rows

    def _finish(self, shards: list[Shard], staging: Staging) -> Manifest:
        """Everything beside the shards: the card, the tallies and, last of all, the manifest."""
        total = tallies.Tally()
        for shard in shards:
            total.update(shard.tally)
        manifest = Manifest(
            source_id=self._source_id,
            study=self._study.name,
            position=self._position,
            rules_version=RULES_VERSION,
            options_digest=self._options_digest,
            pyarrow=pa.__version__,
            conversations_per_shard=self._per_shard,
            files=tuple(sorted((file for shard in shards for file in shard.files), key=lambda file: file.path)),
            excluded=tallies.below(total, "excluded"),
            totals=_totals(total),
            lineage=self._lineage(self._position),
        )
        staging.link_foreign(self._old)
        staging.write(CARD_PATH, card.render(self._study, total, read_text(self._out, CARD_PATH)))
        staging.write(tallies.STATISTICS_PATH, tallies.statistics_json({one.ordinal: one.tally for one in shards}))
        staging.write(MANIFEST_PATH, manifest.to_json())
        return manifest


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


def options_of(study: Study) -> Options:
    """What the study decides about derivation."""
    dataset = study.dataset
    return Options(**study.rules.model_dump(), test_percent=dataset.test_percent, salt=dataset.salt)


def options_digest(study: Study, key: bytes) -> str:
    """SHA-256 of all that a study, a key and this version's columns decide about rows. It tells none of them."""
    decided = {
        "options": asdict(options_of(study)),
        "consent": study.consent is not None,
        "license": study.dataset.license,
        "conversations_per_shard": study.dataset.conversations_per_shard,
        "key": key_print(key, study.name),
        "tool_version": TOOL_VERSION,
    }
    return sha256_hex(json.dumps(decided, sort_keys=True))


def _by_shard(files: Iterable[ShardFile]) -> dict[int, tuple[ShardFile, ...]]:
    shards: dict[int, tuple[ShardFile, ...]] = {}
    for file in files:
        shards[file.shard] = (*shards.get(file.shard, ()), file)
    return shards


def _totals(tally: tallies.Tally) -> dict[str, dict[str, int]]:
    """Rows by config and split; what has none is left out."""
    counts = {
        config: {split: tally[f"rows/{config}/{split}"] for split in SPLITS if tally[f"rows/{config}/{split}"]}
        for config in CONFIGS
    }
    return {config: splits for config, splits in counts.items() if splits}


def _result(out: Path, manifest: Manifest, written: int, unchanged: int) -> ExportResult:
    rows = {config: dict(splits) for config, splits in manifest.totals.items()}
    return ExportResult(out, manifest.position, rows, dict(manifest.excluded), written, unchanged)
