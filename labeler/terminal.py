"""What a command says on a terminal: one line when it fails, a bar while it works, and nothing extra in a pipe."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from rich.progress import Progress

_ADVICE = {
    errno.ENOSPC: "the disk is full; make room and run this again",
    errno.EDQUOT: "the disk quota is used up; make room and run this again",
    errno.EROFS: "the disk is read-only; name a place that can be written",
    errno.EACCES: "permission denied; give labeler access, or name another place",
    errno.ENOENT: "no such file or folder; check the name",
}


def say(line: str) -> None:
    """One line on stderr, marked as ours."""
    sys.stderr.write(f"labeler: {' '.join(line.split())}\n")
    sys.stderr.flush()


def what_failed(error: OSError) -> str:
    """An error of the operating system as one line: where, what, and what to do."""
    reason = _ADVICE.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def show(line: str = "") -> None:
    """One line of the command's result on stdout, at once even in a pipe. What its encoding lacks is escaped."""
    try:
        sys.stdout.write(f"{line}\n")
    except UnicodeEncodeError as error:
        sys.stdout.write(f"{line}\n".encode(error.encoding, "backslashreplace").decode(error.encoding))
    sys.stdout.flush()


def show_json(document: Mapping[str, Any]) -> None:
    """The documented object, and nothing else, on stdout; JSON's own escapes stand for what its encoding lacks."""
    _show_json(document, indent=2)


def show_json_line(document: Mapping[str, Any]) -> None:
    """One of many documented objects, on a line of its own."""
    _show_json(document, indent=None)


def _show_json(document: Mapping[str, Any], indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8", sys.stdout.errors or "strict")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=indent)
    show(text)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its name when it is complete and on disk; a failure leaves what was there before."""
    if path.exists() and not path.is_file():  # a pipe or a device has no draft
        with path.open("wb") as stream:
            yield stream
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:  # whatever it is, the draft goes first
        os.unlink(draft)
        raise


class Bar:
    """How far the work is, where nobody watches: nothing is shown."""

    def advance(self, steps: int = 1) -> None:
        """So many more steps are done."""

    def at(self, title: str, done: int, total: int) -> None:
        """This is being done now, and so much of it is done; without a total it is not known how much."""


class _Watched(Bar):
    def __init__(self, bar: Progress, title: str, total: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task(title, total=total)

    def advance(self, steps: int = 1) -> None:
        self._bar.advance(self._task, steps)

    def at(self, title: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=title, completed=done, total=total or None)


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Bar]:
    """A bar on stderr while the block runs, if that is a terminal. Without ``total`` it shows that work goes on."""
    if not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal pays for it
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Watched(bar, title, total)
