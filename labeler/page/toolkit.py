"""Gradio, told to stay quiet before it is loaded: the one place that imports it.

Its switches are read from the environment while it is being imported, so they cannot be arguments.
"""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # nothing leaves the machine
# Gradio summarises its last events in a data frame after every event; that would be most of the work of a vote.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"

import gradio as gr

__all__ = ["gr"]
