"""Gradio, told to stay quiet before it is loaded: the one place that imports it.

Its switches are read from the environment while it is being imported, so they cannot be arguments.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # nothing leaves the machine
# Gradio summarises its last events in a data frame after every event; that would be most of the work of a vote.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"

import gradio as gr
from starlette.types import Scope

__all__ = ["NO_TELEMETRY", "gr", "scope_of"]

# Nothing collects spans here; asking with every request whether somebody does would be a tenth of a small one.
NO_TELEMETRY: dict[str, Any] = {"telemetry": {"tracing": False, "metrics": False, "logs": False}}


def scope_of(request: gr.Request) -> Scope:
    """The ASGI scope that a listener was called in; empty where there was no call over HTTP."""
    return request.request.scope if request.request else {}


def _signed(kind: type[gr.blocks.Block]) -> None:
    """Gradio asks for the signature of each component with every page that is opened: a quarter of what that costs."""
    for each in kind.__subclasses__():
        _signed(each)
    if "__init__" in vars(kind):
        kind.__init__.__signature__ = inspect.signature(kind.__init__)  # type: ignore[attr-defined]


_signed(gr.blocks.Block)
