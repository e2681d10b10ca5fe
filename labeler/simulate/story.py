"""The course of a conversation: turns, and what an annotator makes of each answer."""

from __future__ import annotations

from labeler.core.conversation import Message
from labeler.core.gestures import retry_question
from labeler.simulate import prose
from labeler.simulate.session import HABITS, MAX_RETRIES, MAX_TURNS, READING_CHARACTERS_PER_SECOND, Session


def tell(session: Session) -> None:
    """Play one conversation from its opener to its end."""
    text = session.text
    for _ in range(MAX_TURNS):
        answer = session.send(text)
        if answer is None or not _turn(session, answer) or not session.chance(HABITS.another_turn):
            break
        text = _next_text(session)
    _last_look(session)


def _next_text(session: Session) -> str:
    if session.taken_back:
        return prose.rephrased(session.rng, session.taken_back)
    return prose.follow_up(session.rng, session.topic)


def _turn(session: Session, answer: Message) -> bool:
    """React to an answer, and perhaps to those that follow from it. False: a reply was lost, nothing can go on."""
    standing = _settle(session, answer)
    if standing is None:
        return False
    if session.chance(HABITS.rewrite_question):
        question = session.conversation.path(standing.id)[-2]
        standing = session.rewrite(question, prose.rephrased(session.rng, question.content))
        if standing is None:
            return False
        _judge(session, standing)
    _perhaps_undo(session, standing)
    return True


def _perhaps_undo(session: Session, answer: Message) -> None:
    if session.chance(HABITS.undo_a_slip):
        session.vote(answer, 1, 3)
        session.undo()
    elif session.chance(HABITS.undo):
        session.undo()


def _settle(session: Session, answer: Message) -> Message | None:
    """Judge, retry, compare, edit. The answer that stands in the end, or ``None`` if a reply was lost."""
    for _ in range(MAX_RETRIES):
        liked = _judge(session, answer)
        if not session.chance(_urge_to_retry(answer, liked)):
            break
        again = session.retry()
        if again is None:
            return None
        answer = _weigh(session, again)
    return _improve(session, answer)


def _urge_to_retry(answer: Message, liked: int) -> float:
    if not answer.complete:
        return HABITS.retry_failed
    return HABITS.retry_bad if liked < 0 else HABITS.retry_good


def _judge(session: Session, answer: Message) -> int:
    """Perhaps vote, and perhaps change one's mind. What the annotator thinks of the answer, said or not."""
    opinion = session.judgement(answer) if answer.complete else -1
    wanted = session.person.diligence * (1.0 if answer.complete else 0.2)
    if session.conversation.vote_of(session.person.id, answer.id) or not session.chance(wanted):
        return opinion
    reading = 2 + len(answer.content) / READING_CHARACTERS_PER_SECOND
    if session.chance(HABITS.slip):
        session.vote(answer, -opinion, reading)
        reading = 1.5
    session.vote(answer, opinion, reading)
    _second_thoughts(session, answer, opinion)
    return opinion


def _second_thoughts(session: Session, answer: Message, opinion: int) -> None:
    if session.chance(HABITS.flip):
        session.vote(answer, -opinion, 8)
        if session.chance(0.3):
            session.vote(answer, opinion, 4)
    elif session.chance(HABITS.withdraw):
        session.vote(answer, 0, 6)
        return
    if session.chance(HABITS.reason):
        session.reason(answer)


def _weigh(session: Session, again: Message) -> Message:
    """Perhaps answer "Was this answer better?" about a retry. The answer that the annotator goes on with."""
    question = retry_question(session.conversation, again.id)
    if question is None:
        return again
    old, new = question
    winner = session.better(old, new)
    if session.chance(HABITS.compare):
        session.compare(new, winner)
        if session.chance(HABITS.compare_again):
            session.compare(new, session.rng.choice((None, session.better(old, new))))
    if winner == "a" and session.chance(HABITS.go_back):
        session.select(old)
        return old
    return again


def _improve(session: Session, answer: Message) -> Message:
    """Perhaps rewrite an answer by hand, and perhaps more than once."""
    if not session.chance(HABITS.edit_good if session.worth(answer) > 0 else HABITS.edit_bad):
        return answer
    edited = session.edit(answer, prose.revised(session.rng, answer.content, session.topic))
    if session.chance(HABITS.edit_twice):
        edited = session.edit(edited, prose.revised(session.rng, edited.content, session.topic))
    if session.chance(HABITS.edit_back):
        edited = session.edit(edited, answer.content)
    if edited.id != answer.id and session.chance(HABITS.judge_own_edit):
        session.vote(edited, session.judgement(edited), 3)
    return edited


def _last_look(session: Session) -> None:
    """On leaving: perhaps a word on an answer passed over before, perhaps a cleared chat."""
    seen = [m for m in session.conversation.visible() if m.role == "assistant" and m.complete]
    if seen and session.chance(HABITS.vote_late):
        answer = session.rng.choice(seen)
        session.vote(answer, session.judgement(answer), 30)
    if seen and session.chance(HABITS.edit_earlier):
        answer = session.rng.choice(seen)
        session.edit(answer, prose.revised(session.rng, answer.content, session.topic))
    if session.chance(HABITS.clear):
        session.clear()
