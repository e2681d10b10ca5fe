"""A package wherever it lies: here, or (``labeler.hub.copies``) on the Hub at some revision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labeler.errors import PackageError
from labeler.export.manifest import Manifest, ShardFile
from labeler.export.package import read_manifest


class Copy(Protocol):
    """One state of a package. ``name`` is how users call it."""

    @property
    def name(self) -> str: ...

    @property
    def manifest(self) -> Manifest: ...

    def opened(self, file: ShardFile) -> AbstractContextManager[Path]:
        """A path at which the file's content can be read inside the block."""


@dataclass(frozen=True, slots=True)
class LocalCopy:
    """A package in a folder."""

    folder: Path
    manifest: Manifest

    @classmethod
    def of(cls, folder: Path) -> LocalCopy:
        """
        Raises:
            PackageError: there is no package, or its manifest cannot be used.
        """
        manifest = read_manifest(folder)
        if manifest is None:
            raise PackageError(f"{folder}: holds no package; run labeler export first")
        return cls(folder, manifest)

    @property
    def name(self) -> str:
        return str(self.folder)

    def opened(self, file: ShardFile) -> AbstractContextManager[Path]:
        return nullcontext(self.folder / file.path)
