"""Run a coroutine to its end, whatever else runs: a browser's driver keeps an event loop in the tests' own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Told = TypeVar("Told")


def run(coroutine: Coroutine[Any, Any, Told], seconds: float | None = None) -> Told:
    """What it returns, or raises; TimeoutError after so many seconds."""

    async def bounded() -> Told:
        return await asyncio.wait_for(coroutine, seconds)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(bounded())).result()
