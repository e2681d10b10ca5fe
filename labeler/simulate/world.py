"""Who and what a simulation is made of: models of known strength, annotators of known accuracy, and the ids they get.

Everything is a pure function of the seed, the number of annotators and what the study asks, so that the same command
makes the same events, and another seed makes others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from math import log
from random import Random

from labeler.core.events import ConsentGiven, NewEvent
from labeler.ids import event_id, sha256_hex, text_sha256, uuid7
from labeler.study import Study

# The simulated clock: a conversation begins every minute, so that conversations overlap as they do in a busy study.
BEGIN = datetime(2025, 1, 6, 8)
BEGIN_MS = 1_736_150_400_000
SECOND = 1_000_000
SPACING = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Model:
    """A model that exists only here: nothing it "wrote" is ever attributed to a real one.

    ``strength`` is the log-odds that an answer of it is good.
    """

    name: str
    strength: float
    weight: float
    tokens_per_second: float

    @property
    def model_id(self) -> str:
        return f"simulated/{self.name}"


MODELS = (
    Model("simulated-large", strength=1.4, weight=1.0, tokens_per_second=45.0),
    Model("simulated-medium", strength=0.6, weight=1.5, tokens_per_second=80.0),
    Model("simulated-small", strength=-0.4, weight=1.0, tokens_per_second=160.0),
)
HUMAN_STRENGTH = 2.2

ACCURACIES = (0.97, 0.92, 0.88, 0.95, 0.78, 0.9, 0.65, 0.85)
DILIGENCES = (0.6, 0.45, 0.7, 0.3, 0.5, 0.55, 0.8, 0.4)


@dataclass(frozen=True, slots=True)
class Annotator:
    """``accuracy`` is how often a judgement agrees with the truth, ``diligence`` how often one is given at all."""

    id: str
    accuracy: float
    diligence: float


def quality(strength: float, message_id: str) -> float:
    """How good an answer is: positive is good. Logistic around the strength, and drawn from the id alone."""
    share = (int(message_id[-12:], 16) + 0.5) / 2**48
    return strength + log(share / (1 - share))


def at(microseconds: int) -> str:
    """A moment of the simulated clock as events keep it."""
    minute, rest = divmod(microseconds, 60 * SECOND)
    return f"{_minute(minute)}:{rest // SECOND:02d}.{rest % SECOND:06d}Z"


@lru_cache(maxsize=1024)
def _minute(number: int) -> str:
    return (BEGIN + timedelta(minutes=number)).isoformat(timespec="minutes")


def new_id(rng: Random, microseconds: int) -> str:
    """A UUIDv7 of the simulated clock."""
    return uuid7(BEGIN_MS + microseconds // 1000, rng.randbytes(10))


@dataclass(frozen=True)
class World:
    """One seed's annotators and ids. Another seed, number of annotators or study gives disjoint ids."""

    study: Study
    seed: int
    annotators: int

    @cached_property
    def key(self) -> str:
        """What tells this world from every other: all that its events depend on."""
        consent = self.study.consent
        asked = (self.study.system_prompt or "", *self.study.vote_reasons, consent.version if consent else "")
        if self.study.modes != ("chat",):
            asked = (*asked, *self.study.modes, str(self.study.review.overlap))
        return sha256_hex("labeler simulate 1", self.study.name, str(self.seed), str(self.annotators), *asked)[:16]

    @cached_property
    def people(self) -> tuple[Annotator, ...]:
        return tuple(
            Annotator(
                f"simulated-{self.key[:8]}-{number:03d}",
                ACCURACIES[number % len(ACCURACIES)],
                DILIGENCES[number % len(DILIGENCES)],
            )
            for number in range(self.annotators)
        )

    @cached_property
    def system_prompt_sha256(self) -> str | None:
        return text_sha256(self.study.system_prompt) if self.study.system_prompt else None

    def beside(self, number: int) -> bool:
        """Whether two models answer in this conversation: in all or half of them, as the study has pages for it."""
        if "compare" not in self.study.modes:
            return False
        return "chat" not in self.study.modes or Random(f"{self.key}:{number}:mode").random() < 0.5

    def rng(self, number: int) -> Random:
        """The chance of one conversation, whichever were simulated before."""
        return Random(f"{self.key}:{number}")

    def consents(self) -> list[list[NewEvent]]:
        """What every annotator accepts before anything else, if the study has a consent text: one gesture each."""
        consent = self.study.consent
        if consent is None:
            return []
        given = ConsentGiven(consent_version=consent.version, text_sha256=text_sha256(consent.text))
        return [
            [
                NewEvent(
                    event_id=event_id(person.id, f"{self.key}-consent", 0),
                    conversation_id=person.id,
                    seq=1,
                    at=at(0),
                    annotator_id=person.id,
                    payload=given,
                )
            ]
            for person in self.people
        ]
