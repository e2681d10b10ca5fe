"""Labeler: human preferences from a chat page, as data sets that trainers take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labeler.attaching import attach

__all__ = ["__version__", "attach"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``attach`` is loaded when it is asked for: it needs Gradio, and the command must answer in a blink."""
    if name != "attach":
        raise AttributeError(f"module 'labeler' has no attribute '{name}'")
    from labeler.attaching import attach  # noqa: PLC0415 - see above

    return attach
