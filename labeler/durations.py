"""Lengths of time: as people write them (``90s``, ``10m``, ``1h``, ``1d``), and between times as events have them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

ALWAYS = "9999"  # later than any time

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"([0-9]{1,6})\s*([smhd])")


def seconds_of(written: str) -> float:
    """The seconds of a length of time.

    Raises:
        ValueError: it is not written like one, or it is nothing.
    """
    found = _WRITTEN.fullmatch(written.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError(f"'{written}' is no length of time; write it like 90s, 10m, 1h or 1d")
    return float(int(found[1]) * _UNITS[found[2]])


def later(at: str, seconds: float) -> str:
    """A time as events have it, so much later."""
    try:
        moved = datetime.fromisoformat(at) + timedelta(seconds=seconds)
    except OverflowError:
        return ALWAYS
    return moved.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_between(one: str, other: str) -> float:
    """How much later the other time is."""
    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).total_seconds()
