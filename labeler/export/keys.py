"""The pseudonym key: from the environment, else from a file that only its owner can read. Never in the database."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from labeler.errors import PackageError

VARIABLE = "LABELER_KEY"
PLACE = Path(".labeler") / "key"


def pseudonym_key(environ: Mapping[str, str], directory: Path) -> bytes:
    """The key of ``LABELER_KEY``, else of ``.labeler/key`` in ``directory``, which is made on first use.

    Whoever loses the key cannot continue a data set under the same pseudonyms; whoever destroys it makes them
    anonymous.

    Raises:
        PackageError: the file cannot be made or read, or is empty.
    """
    stated = environ.get(VARIABLE, "").strip()
    if stated:
        return stated.encode("utf-8")
    path = directory / PLACE
    try:
        if not path.exists():
            _create(path)
        key = path.read_bytes().strip()
    except OSError as error:
        reason = error.strerror or "it cannot be used"
        raise PackageError(
            f"{path}: no pseudonym key ({reason}); set {VARIABLE} or let the folder be written"
        ) from error
    if not key:
        raise PackageError(
            f"{path}: the pseudonym key is empty; restore it from a backup, or delete the file for a new one"
        )
    return key


def _create(path: Path) -> None:
    """Write a fresh key under a name of its own first: two processes at once end up with one and the same key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # the other process was first: its key is the key
            os.link(draft, path)
    finally:
        draft.unlink()
