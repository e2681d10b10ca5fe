"""Labeler: human preferences from a chat page, as data sets that trainers take."""

from __future__ import annotations

__version__ = "0.1.0"
