"""How often something is tried again, and how long is waited in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from labeler.errors import HubError
from labeler.hub.refusals import Again
from labeler.hub.steps import Report, Step, silent

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often work is tried without getting on, and how long it waits in between, in seconds.

    The Hub's own wish (``Retry-After`` or a rate limit's reset) is followed up to ``longest``; beyond it the work asks
    too early, and gives up sooner rather than sit for an hour. Waits are spread at random, so that two pushes do not
    meet again.
    """

    tries: int = 6
    first: float = 1.0
    longest: float = 60.0
    yields: bool = False
    """Whether a wait that the Hub asks for, if it is longer than ``longest``, ends the work instead."""

    def wait(self, failures: int, asked: float | None) -> float:
        """Seconds to wait after this many failures in a row."""
        if asked is not None:
            return min(asked, self.longest)
        step = min(self.first * 2.0 ** (failures - 1), self.longest)
        return random.uniform(step / 2, step)

    def gives_way(self, asked: float | None) -> bool:
        """Whether to end rather than wait for as long as the Hub asks."""
        return self.yields and asked is not None and asked > self.longest


def keep_trying(
    work: Callable[[], Outcome],
    patience: Patience | None = None,
    report: Report = silent,
    got_on: Callable[[], int] = lambda: 0,
) -> Outcome:
    """Do the work from its start until it ends without ``Again``.

    ``got_on`` counts what stays done even if the work fails. When it has grown, earlier failures no longer count: a
    long upload over a bad line that gets on is not given up.

    Raises:
        HubError: it failed too often in a row, or failed in a way that another try would not change.
    """
    patience, failures = patience or Patience(), 0
    while True:
        before = got_on()
        try:
            return work()
        except Again as trouble:
            failures = 1 if got_on() > before else failures + 1
            if failures >= patience.tries or patience.gives_way(trouble.wait):
                tries = f"{failures} tries" if failures > 1 else "one try"
                line = f"{trouble}; gave up after {tries}, try again later"
                raise HubError(line, retry_in=trouble.wait or 0.0) from trouble
            wait = patience.wait(failures, trouble.wait)
            report(Step("wait", f"{trouble}; starting over in {wait:.0f} s (try {failures + 1} of {patience.tries})"))
            time.sleep(wait)
