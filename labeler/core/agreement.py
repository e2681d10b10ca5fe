"""How far annotators agree on what several of them judged.

A unit is something that was judged: an answer, or a pair of answers. It is given as the number of annotators in each
category, and equal units are counted together, so that units can be tallied in any order and anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

Units = Mapping[tuple[int, ...], int]
"""How many units have so many annotators in each category."""


def several(units: Units) -> int:
    """How many units were judged by more than one annotator."""
    return sum(times for counts, times in units.items() if sum(counts) > 1)


def observed(units: Units) -> float | None:
    """The share of pairs of annotators who agree, over all pairs that judged one unit; none without such a pair."""
    agreeing = sum(times * sum(count * (count - 1) for count in counts) for counts, times in units.items())
    pairs = sum(times * sum(counts) * (sum(counts) - 1) for counts, times in units.items())
    return agreeing / pairs if pairs else None


def alpha(units: Units) -> float | None:
    """Krippendorff's alpha for nominal categories: 1 is agreement throughout, 0 is that of chance.

    None where it is undefined: nothing was judged twice, or everybody used one category only.
    """
    judged = {counts: times for counts, times in units.items() if sum(counts) > 1 and times}
    totals = [sum(times * counts[place] for counts, times in judged.items()) for place in range(_width(judged))]
    values = sum(totals)
    by_chance = values**2 - sum(total**2 for total in totals)
    if not by_chance:
        return None
    disagreeing = sum(
        times * (sum(counts) ** 2 - sum(count**2 for count in counts)) / (sum(counts) - 1)
        for counts, times in judged.items()
    )
    return 1 - (values - 1) * disagreeing / by_chance


def _width(units: Units) -> int:
    return max((len(counts) for counts in units), default=0)
