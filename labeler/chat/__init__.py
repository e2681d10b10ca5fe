"""What annotators do: gestures in, events appended, views out. The page talks to these and to nothing below them."""

from __future__ import annotations

from labeler.chat.comparer import Comparer
from labeler.chat.desk import Receipt
from labeler.chat.follower import Chat, Follower, Sight
from labeler.chat.intake import Intake
from labeler.chat.overseer import Count, Counting, Excluded, Overseer, Oversight
from labeler.chat.pairs import PairShown, PairView
from labeler.chat.readings import Page, Reading
from labeler.chat.recorder import LISTED, Recorder
from labeler.chat.reviewer import Opinion, Reviewer, Task
from labeler.chat.tellers import Outcome, Teller, Told
from labeler.chat.views import Listed, Progress, Shown, View
from labeler.chat.writing import MAX_COMMENT, Claim, Writing

__all__ = [
    "LISTED",
    "MAX_COMMENT",
    "Chat",
    "Claim",
    "Comparer",
    "Count",
    "Counting",
    "Excluded",
    "Follower",
    "Intake",
    "Listed",
    "Opinion",
    "Outcome",
    "Overseer",
    "Oversight",
    "Page",
    "PairShown",
    "PairView",
    "Progress",
    "Reading",
    "Receipt",
    "Recorder",
    "Reviewer",
    "Shown",
    "Sight",
    "Task",
    "Teller",
    "Told",
    "View",
    "Writing",
]
