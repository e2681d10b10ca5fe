"""What becomes of a story: derivation's outcome, with short names for messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from labeler.core.records import Derived, Grounds
from labeler.core.rules import Options, derive
from labeler.core.standing import Standing
from tests.stories import Story

EVERYBODY = Standing()


@dataclass(frozen=True)
class Outcome:
    """The records of a story by the names of their answers: ``{("a2", "a1"): grounds}``."""

    derived: Derived
    pairs: dict[tuple[str, str], Grounds]
    labels: dict[str, bool]
    judged: dict[str, Grounds]
    demonstrations: dict[str, Grounds]

    @property
    def barren(self) -> bool:
        """Whether there is no record at all."""
        return not (self.pairs or self.labels or self.demonstrations)

    @property
    def excluded(self) -> Counter[str]:
        return self.derived.excluded

    def excluded_for(self, reason: str) -> list[tuple[str, ...]]:
        """The answers that the ledger names with this reason."""
        return [tuple(map(name, one.candidates)) for one in self.derived.ledger if one.reason == reason]


def name(message_id: str) -> str:
    return message_id.partition(".")[2]


def outcome(story: Story, standing: Standing = EVERYBODY, **options: Any) -> Outcome:
    """Derive a story, with every opener in one split unless ``options`` say otherwise."""
    derived = derive(story.conversation, standing, Options(**{"test_percent": 0, **options}))
    return Outcome(
        derived=derived,
        pairs={(name(one.chosen.message_id), name(one.rejected.message_id)): one.grounds for one in derived.pairs},
        labels={name(one.completion.message_id): one.label for one in derived.unpaired},
        judged={name(one.completion.message_id): one.grounds for one in derived.unpaired},
        demonstrations={name(one.completion.message_id): one.grounds for one in derived.demonstrations},
    )
