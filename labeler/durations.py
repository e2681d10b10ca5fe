"""Lengths of time as people write them: ``90s``, ``10m``, ``1h``, ``1d``."""

from __future__ import annotations

import re

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
