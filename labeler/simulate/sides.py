"""A conversation side by side: two models answer every message, and the annotator chooses which answer goes on."""

from __future__ import annotations

from labeler.core import choosing
from labeler.core.choosing import Choice, PairDraw, Times, Verdict
from labeler.core.conversation import Message, PairFact
from labeler.core.events import Side
from labeler.simulate import prose
from labeler.simulate.session import HABITS, MAX_TURNS, READING_CHARACTERS_PER_SECOND, TIE_BELOW, Session
from labeler.simulate.world import MODELS, Annotator

MUCH = 2.0
MAX_TRIES = 2


def tell_sides(session: Session) -> None:
    """Play one conversation from its opener to its end."""
    text = session.text
    for turn in range(MAX_TURNS):
        if not _ask(session, text) or not _choose(session):
            return
        if turn == MAX_TURNS - 1 or not session.chance(HABITS.another_turn):
            return
        text = prose.follow_up(session.rng, session.topic)


def _ask(session: Session, text: str) -> bool:
    """Have a message answered by two models. False: they gave nothing that could be chosen from."""
    new_id = session.new_id()
    payloads = choosing.ask(session.conversation, new_id, text, _draw(session), _coin(session))
    session.store([*session.beginning("compare", ""), *payloads], 2 + len(text) / 8)
    for attempt in range(1 + MAX_TRIES):
        if attempt:
            session.store(choosing.try_again(session.conversation, _draw(session)), 3)
        if not _answered(session):
            return False
        if choosing.comparable(session.conversation, _pair(session)):
            return True
    return False


def _pair(session: Session) -> PairFact:
    """The pair at the end; there is one once something was asked."""
    pair = choosing.last_pair(session.conversation)
    assert pair is not None
    return pair


def _draw(session: Session) -> PairDraw:
    a, b = (session.draw(model) for model in session.rng.sample(MODELS, 2))
    pairs = len(MODELS) * (len(MODELS) - 1) // 2
    return PairDraw(a=a, b=b, left=_coin(session), policy="uniform", propensity=1 / pairs)


def _coin(session: Session) -> Side:
    return "a" if session.chance(0.5) else "b"


def _answered(session: Session) -> bool:
    """Let both replies end. False when one never did."""
    ended = [session.ends(one) for one in choosing.answers_of(session.conversation, _pair(session))]
    return all(ended)


def _choose(session: Session) -> bool:
    pair = _pair(session)
    left, right = choosing.answers_of(session.conversation, pair)
    choice = choice_between(session, session.person, left, right)
    reading = 2 + (len(left.content) + len(right.content)) / READING_CHARACTERS_PER_SECOND
    _say(session, pair.drawn.message_id, choice, reading)
    if session.chance(HABITS.compare_again):
        again = choice_between(session, session.person, left, right)
        _say(session, pair.drawn.message_id, session.rng.choice((None, again)), 5)
    return choosing.standing_choice(session.conversation, session.person.id, pair) is not None


def _say(session: Session, message_id: str, choice: Choice | None, seconds: float) -> None:
    better = choice not in (None, "same", "both_bad")
    reasons = session.some_reasons(good=better) if choice and session.chance(HABITS.reason) else ()
    verdict = Verdict(choice=choice, reasons=reasons, times=times_of(session, seconds))
    chosen = choosing.choose(session.conversation, session.person.id, message_id, verdict)
    session.store(chosen, seconds)


def times_of(session: Session, seconds: float) -> Times:
    """How long it took: each side was in view for a while, and both were there a little later."""
    decision = int(1000 * seconds)
    seen = decision + session.rng.randrange(4000), decision + session.rng.randrange(4000)
    return Times(seen_left=seen[0], seen_right=seen[1], decision=decision)


def choice_between(session: Session, person: Annotator, left: Message, right: Message) -> Choice:
    """What somebody makes of two answers: the truth, or the contrary when they err."""
    worths = session.worth(left), session.worth(right)
    difference = worths[0] - worths[1]
    if not session.chance(person.accuracy):
        difference = -difference if abs(difference) >= TIE_BELOW else session.rng.choice((-1, 1))
    if abs(difference) < TIE_BELOW:
        return "both_bad" if max(worths) < 0 else "same"
    if difference > 0:
        return "a_much" if difference > MUCH else "a"
    return "b_much" if difference < -MUCH else "b"
