"""Realistic logs without people: for demonstrations, tests and benchmarks.

Conversation *i* depends on the seed and on *i* only (and on the number of annotators and what the study asks, which
count as part of the seed). Repeating a seed therefore adds nothing, a larger number extends it, another seed appends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labeler.core.events import NewEvent
from labeler.simulate.reviews import tell_reviews
from labeler.simulate.session import HABITS, Habits, Session
from labeler.simulate.sides import tell_sides
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
    if world.beside(number):
        tell_sides(session)
    else:
        tell(session)
    if "review" in world.study.modes:
        tell_reviews(session)
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
    known: Callable[[str], bool] = lambda event_id: False,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[list[NewEvent]]:
    """Gestures in the order of a log, each a list of events that belong together; memory does not grow with them.

    The annotators' consents come first, if the study asks for any. ``known`` says whether an event is stored already:
    as long as it knows the last event of every conversation, they are passed over. ``report`` is told from time to
    time how many more conversations are done.
    """
    world = World(study, seed, annotators)
    yield from world.consents()
    numbers = range(conversations) if isinstance(conversations, int) else conversations
    passing_over = True
    for start in range(0, len(numbers), AT_ONCE):
        block = numbers[start : start + AT_ONCE]
        histories = [gestures_of(world, number) for number in block]
        passing_over = passing_over and all(known(history[-1][-1].event_id) for history in histories)
        if not passing_over:
            # The sort is stable: a conversation's own gestures keep their order.
            yield from sorted((gesture for history in histories for gesture in history), key=_moment)
        report(len(block))


def _moment(gesture: list[NewEvent]) -> str:
    return gesture[0].at
