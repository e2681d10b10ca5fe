"""What others make of a conversation once it is over: reviews, skips, flags, and rulings where they disagree."""

from __future__ import annotations

from labeler.core import reviewing
from labeler.core.choosing import MEANING, Verdict, compared_of
from labeler.core.conversation import Message
from labeler.core.events import Adjudicated, AnswersFlagged, Flag, ReviewSkipped, Ruling, VoteCast
from labeler.core.reviewing import Item, Said
from labeler.simulate.session import HABITS, READING_CHARACTERS_PER_SECOND, Session
from labeler.simulate.sides import choice_between, times_of
from labeler.simulate.world import Annotator

FLAGS: tuple[Flag, ...] = ("unsafe", "personal_data", "broken")


def tell_reviews(session: Session) -> None:
    """Everything that can be reviewed is given to others, most of whom say something."""
    overlap = session.world.study.review.overlap
    for item in reviewing.items_of(session.conversation):
        others = [person for person in session.world.people if person.id != item.owner]
        if not others or not session.chance(HABITS.reviewed):
            continue
        for person in session.rng.sample(others, min(overlap, len(others))):
            _review(session, item, person)
        now = reviewing.item_in(session.conversation, item.message_a, item.message_b)
        if now.state(overlap) in ("disputed", "flagged") and session.chance(HABITS.adjudicated):
            _rule(session, now, others)


def _review(session: Session, item: Item, person: Annotator) -> None:
    said, seconds = _opinion(session, item, person)
    session.store(reviewing.review(session.conversation, person.id, said), seconds, by=person.id)


def _opinion(session: Session, item: Item, person: Annotator) -> tuple[Said, float]:
    answers = _answers(session, item)
    seconds = 2 + sum(len(answer.content) for answer in answers) / READING_CHARACTERS_PER_SECOND
    a, b = item.message_a, item.message_b
    if session.chance(HABITS.skip):
        return ReviewSkipped(message_a=a, message_b=b), seconds / 2
    if session.chance(HABITS.flag):
        return AnswersFlagged(message_a=a, message_b=b, flag=session.rng.choice(FLAGS)), seconds / 2
    if b is None:
        good = session.worth(answers[0]) > 0
        return VoteCast(message_id=a, vote=1 if good == session.chance(person.accuracy) else -1), seconds
    a_left = session.chance(0.5)
    left, right = answers if a_left else answers[::-1]
    choice = choice_between(session, person, left, right)
    reasons = session.some_reasons(good=choice not in ("same", "both_bad")) if session.chance(HABITS.reason) else ()
    verdict = Verdict(choice=choice, reasons=reasons, times=times_of(session, seconds))
    return compared_of(a, b, verdict, choice, a_left=a_left), seconds


def _answers(session: Session, item: Item) -> list[Message]:
    ids = [one for one in (item.message_a, item.message_b) if one is not None]
    return [session.conversation.messages[one] for one in ids]


def _rule(session: Session, item: Item, others: list[Annotator]) -> None:
    """Somebody who had no part in it has the last word, if there is anybody."""
    fresh = [person for person in others if person.id not in item.said]
    if not fresh:
        return
    person = session.rng.choice(fresh)
    answers = _answers(session, item)
    verdict: Ruling
    strength = 0
    if item.message_b is None:
        verdict = "good" if session.worth(answers[0]) > 0 else "bad"
    else:
        verdict, strength = MEANING[choice_between(session, person, *answers)]  # type: ignore[assignment]  # both_good is no choice
    ruling = Adjudicated(message_a=item.message_a, message_b=item.message_b, verdict=verdict, strength=strength)
    session.store(reviewing.rule(session.conversation, person.id, ruling), 20, by=person.id)
