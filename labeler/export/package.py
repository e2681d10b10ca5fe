"""A package on disk: staged beside the old one with unchanged files hard-linked, and swapped in at once.

Beside a package ``NAME`` stand, while an export runs and after one was cut off:

    .NAME.lock   held by the export that runs; it stays, empty
    .NAME.new    being staged, or after an exchange the old package: never needed again
    .NAME.old    the old package moved aside where two folders cannot be exchanged: put back if no package is there
    .NAME.gone   on its way to deletion
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labeler.errors import PackageError
from labeler.export.manifest import MANIFEST_PATH, SHARD_PATH, Manifest, ShardFile
from labeler.export.shards import DRAFT, write_durably
from labeler.export.tallies import STATISTICS_PATH
from labeler.export.views import DATASET_INFO_PATH

CARD_PATH = "README.md"
OWN_TEXTS = (CARD_PATH, MANIFEST_PATH, STATISTICS_PATH, DATASET_INFO_PATH)

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the package's lock, mend what an interrupted export left, and tell any failure of the disk in one line.

    Raises:
        PackageError: another export is writing this package, or the disk refuses. The package is as it was.
    """
    if not out.name:
        raise PackageError(f"{out}: a package needs a folder of its own; name another --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _beside(out, "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PackageError(f"{out}: another export is writing this package; wait for it to end") from error
            _mend(out)
            yield
    except OSError as error:
        raise PackageError(f"{out}: {_why(error)}; the package is as it was") from error


def _why(error: OSError) -> str:
    reason = error.strerror or str(error).partition("\n")[0]
    hints = {errno.ENOSPC: "free some space", errno.EROFS: "name another --out", errno.EACCES: "name another --out"}
    hint = hints.get(error.errno or 0)
    return f"cannot write the package ({reason})" + (f"; {hint}" if hint else "")


def _mend(out: Path) -> None:
    """Bring back the state before or after an export that was cut off: never one in between."""
    new, old = _beside(out, "new"), _beside(out, "old")
    if old.exists() and not out.exists():
        old.rename(out)
    for left in (new, old, _beside(out, "gone")):
        _discard(out, left)


def _discard(out: Path, folder: Path) -> None:
    """Delete a folder under a name that nobody would ever put back."""
    gone = _beside(out, "gone")
    if folder != gone and folder.exists():
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f".{out.name}.{what}")


def read_manifest(out: Path) -> Manifest | None:
    """The manifest of the package that is there; ``None`` if nothing is.

    Raises:
        PackageError: it is not a folder, holds files but no manifest, or its manifest cannot be used.
    """
    if not out.exists():
        return None
    if not out.is_dir():
        raise PackageError(f"{out}: not a folder; name another --out")
    manifest = out / MANIFEST_PATH
    if manifest.is_file():
        return Manifest.from_json(manifest.read_text(encoding="utf-8"))
    if any(out.iterdir()):
        raise PackageError(f"{out}: holds files but no {MANIFEST_PATH}, so it is not a package; name an empty --out")
    return None


def read_text(out: Path, path: str) -> str:
    """A text of the package that is there; empty if there is none."""
    try:
        return (out / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


class Staging:
    """The next package, growing beside the one at ``out``. Leave the ``with`` block without ``swap`` to drop it."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.folder = _beside(out, "new")

    def __enter__(self) -> Staging:
        self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        _discard(self._out, self.folder)

    def link(self, path: str) -> None:
        """Take a file of the old package over, without copying it where the file system can."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._out / path, target)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP):
                raise
            shutil.copyfile(self._out / path, target)

    def link_foreign(self, old: Manifest | None) -> None:
        """Take over what somebody else put into the package; shards that no manifest names are not such files."""
        owned = {*OWN_TEXTS, *(file.path for file in (old.files if old else ()))}
        for folder, _, names in os.walk(self._out):
            for name in names:
                path = (Path(folder) / name).relative_to(self._out).as_posix()
                if path not in owned and not SHARD_PATH.fullmatch(path) and not name.startswith(DRAFT):
                    self.link(path)

    def has(self, file: ShardFile) -> bool:
        """Whether the old package holds this file in its full size."""
        try:
            return (self._out / file.path).stat().st_size == file.bytes
        except FileNotFoundError:
            return False

    def size(self, path: str) -> int | None:
        """The size of a file that was written for the new package; ``None`` if it is not there."""
        try:
            return (self.folder / path).stat().st_size
        except FileNotFoundError:
            return None

    def write(self, path: str, text: str) -> None:
        write_durably(self.folder / path, text.encode("utf-8"))

    def swap(self) -> None:
        """Put the staged package in the place of the old one: from here on it is the package."""
        for draft in self.folder.rglob(f"{DRAFT}*"):  # of a worker that was killed while it wrote
            draft.unlink(missing_ok=True)
        if not self._out.exists():
            self.folder.rename(self._out)
        elif not exchange(self.folder, self._out):
            old = _beside(self._out, "old")
            self._out.rename(old)
            self.folder.rename(self._out)
            _discard(self._out, old)
        _sync(self._out.parent)


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; ``False`` where the system cannot (then nothing has changed)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
