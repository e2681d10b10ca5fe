"""Finding personal data and secrets in texts, each text once. What becomes of a hit is told in ``core.redaction``."""

from __future__ import annotations

from labeler.redaction.finders import Finder, finder_of, version_of
from labeler.redaction.scanner import Scanner

__all__ = ["Finder", "Scanner", "finder_of", "version_of"]
