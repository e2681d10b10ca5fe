"""What is published at some revision, as a copy of a package; and the proof that its rows are those of its manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from labeler.errors import HubError
from labeler.export.laws import Laws
from labeler.export.manifest import Manifest, ShardFile
from labeler.export.proof import PROBLEMS_KEPT, damage_of, row_problems
from labeler.hub.patience import Patience, keep_trying
from labeler.hub.repo import DatasetRepo

_TARGET = re.compile(r"(?P<repo>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>\S+))?")


def repo_and_revision(target: str) -> tuple[str, str | None] | None:
    """``owner/name`` or ``owner/name@revision``, taken apart; None if it is neither."""
    found = _TARGET.fullmatch(target)
    return (found["repo"], found["revision"]) if found else None


@dataclass(frozen=True, slots=True)
class PublishedCopy:
    """A package as a repo holds it at one commit, ``head``. Files are fetched when they are opened, each for as long as
    its block lasts."""

    repo: DatasetRepo
    name: str
    head: str
    manifest: Manifest
    patience: Patience | None = None

    @classmethod
    def at(cls, repo: DatasetRepo, revision: str | None = None, *, patience: Patience | None = None) -> PublishedCopy:
        """What is published at a revision (a branch, a tag, a commit), or at the head of the main branch.

        Raises:
            HubError: there is no such repo or revision, or it holds no package.
        """
        published = keep_trying(lambda: repo.published(revision), patience)
        name = repo.repo_id + (f"@{revision}" if revision else "")
        if published is None:
            raise HubError(f"{name} does not exist on {repo.endpoint}, or this token may not see it")
        if published.manifest is None:
            raise HubError(f"{name} holds no package: there is no manifest in it")
        return cls(repo, name, published.head, published.manifest, patience)

    @contextmanager
    def opened(self, file: ShardFile) -> Iterator[Path]:
        """
        Raises:
            HubError: the file cannot be had.
        """
        with TemporaryDirectory(prefix="labeler-") as folder:
            path = Path(folder) / Path(file.path).name
            if not keep_trying(lambda: self.repo.download(file.path, self.head, path), self.patience):
                raise HubError(f"{self.name}: {file.path} is not there")
            yield path


def row_differences(copy: PublishedCopy, *, report: Callable[[int], None] = lambda rows: None) -> tuple[str, ...]:
    """What is wrong with the bytes and rows that a repo serves, measured against its manifest and the laws of rows; at
    most a hundred problems. Each file is downloaded, whatever the Hub says of its content. ``report`` is told how many
    rows each one held.

    Raises:
        HubError: the repo cannot be read.
    """
    return tuple(islice(_row_differences(copy, report), PROBLEMS_KEPT))


def _row_differences(copy: PublishedCopy, report: Callable[[int], None]) -> Iterator[str]:
    laws = Laws(copy.manifest.view)
    for file in copy.manifest.files:
        with copy.opened(file) as path:
            if damage := damage_of(path, file):
                yield f"{file.path}: {damage}"
            else:
                yield from row_problems(path, file, laws)
        report(file.rows)
