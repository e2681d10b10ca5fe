"""The doctor: looks at all that serving, exporting and pushing a study need, changes nothing, says what to do."""

from __future__ import annotations

from labeler.doctor.examination import examination

__all__ = ["examination"]
