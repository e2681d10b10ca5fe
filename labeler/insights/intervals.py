"""How sure a share is."""

from __future__ import annotations

from math import sqrt

Z95 = 1.959963984540054


def wilson(right: int, number: int) -> tuple[float, float] | None:
    """The 95 % interval (Wilson) of a share; None of nothing."""
    if not number:
        return None
    share, square = right / number, Z95**2
    middle = (share + square / (2 * number)) / (1 + square / number)
    half = Z95 * sqrt(share * (1 - share) / number + square / (4 * number**2)) / (1 + square / number)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
