"""Answers on their way from the writing thread to the loop that serves.

The answers of one commit come at once: woken for each of them, the loop and the writer would spend more on that than on
the commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Post:
    """Wakes the loop once for all that waits. For one loop, whose thread asks; answers come from any thread."""

    _arrived: deque[tuple[asyncio.Future[Any], Future[Any]]] = field(default_factory=deque)
    _called: bool = False

    async def delivered(self, answer: Future[T]) -> T:
        """The result of a future, or what it raises. Whoever is cancelled while waiting takes nothing back."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[T] = loop.create_future()

        def arrive(done: Future[T]) -> None:
            self._arrived.append((waiting, done))
            if not self._called:  # set after the append: whoever is on the way already takes this one, too
                self._called = True
                loop.call_soon_threadsafe(self._hand_out)

        answer.add_done_callback(arrive)
        return await waiting

    def _hand_out(self) -> None:
        self._called = False
        while self._arrived:
            waiting, done = self._arrived.popleft()
            if waiting.done():
                continue
            error = done.exception()
            if error is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(done.result())
