"""Realistic logs without people: for demonstrations, tests and benchmarks.

Conversation *i* depends on the seed and on *i* only (and on the number of annotators and what the study asks, which
count as part of the seed). Repeating a seed therefore adds nothing, a larger number extends it, another seed appends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labeler.core.events import NewEvent
from labeler.simulate.session import HABITS, Habits, Session
from labeler.simulate.story import tell
from labeler.simulate.world import ACCURACIES, MODELS, Annotator, Model, World, quality
from labeler.study import Study

__all__ = [
    "ACCURACIES",
    "HABITS",
    "MODELS",
    "Annotator",
    "Habits",
    "Model",
    "World",
    "conversation",
    "gestures_of",
    "quality",
    "simulate",
]

ANNOTATORS = 8
# So many conversations are under way at once: their events are mixed in time order, as a log of several people is.
AT_ONCE = 64


def gestures_of(world: World, number: int) -> list[list[NewEvent]]:
    """All gestures of one conversation; reachable, since each is decided on what was there before it."""
    session = Session(world, number)
    tell(session)
    return session.history


def conversation(world: World, number: int) -> list[NewEvent]:
    """All events of one conversation, in seq order."""
    return [event for gesture in gestures_of(world, number) for event in gesture]


def simulate(
    conversations: int | range,
    *,
    study: Study,
    seed: int = 0,
    annotators: int = ANNOTATORS,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[list[NewEvent]]:
    """Gestures in the order of a log, each a list of events that belong together; memory does not grow with them.

    The annotators' consents come first, if the study asks for any. ``report`` is told from time to time how many more
    conversations are complete.
    """
    world = World(study, seed, annotators)
    yield from world.consents()
    numbers = range(conversations) if isinstance(conversations, int) else conversations
    for start in range(0, len(numbers), AT_ONCE):
        block = numbers[start : start + AT_ONCE]
        gestures = [gesture for number in block for gesture in gestures_of(world, number)]
        gestures.sort(key=_moment)  # stable: a conversation's own gestures keep their order
        yield from gestures
        report(len(block))


def _moment(gesture: list[NewEvent]) -> str:
    return gesture[0].at
