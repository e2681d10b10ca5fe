"""From the log to a package: have the shards built that changed, keep the others, swap the whole in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from labeler.core.rules import RULES_VERSION
from labeler.core.standing import standing_of
from labeler.errors import PackageError
from labeler.export import card, tallies
from labeler.export.building import Work, lineage_of, lineage_text
from labeler.export.crews import Crew, built, in_process
from labeler.export.manifest import MANIFEST_PATH, Manifest, ShardFile
from labeler.export.package import CARD_PATH, Staging, alone, read_manifest, read_text
from labeler.export.recipe import options_digest, recipe_of
from labeler.export.schemas import CONFIGS, SPLITS
from labeler.export.shards import Shard
from labeler.export.views import DATASET_INFO_PATH, dataset_info_json
from labeler.store import Store
from labeler.study import Study

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


def export(
    store: Store,
    study: Study,
    out: Path,
    *,
    key: bytes,
    crew: Crew | None = None,
    report: Report = lambda done, total: None,
) -> ExportResult:
    """Bring the package at ``out`` to the log's present position.

    ``crew`` builds the shards: threads of this process unless another is given. Only shards with new events are derived
    again, unless the log's past, rules, options, key or pyarrow are others than those of the package that is there. The
    same log under the same study and key gives the same files, whatever was exported before and whoever builds them.

    Raises:
        PackageError: another export is running, the folder is not a package, workers are lost again and again,
            something was erased meanwhile, or the disk refuses. Nothing has changed.
        LogError: an event cannot be read. Nothing has changed.
    """
    out = out.resolve()
    with alone(out):
        return _Export(store, study, out, key, crew or in_process()).run(report)


class _Export:
    """One run: everything it knows about the log, the study and the package that is there."""

    def __init__(self, store: Store, study: Study, out: Path, key: bytes, crew: Crew) -> None:
        self._store, self._study, self._out, self._key, self._crew = store, study, out, key, crew
        self._position = store.position()
        self._source_id = store.source_id
        self._per_shard = study.dataset.conversations_per_shard
        self._options_digest = options_digest(study, key)
        about_annotators = store.annotator_events(self._position)
        self._recipe = recipe_of(study, key, standing_of(about_annotators, consent_needed=study.consent is not None))
        self._old = read_manifest(out)
        self._old_tallies = tallies.parse_statistics(read_text(out, tallies.STATISTICS_PATH)) if self._old else {}

    def run(self, report: Report) -> ExportResult:
        old_files = _by_shard(self._old.files if self._old else ())
        total = -(-self._store.conversation_count(self._position) // self._per_shard)
        with Staging(self._out) as staging:
            stale = self._stale(total, old_files, staging)
            shards = {
                ordinal: Shard(ordinal, old_files.get(ordinal, ()), self._old_tallies.get(ordinal, tallies.Tally()))
                for ordinal in range(total)
                if ordinal not in stale
            }
            for path in sorted(file.path for shard in shards.values() for file in shard.files):
                staging.link(path)
            work = self._work(staging)
            for shard in built(work, sorted(stale), self._crew):
                _check_delivered(shard, staging)
                shards[shard.ordinal] = shard
                report(len(shards), total)
            if self._lineage(self._position) != work.lineage:
                raise PackageError(f"{self._out}: something was erased from the log meanwhile; export again")
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
        made = (old.source_id, old.rules_version, old.options_digest, old.pyarrow)
        makes = (self._source_id, RULES_VERSION, self._options_digest, pa.__version__)
        return old.position <= self._position and made == makes and self._is_past(old.position, old.lineage)

    def _is_past(self, position: int, lineage: str) -> bool:
        """Whether this log was once as the old package saw it: just as it is now, or before an erasure that the log
        itself tells of."""
        now = self._store.lineage(position)
        counts = [now.erased]
        if now.erased and self._store.announces_erasure(position, self._position):
            counts = list(range(now.erased, -1, -1))
        return any(lineage_text(now._replace(erased=n), self._key, self._study.name) == lineage for n in counts)

    def _lineage(self, position: int) -> str:
        return lineage_of(self._store, position, self._key, self._study.name)

    def _work(self, staging: Staging) -> Work:
        return Work(
            self._store.url,
            staging.folder,
            self._position,
            self._lineage(self._position),
            self._per_shard,
            self._recipe,
        )

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
            view=self._study.dataset.view,
        )
        staging.link_foreign(self._old)
        staging.write(CARD_PATH, card.render(self._study, total, read_text(self._out, CARD_PATH)))
        if self._study.dataset.view == "llamafactory":
            info = dataset_info_json(self._study.name, manifest.totals, self._study.dataset.repo)
            staging.write(DATASET_INFO_PATH, info)
        staging.write(tallies.STATISTICS_PATH, tallies.statistics_json({one.ordinal: one.tally for one in shards}))
        staging.write(MANIFEST_PATH, manifest.to_json())
        return manifest


def _check_delivered(shard: Shard, staging: Staging) -> None:
    """A worker on another machine may have written to a folder of the same name there."""
    for file in shard.files:
        if staging.size(file.path) != file.bytes:
            raise PackageError(
                f"{staging.folder / file.path}: a worker wrote this file, but it is not here; give the workers and the"
                " export one common file system"
            )


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
