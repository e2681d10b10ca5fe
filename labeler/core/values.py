"""Classes whose objects are values: equal by what they hold, and never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """A dataclass with slots that is frozen for the type checker alone.

    An export makes several of them for every event of a log, and one that is frozen at run time takes two to three
    times as long to make.
    """
    return dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)
