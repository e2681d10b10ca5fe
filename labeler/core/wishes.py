"""What the strengths of models are to be free of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Control = Literal["length", "style"]
CONTROLS: tuple[Control, ...] = ("length", "style")


@dataclass(frozen=True, slots=True)
class Wishes:
    """``controls`` are taken out of the strengths; ``blind_only`` leaves out answers that named their model."""

    controls: tuple[Control, ...] = ()
    blind_only: bool = False


NO_WISHES = Wishes()
