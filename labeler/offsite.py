"""Backups away from the machine, in a private repo on the Hub; and backups again and again."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeler.errors import LabelerError
from labeler.hub import BACKUP, DatasetRepo, fetch_backup, keep_backup
from labeler.keeping import Backup, backup
from labeler.store import Store
from labeler.store.archive import unmoved

PREFIX = "hf://datasets/"


def repo_named(place: str) -> str | None:
    """The repo that a place for backups names (``hf://datasets/OWNER/NAME``); None: it is a file."""
    return place.removeprefix(PREFIX) if place.startswith(PREFIX) else None


def backup_there(
    store: Store, repo: DatasetRepo, *, prove: bool = True, only: bool = False
) -> tuple[Backup, str | None]:
    """Back up into a repo: the backup, and its commit or None if just this state is there already.

    ``only``: leave no older one there.

    Raises:
        LabelerError: as ``backup``; or the Hub refuses, or what is there is of another study or newer.
    """
    with tempfile.TemporaryDirectory(prefix="labeler-") as folder:
        path = Path(folder) / BACKUP
        kept = backup(store, path, prove=prove)
        commit = keep_backup(
            repo, path, kept.manifest.facts(), follows=lambda facts: _goes_on(store, kept, facts), only=only
        )
    return kept, commit


def _goes_on(store: Store, kept: Backup, facts: Mapping[str, Any]) -> bool:
    """Whether this log is the one that was kept before, as it has become since."""
    position = facts.get("position")
    return (
        facts.get("source_id") == kept.manifest.source_id
        and isinstance(position, int)
        and position <= kept.manifest.position
        and store.lineage(position).last == facts.get("last_event")
    )


def fetch(repo: DatasetRepo, folder: Path) -> Path | None:
    """The backup that a repo holds, downloaded into a folder; None if it holds none yet. Raises HubError."""
    path = folder / BACKUP
    return path if fetch_backup(repo, path) else None


@dataclass(frozen=True, slots=True)
class Keeper:
    """Backs up again and again, what has changed since the last time.

    ``keep`` does it once, ``tell`` is told what came of it, be it an error.
    """

    store: Store
    every: float
    keep: Callable[[], Backup]
    tell: Callable[[Backup | LabelerError], None]

    def run(self, stop: threading.Event) -> None:
        """Back up until ``stop`` is set, and then a last time.

        Raises:
            LabelerError: the first time or the last it failed. Other failures are told of.
        """
        kept = self._kept()
        while not stop.wait(self.every):
            kept = self._turn(kept)
        if not unmoved(self.store, kept.manifest):
            self._kept()

    def _kept(self) -> Backup:
        kept = self.keep()
        self.tell(kept)
        return kept

    def _turn(self, last: Backup) -> Backup:
        try:
            return last if unmoved(self.store, last.manifest) else self._kept()
        except LabelerError as error:
            self.tell(error)
            return last
