"""How often an attached page may tell of something: by who tells it, and by the address that it comes from."""

from __future__ import annotations

import math
import threading
from typing import Literal

from starlette.types import Scope

from labeler.doors import LOCAL, address_of
from labeler.errors import GestureRefused
from labeler.rates import Rate
from labeler.study import Limits

Kind = Literal["vote", "turn", "report"]

TOO_FAST = "That was too fast, so it was not recorded. Wait {} s."
TOO_MANY = "Too much comes from your address, so this was not recorded. Wait {} s."


class Pace:
    """The study's rates, as its own page has them. Safe to call from any thread.

    What a page reports by itself has a rate apart, since an app may write into its chat as often as it likes, which
    must cost nobody a turn. A report that is refused is not lost: the next one makes up for it.
    """

    def __init__(self, limits: Limits) -> None:
        self._rates: dict[Kind, Rate] = {
            "vote": Rate(limits.gestures_per_minute),
            "turn": Rate(limits.turns_per_minute),
            "report": Rate(limits.turns_per_minute),
        }
        self._addresses = Rate(limits.address_requests_per_minute)
        self._lock = threading.Lock()

    def check(self, annotator_id: str, scope: Scope, kind: Kind) -> None:
        """Count one more.

        Raises:
            GestureRefused: it is one too many; the line says how long to wait.
        """
        address = address_of(scope, LOCAL)
        with self._lock:
            self._take(self._rates[kind], annotator_id, TOO_FAST)
            if address:
                self._take(self._addresses, address, TOO_MANY)

    @staticmethod
    def _take(rate: Rate, key: str, line: str) -> None:
        seconds = rate.wait(key)
        if seconds:
            raise GestureRefused(line.format(math.ceil(seconds)))
