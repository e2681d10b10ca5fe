"""The machine: its clock, the room on its disks, and files that are for one pair of eyes."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from labeler.checkup import Check, failed, warned, well
from labeler.durations import seconds_between
from labeler.export.keys import PLACE as KEY_FILE
from labeler.export.keys import VARIABLE as KEY_VARIABLE

SECRET_FILE = Path(".labeler") / "secret"
# No machine that runs this has a time before this: it was written later.
WRITTEN = "2026-01-01T00:00:00.000000Z"
SLACK_SECONDS = 2.0  # two machines' clocks differ by as much
LITTLE, TOO_LITTLE = 2_000_000_000, 200_000_000


def clock(newest_at: str | None, now: str) -> Iterator[Check]:
    """Times only grow: a log whose newest event lies ahead was written by a clock that was, or is, wrong."""
    if now < WRITTEN:
        yield failed(
            "clock", f"it says {now[:19]}, which was before this program was written", "set it (NTP), then serve"
        )
        return
    ahead = 0.0 if newest_at is None else seconds_between(now, newest_at)
    if ahead > SLACK_SECONDS:
        yield failed(
            "clock",
            f"the log's newest event lies {_long(ahead)} ahead of it",
            "set it (NTP); if it is right, an earlier clock was not, and what comes until then looks too old",
        )
        return
    yield well("clock", f"{now[:19]}Z" if newest_at is None else f"{now[:19]}Z, after the log's newest event")


def room(database: Path | None, here: Path) -> Iterator[Check]:
    """What is free where the log and the packages lie."""
    places = {"log": database, "packages": here / "exports"}
    seen = set()
    for name, place in places.items():
        there = None if place is None else _nearest(place)
        if there is None or there.stat().st_dev in seen:
            continue
        seen.add(there.stat().st_dev)
        free = shutil.disk_usage(there).free
        words = f"{_size(free)} free for {'log and packages' if name == 'log' else name} ({there})"
        if free < TOO_LITTLE:
            yield failed("disk", words, "make room before votes are refused")
        elif free < LITTLE:
            yield warned("disk", words, "make room soon")
        else:
            yield well("disk", words)


def secret_files(environ: Mapping[str, str], here: Path) -> Iterator[Check]:
    """The key of pseudonyms and the secret of cookies: there or not, and nobody else's."""
    if environ.get(KEY_VARIABLE, "").strip():
        yield well("key", f"pseudonyms are made with {KEY_VARIABLE}")
    else:
        yield _private("key", here / KEY_FILE, "labeler export makes it; keep a copy, or pseudonyms change")
    yield _private("secret", here / SECRET_FILE, "labeler serve makes it")


def _private(name: str, path: Path, maker: str) -> Check:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        size = path.stat().st_size
    except FileNotFoundError:
        return well(name, f"{path} is not there yet; {maker}")
    except OSError as error:
        return failed(name, f"{path} cannot be read ({error.strerror})", "give labeler access to it")
    if mode & 0o077:
        return failed(
            name, f"{path} can be read by others (mode {mode:04o})", f"chmod 600 {path}, and think who read it"
        )
    if not size:
        return failed(name, f"{path} is empty", "restore it from a backup, or delete the file for a new one")
    return well(name, f"{path} is its owner's alone")


def _nearest(place: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    place = place.resolve()
    while not place.exists():
        place = place.parent
    return place


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


def _long(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds:,.0f} s"
