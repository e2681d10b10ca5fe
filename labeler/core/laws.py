"""What every record must hold, or a trainer breaks on it, or worse, does not; and the preflight that sees to it.

The rules make no record that breaks a law. Preflight looks all the same: what reaches the Hub is trained on, and a log
may have been written by another program and loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from labeler.core.records import Candidate, Demonstration, Derived, Exclusion, PreferencePair, UnpairedPreference
from labeler.core.rules.book import REASONS
from labeler.core.text import ChatMessage

MALFORMED = "malformed"
# What chat pages put behind a text that is still growing.
UNFINISHED = "▌"

Record = PreferencePair | UnpairedPreference | Demonstration
R = TypeVar("R", PreferencePair, UnpairedPreference, Demonstration)


def prompt_problem(prompt: Sequence[ChatMessage]) -> str | None:
    """What a chat template would refuse in a prompt, or quietly get wrong."""
    roles = [message["role"] for message in prompt]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not len(turns) % 2 or turns[::2].count("user") + turns[1::2].count("assistant") != len(turns):
        return f"its prompt's roles do not alternate up to the user's last message: {', '.join(roles) or 'none'}"
    if not all([message["content"].strip() for message in prompt]):
        return "its prompt holds an empty message"
    return None


def answer_problem(text: str) -> str | None:
    """What makes a text no answer that a model should learn from, or be warned of."""
    if not text.strip():
        return "an answer has no text"
    return "an answer ends with the mark of one that is still being written" if text.endswith(UNFINISHED) else None


def pair_problem(chosen: str, rejected: str) -> str | None:
    """What is wrong with two answers together."""
    return "chosen is rejected" if chosen == rejected else None


class Preflight:
    """Looks at the records of one conversation after the other; what breaks a law goes to the ledger."""

    def __init__(self) -> None:
        self._prompt: object = None
        self._verdict: str | None = None

    def check(self, derived: Derived) -> None:
        """Take the records out of ``derived`` that break a law, each with a line in its ledger."""
        self._take_out(derived.pairs, derived)
        self._take_out(derived.unpaired, derived)
        self._take_out(derived.demonstrations, derived)

    def _take_out(self, records: list[R], derived: Derived) -> None:
        if not records:
            return
        seen: set[tuple[str, ...]] = set()
        broken: list[int] = []
        for place, record in enumerate(records):
            ids = ids_of(record)
            if ids in seen or self._problem(record):
                broken.append(place)
                derived.ledger.append(Exclusion(ids, REASONS[MALFORMED][0], MALFORMED))
            seen.add(ids)
        for place in reversed(broken):
            del records[place]

    def _problem(self, record: Record) -> str | None:
        prompt = record.prompt
        if prompt is not self._prompt:  # records of one prompt stand together, and share the object
            self._prompt, self._verdict = prompt, prompt_problem(prompt.messages)
        if self._verdict:
            return self._verdict
        if isinstance(record, PreferencePair):
            chosen, rejected = record.chosen.content, record.rejected.content
            return answer_problem(chosen) or answer_problem(rejected) or pair_problem(chosen, rejected)
        return answer_problem(record.completion.content)


def problem_of(record: Record) -> str | None:
    """The law that a record breaks, in words."""
    return Preflight()._problem(record)


def ids_of(record: Record) -> tuple[str, ...]:
    """The answers of a record, which tell it from the others of its kind."""
    return tuple([answer.message_id for answer in answers_of(record)])


def answers_of(record: Record) -> Iterable[Candidate]:
    if isinstance(record, PreferencePair):
        return record.chosen, record.rejected
    return (record.completion,)
