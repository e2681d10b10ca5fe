"""Keeping a study: backups of its database, putting them back, and moving from one database to another.

A backup is one file (``labeler.store.archive``), the same for every kind of database. What it says is proven before
anybody relies on it: it is put into a scratch database, replayed there, and compared.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from labeler.errors import LogError, StoreError
from labeler.store import Store, utc_now
from labeler.store.archive import Archive, Manifest, restoring, standing_still, unmoved, write_archive
from labeler.store.sqlite import database_url
from labeler.store.verify import Report, verify_log


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was taken. ``proof`` is of the scratch copy; None: it was not asked for."""

    manifest: Manifest
    bytes: int
    proof: Report | None


def backup(store: Store, path: Path, *, prove: bool = True) -> Backup:
    """Write a backup of the present state. The file appears whole, proven and on disk, or not at all.

    Whoever annotates meanwhile is not hindered. ``prove``: put it into a scratch database beside it and replay it;
    otherwise it is only read again.

    Raises:
        LogError: the copy is not sound; what is wrong with it is wrong with the log.
        StoreError: the database cannot be read.
        OSError: the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise LogError(f"{path}: a backup needs a file of its own; name one")
    with _draft(path) as draft:
        with draft.open("wb") as file:
            manifest = write_archive(store, file, at=utc_now())
        proof = proven(draft, called=path) if prove else None
        with Archive.open(draft) as archive:
            archive.check()
        return Backup(manifest, draft.stat().st_size, proof)


def proven(path: Path, called: Path | None = None) -> Report:
    """Put a backup into a scratch database beside it, and replay what it says; nothing is left of it.

    Raises:
        LogError: the backup cannot be put back, or is not sound; the line calls it ``called``.
    """
    called = called or path
    with (
        tempfile.TemporaryDirectory(prefix=".labeler-", dir=path.parent) as folder,
        Store.open(database_url(Path(folder) / "copy.db")) as copy,
        _called(path, called),
    ):
        restore(copy, path)
        report = verify_log(copy)
    return _sound(report, f"{called}: not written")


def _sound(report: Report, place: str) -> Report:
    if not report.ok:
        more = f" (and {len(report.problems) - 1} more)" if len(report.problems) > 1 else ""
        raise LogError(f"{place}, the log is not sound: {report.problems[0]}{more}; run labeler verify")
    return report


def restore(store: Store, path: Path) -> Manifest:
    """Put a backup into an empty database: all of it, compared with what the backup states, or nothing.

    Raises:
        LogError: the backup cannot be read, was tampered with, or is of a newer labeler.
        StoreError: the database is not empty, or cannot be written.
    """
    with Archive.open(path) as archive:
        with restoring(store, archive):
            pass
        return archive.manifest


def migrate(source: Store, target: Store) -> tuple[Manifest, Report]:
    """Copy a database into an empty one of any kind, positions and all, and prove that both hold the same.

    Nothing is committed if the source has changed since the copy was made; until it is, nobody can write to the source.

    Raises:
        StoreError: the target is not empty, the source changed, or one of them cannot be used.
        LogError: the log is not sound, or what arrived is not what was sent.
    """
    _sound(verify_log(source), f"{source.name}: nothing was moved")
    with tempfile.TemporaryDirectory(prefix="labeler-") as folder:
        path = Path(folder) / "state.zip"
        with path.open("wb") as file:
            write_archive(source, file, at=utc_now())
        with Archive.open(path) as archive, ExitStack() as held:
            manifest = archive.manifest
            with _called(path, source.name), restoring(target, archive):
                _check_unmoved(source, manifest, held.enter_context(standing_still(source, manifest)))
    report = _sound(verify_log(target), f"{target.name}: empty this database again")
    _check_unmoved(source, manifest, unmoved(source, manifest))
    return manifest, report


def _check_unmoved(source: Store, manifest: Manifest, still: bool) -> None:
    if not still:
        raise StoreError(
            f"the old database is being written to: it was copied at position {manifest.position:,} and is at"
            f" {source.position():,} now; stop every labeler that uses it, empty the new database if it is not, and"
            " run this again"
        )


@contextmanager
def _called(path: Path, name: Path | str) -> Iterator[None]:
    """Say of a file that nobody will find what it was made from."""
    try:
        yield
    except LogError as error:
        raise LogError(str(error).replace(str(path), str(name))) from error


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A private file that takes its name, and is on disk, when the block is left; a failure leaves what was there."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
        _sync(draft)
        os.replace(draft, path)
        _sync(path.parent)
    except BaseException:  # whatever it is, the draft goes first
        draft.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
