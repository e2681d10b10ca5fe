"""A backup on the Hub: one file in a private data set repo, beside a few facts that tell what it is.

The repo holds nothing else. A backup is one commit on top of the head at which the facts of the one before were read,
so of two that come at once one is refused; and one that does not go on from what is there is never put over it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd

from labeler.errors import HubError
from labeler.export.manifest import ShardFile
from labeler.hub.patience import Patience, keep_trying
from labeler.hub.purge import forget_history
from labeler.hub.refusals import Again
from labeler.hub.repo import HARMLESS, README, DatasetRepo, Published

BACKUP = "labeler-backup.zip"
FACTS = "labeler-backup.json"
CARD = """---
viewer: false
---
A backup of a study, kept by `labeler backup`. `labeler restore` puts it into an empty database. It holds accounts and
everything that people wrote: keep this repo private.
"""

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BackupThere:
    """The backup that a repo holds at a commit: what is said of it."""

    head: str
    facts: dict[str, Any]


def backup_there(repo: DatasetRepo, patience: Patience | None = None) -> BackupThere | None:
    """The backup that a repo holds; None if it holds none yet.

    Raises:
        HubError: there is no such repo, or none that this token sees; it is public, or holds something else.
    """
    return keep_trying(lambda: _look(repo)[1], patience)


def fetch_backup(repo: DatasetRepo, to: Path, patience: Patience | None = None) -> bool:
    """Download the backup that a repo holds. False if it holds none yet. Raises HubError as ``backup_there``."""

    def attempt() -> bool:
        _, there = _look(repo)
        if there is None:
            return False
        if not repo.download(BACKUP, there.head, to):
            raise HubError(f"{repo.repo_id} has lost its {BACKUP}; restore that file from the repo's history")
        return True

    return keep_trying(attempt, patience)


def keep_backup(
    repo: DatasetRepo,
    path: Path,
    facts: Facts,
    *,
    follows: Callable[[Facts], bool],
    only: bool = False,
    patience: Patience | None = None,
) -> str | None:
    """Put a backup where the last one is, in one commit. Returns its oid; None if just this state is there already.

    Args:
        path: the backup; the file is called ``BACKUP`` here, too.
        follows: whether the backup goes on from the one that has these facts.
        only: leave no older backup in the repo's history and storage.

    Raises:
        HubError: see ``backup_there``; or what is there is of another study, or newer.
    """
    file = _file(path)

    def attempt() -> str | None:
        published, there = _look(repo)
        made = None
        if there is None or _state(there.facts) != _state(facts):
            if there is not None and not follows(there.facts):
                why = "is of another study or newer than this one"
                raise HubError(f"{repo.repo_id}: the backup there {why}; restore it, or name another repo")
            made = _commit(repo, file, path, facts, published)
        if only:
            forget_history(repo, "Back up")
        return made

    return keep_trying(attempt, patience, got_on=lambda: repo.stored)


def _state(facts: Facts) -> dict[str, Any]:
    """What is said of the state, whenever it was kept and by which labeler."""
    return {name: value for name, value in facts.items() if name not in ("made_at", "labeler")}


def _look(repo: DatasetRepo) -> tuple[Published, BackupThere | None]:
    published = repo.published()
    if published is None:
        line = "there is no such repo, or this token does not see it; make it, private, or set HF_TOKEN"
        raise HubError(f"{repo.repo_id}: {line}")
    if not published.private:
        raise HubError(f"{repo.repo_id} is public, and a backup holds accounts and texts; make it private")
    strange = published.paths - HARMLESS - {BACKUP, FACTS}
    if strange:
        raise HubError(f"{repo.repo_id} holds something else ({min(strange)}); name a repo of its own for backups")
    facts = repo.text(FACTS, published.head)
    if facts is None:
        return published, None
    try:
        return published, BackupThere(published.head, dict(json.loads(facts)))
    except ValueError as error:
        raise HubError(f"{repo.repo_id}: {FACTS} there cannot be read; restore it from the repo's history") from error


def _commit(repo: DatasetRepo, file: ShardFile, path: Path, facts: Facts, published: Published) -> str:
    repo.send(path.parent, [file], lambda done: None)
    operations = [repo.addition(path.parent, file), CommitOperationAdd(FACTS, json.dumps(facts, indent=1).encode())]
    if README not in published.paths:
        operations.append(CommitOperationAdd(README, CARD.encode()))
    made = repo.commit(operations, parent=published.head, message="Back up")
    if not repo.is_the(file, repo.held([file], made).get(BACKUP), made):
        raise Again(f"{repo.repo_id} does not hold the backup that was sent")
    return made


def _file(path: Path) -> ShardFile:
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return ShardFile(path.name, "backup", "train", 0, 1, path.stat().st_size, sha256, sha256)
