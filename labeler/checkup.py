"""What looking at one thing found: well or not, in words, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``todo`` says what to do; a check that is ok has none."""

    name: str
    level: Level
    words: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.level:<4} {self.name}: {self.words}{f'; {self.todo}' if self.todo else ''}"


def well(name: str, words: str) -> Check:
    return Check(name, "ok", words)


def warned(name: str, words: str, todo: str) -> Check:
    return Check(name, "warn", words, todo)


def failed(name: str, words: str, todo: str) -> Check:
    return Check(name, "fail", words, todo)


def told(name: str, line: str) -> Check:
    """A failure that is told by one of our own lines, which end with what to do."""
    words, _, todo = line.rpartition("; ")
    return failed(name, words, todo) if words else failed(name, line, "")
