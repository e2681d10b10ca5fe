"""Keeping the client library quiet while this room works: what matters is raised, or told by the push itself."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars


class _Hush:
    """No bars, log lines or warnings while at least one thread is inside. Bars, levels and filters are the process's,
    so the first one in sets them aside and the last one out puts them back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._undo = ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._undo.enter_context(_hushed())
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._undo.close()


@contextmanager
def _hushed() -> Iterator[None]:
    logger, bars = logging.getLogger("huggingface_hub"), not are_progress_bars_disabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    if bars:
        disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the Hub's remarks on the card, and the library's on its own calls
            yield
    finally:
        logger.setLevel(level)
        if bars:
            enable_progress_bars()


quiet = _Hush()
