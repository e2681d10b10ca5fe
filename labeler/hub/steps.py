"""What a push tells while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["read", "create", "send", "commit", "check", "purge", "wait"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens now. While files are sent, ``done`` of ``total`` bytes are; elsewhere both are 0."""

    stage: Stage
    text: str
    done: int = 0
    total: int = 0


Report = Callable[[Step], None]


def silent(step: Step) -> None:
    """The report that nobody reads."""
