"""Random histories for property tests: everything that gestures can do, in any order.

A history is a list of steps played on a story; a step that cannot be made where the story stands is skipped. Texts come
from small sets, so that copies, edits back and equal openers happen often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from labeler.core.conversation import Message
from labeler.core.events import Compared, ReplyStarted, Winner
from labeler.errors import GestureRefused
from tests.stories import Story, told

OPENERS = ("Why?", "why? ", "How?", "Warum?", "Who is it?", "When?")
ANSWERS = ("One.", "one.", " One.\n", "One thing, and then another thing.", "Ein Åal.", "Two", "")
ANNOTATORS = ("ann", "bob", "cid")

Deed = Literal["ask", "retry", "edit", "rewrite", "undo", "clear", "select", "vote", "explain", "compare"]
OWNERS_DEEDS: tuple[Deed, ...] = ("ask", "retry", "retry", "edit", "edit", "rewrite", "undo", "clear", "select")
DEEDS_OF_ANYBODY: tuple[Deed, ...] = ("vote", "vote", "vote", "compare", "compare", "explain")


@dataclass(frozen=True)
class Step:
    """One thing that somebody tries to do.

    ``which`` picks a message, ``word`` a text, a vote or a winner, ``end`` how a reply ends (5: not at all).
    """

    deed: Deed
    annotator_id: str
    which: int
    word: int
    end: int
    seconds: int


def _steps(deeds: tuple[Deed, ...], annotators: tuple[str, ...]) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        deed=st.sampled_from(deeds),
        annotator_id=st.sampled_from(annotators),
        which=st.integers(0, 4),
        word=st.integers(0, 11),
        end=st.integers(0, 5),
        seconds=st.sampled_from((1, 5, 90)),
    )


def histories(
    conversation_id: str = "c1", annotators: tuple[str, ...] = ANNOTATORS, *, longest: int = 24
) -> st.SearchStrategy[Story]:
    """Conversations of ``annotators[0]``, in which the others judge too."""
    step = st.one_of(_steps(OWNERS_DEEDS, annotators[:1]), _steps(DEEDS_OF_ANYBODY, annotators))
    steps = st.lists(step, min_size=longest // 3, max_size=longest)
    return steps.map(lambda steps: play(steps, conversation_id, annotators[0]))


def play(steps: list[Step], conversation_id: str = "c1", owner: str = "ann") -> Story:
    """Tell the story of these steps. It begins with an answered question, so that there is something to judge."""
    story = told(owner, conversation_id, system_prompt="Be brief.")
    story.asks(OPENERS[len(steps) % len(OPENERS)]).answers(ANSWERS[0])
    for step in steps:
        try:
            _make(story.by(step.annotator_id).after(step.seconds), step)
        except GestureRefused:
            continue
    return story


def _make(story: Story, step: Step) -> None:
    before = len(story.events)
    match step.deed:
        case "ask":
            story.asks(OPENERS[step.word % len(OPENERS)])
        case "retry":
            story.retries()
        case "undo":
            story.undoes()
        case "clear":
            story.clears()
        case _:
            _on_message(story, step)
    if len(story.events) > before and isinstance(story.events[-1].payload, ReplyStarted):
        _end_reply(story, step)


def _end_reply(story: Story, step: Step) -> None:
    text = ANSWERS[(step.word + step.which) % len(ANSWERS)]
    if step.end < 3:
        story.answers(text)
    elif step.end == 3:
        story.stopped(text)
    elif step.end == 4:
        story.fails(text)


def _on_message(story: Story, step: Step) -> None:
    """What is done to one message: with ``rewrite`` to one's own, with all else but ``select`` to an answer."""
    role = "user" if step.deed == "rewrite" else "assistant"
    messages = [one for one in story.conversation.messages.values() if step.deed == "select" or one.role == role]
    visible = [one for one in story.conversation.visible() if one in messages]
    message = visible[-1] if visible and step.which == 0 else messages[step.which % len(messages)]
    name = message.id.partition(".")[2]
    match step.deed:
        case "select":
            story.selects(name)
        case "rewrite":
            story.rewrites(OPENERS[step.word % len(OPENERS)], name)
        case "edit":
            story.edits(ANSWERS[step.word % len(ANSWERS)], name)
        case "vote":
            story.votes((1, -1, 0)[step.word % 3], name)
        case "explain":
            story.explains("clear", name=name)
        case _:
            _compare(story, message, step)


def _compare(story: Story, message: Message, step: Step) -> None:
    """The retry question where the page asks it, else a side-by-side choice between two complete siblings."""
    if message.retries is not None and step.end % 2:
        answers: tuple[Winner | None, ...] = ("a", "b", "tie", None)
        story.compares(answers[step.word % 4], message.id.partition(".")[2])
        return
    siblings = [one for one in story.conversation.siblings(message.id) if one.complete and one is not message]
    if not siblings or not message.complete:
        return
    other = siblings[step.which % len(siblings)]
    winners: tuple[Winner, ...] = ("a", "b", "tie", "both_good", "both_bad")
    winner = winners[step.word % 5]
    strength = 1 + step.word % 3 if winner in ("a", "b") else 0
    story.adds(Compared(message_a=message.id, message_b=other.id, winner=winner, strength=strength, position="a_left"))
