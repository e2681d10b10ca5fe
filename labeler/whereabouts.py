"""Where a process runs, said so that another one on the same machine can see whether it still does.

Linux only, and only between processes that see each other (one machine since its start, one container): of all others
nothing is known, and nothing is said.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_STARTED = 19  # of the fields behind the name in /proc/PID/stat
_ENDED = ("Z", "X")


def whereabouts(pid: int | None = None) -> str:
    """A process (this one, or one seen from here), told from all that ever were; empty where nobody can say."""
    pid = os.getpid() if pid is None else pid
    started = _started(pid)
    return f"{_around()}/{pid}/{started}" if started else ""


def has_ended(told: str) -> bool:
    """Whether the process that told this has certainly ended. False: it lives, or cannot be seen from here."""
    around, _, process = told.partition("/")
    number, _, started = process.partition("/")
    if not around or around != _around():
        return False
    found = _started(int(number))
    return _unknown(int(number)) if found is None else found != started


def _unknown(pid: int) -> bool:
    """Whether there is no process of this number; one that is hidden from us counts as there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _around() -> str:
    """The machine since its start, and the part of it in which processes see each other."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process began, in ticks of its machine; empty if it has ended, None if that is not told here."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in _ENDED else fields[_STARTED]
