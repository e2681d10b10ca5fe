"""Realistic logs without people: for demonstrations, tests and benchmarks.

Conversation *i* depends on the seed and on *i* only (and on the number of annotators and what the study asks, which
count as part of the seed). Repeating a seed therefore adds nothing, a larger number extends it, another seed appends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter

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
    "quality",
    "simulate",
]

ANNOTATORS = 8
# So many conversations are under way at once: their events are mixed in time order, as a log of several people is.
AT_ONCE = 64


def conversation(world: World, number: int) -> list[NewEvent]:
    """All events of one conversation, in seq order; reachable, since every one comes from a gesture."""
    session = Session(world, number)
    tell(session)
    return session.events


def simulate(
    conversations: int | range,
    *,
    study: Study,
    seed: int = 0,
    annotators: int = ANNOTATORS,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[list[NewEvent]]:
    """The events of conversations, in batches in the order of a log; memory does not grow with their number.

    The annotators' consents come first, if the study asks for any. ``report`` is told after each batch how many
    conversations it held.
    """
    world = World(study, seed, annotators)
    yield from world.consents()
    numbers = range(conversations) if isinstance(conversations, int) else conversations
    for start in range(0, len(numbers), AT_ONCE):
        block = numbers[start : start + AT_ONCE]
        events = [event for number in block for event in conversation(world, number)]
        events.sort(key=attrgetter("at"))  # stable: a conversation's own events keep their order
        yield events
        report(len(block))
