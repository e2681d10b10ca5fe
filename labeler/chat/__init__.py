"""The chat: gestures in, events appended, views out. The page talks to ``Recorder`` and to nothing below it."""

from __future__ import annotations

from labeler.chat.desk import Receipt
from labeler.chat.recorder import LISTED, MAX_COMMENT, Claim, Recorder
from labeler.chat.views import Listed, Progress, Shown, View

__all__ = ["LISTED", "MAX_COMMENT", "Claim", "Listed", "Progress", "Receipt", "Recorder", "Shown", "View"]
