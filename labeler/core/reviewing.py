"""What of a conversation others can review, what they said of it, and what is still needed.

Pure functions from a conversation. An item is a pair of answers to one message, or one answer that its annotator voted
on. Whoever began the conversation is no reviewer of it: their word is the first vote, which no reviewer sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from labeler.core.conversation import Conversation, Message
from labeler.core.events import Adjudicated, AnswersFlagged, Compared, Payload, ReviewSkipped, Ruling, VoteCast, swapped
from labeler.core.standing import Standing
from labeler.core.text import normal
from labeler.core.values import value
from labeler.errors import GestureRefused, NotFound

# Conversations that nobody held: their pairs are there to be reviewed, judged before or not.
GOLD = "gold"
DRAFTED = frozenset(("pool", "import", GOLD))
MAJORITY = 2 / 3
State = Literal["gold", "open", "settled", "disputed", "flagged", "adjudicated"]
FLAG = "flag:"
SKIP = "skip"


@value()
class Item:
    """Something to review. ``message_b`` is none for one answer alone.

    ``said`` is what each annotator says of it now: a winner, ``good`` or ``bad``, ``skip``, or ``flag:`` and the flag.
    Of a ``gold`` item the owner's word is right, and what others say measures them.
    """

    conversation_id: str
    owner: str
    message_a: str
    message_b: str | None
    said: Mapping[str, str]
    ruling: Ruling | None = None
    gold: bool = False

    @property
    def id(self) -> str:
        return item_id(self.conversation_id, self.message_a, self.message_b)

    def heard(self, standing: Standing) -> Item:
        """The same without the words of whoever may not be heard: their reviews have to be done again by others."""
        said = {one: word for one, word in self.said.items() if standing.refusal(one) is None}
        return replace(self, said=said)

    def judgements(self) -> dict[str, str]:
        """The votes alone, the first one among them."""
        return {one: said for one, said in self.said.items() if said != SKIP and not said.startswith(FLAG)}

    @property
    def reviews(self) -> int:
        """How many others have judged it."""
        return sum(annotator != self.owner for annotator in self.judgements())

    @property
    def agreement(self) -> float:
        """The share of the most common vote; 1 where nobody has voted."""
        votes = Counter(self.judgements().values())
        return max(votes.values()) / votes.total() if votes else 1.0

    @property
    def confidence(self) -> float:
        """(most common + 1) / (votes + 2): low for few votes, low for divided ones."""
        votes = Counter(self.judgements().values())
        return (max(votes.values(), default=0) + 1) / (votes.total() + 2)

    def state(self, overlap: int) -> State:
        """What is to be done with it when ``overlap`` reviews are wanted."""
        if self.gold:
            return "gold"
        if self.ruling is not None:
            return "adjudicated"
        if any(said.startswith(FLAG) for said in self.said.values()):
            return "flagged"
        if self.reviews < overlap:
            return "open"
        return "settled" if self.agreement >= MAJORITY else "disputed"


def item_id(conversation_id: str, message_a: str, message_b: str | None) -> str:
    """The name of an item, whichever of its answers is called a."""
    pair = sorted(one for one in (message_a, message_b) if one is not None)
    return "/".join((conversation_id, *pair))


def items_of(conversation: Conversation) -> list[Item]:
    """What can be reviewed in a conversation, in the order in which the answers came."""
    return [_item(conversation, a, b) for a, b in _subjects(conversation)]


def _subjects(conversation: Conversation) -> list[tuple[str, str | None]]:
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    if conversation.mode in DRAFTED:
        for one, other in _drafted_pairs(conversation):
            pairs[frozenset((one.id, other.id))] = (one.id, other.id)
    for fact in conversation.comparisons:
        both = fact.message_a, fact.message_b
        if conversation.comparison_of(conversation.annotator_id, fact.pair) and _differ(conversation, *both):
            pairs.setdefault(fact.pair, both)
    owner = conversation.annotator_id
    votes = dict.fromkeys(fact.message_id for fact in conversation.votes)
    voted = [one for one in votes if conversation.vote_of(owner, one) and conversation.messages[one].complete]
    return [*pairs.values(), *((one, None) for one in voted)]


def _drafted_pairs(conversation: Conversation) -> Iterator[tuple[Message, Message]]:
    for message in conversation.messages.values():
        answers = [conversation.messages[one] for one in message.children]
        answers = [one for one in answers if one.role == "assistant" and one.complete]
        for place, one in enumerate(answers):
            for other in answers[place + 1 :]:
                if _differ(conversation, one.id, other.id):
                    yield one, other


def _differ(conversation: Conversation, one: str, other: str) -> bool:
    """Whether two complete answers are there to be told apart (R28)."""
    a, b = conversation.messages[one], conversation.messages[other]
    return a.complete and b.complete and normal(a.content) != normal(b.content)


def _item(conversation: Conversation, message_a: str, message_b: str | None) -> Item:
    subject = frozenset(one for one in (message_a, message_b) if one is not None)
    said = (
        _votes_on(conversation, message_a) if message_b is None else _comparisons_of(conversation, message_a, subject)
    )
    ruling: Ruling | None = None
    for review in conversation.reviewed:
        if review.of != subject:
            continue
        match review.payload:
            case ReviewSkipped():
                said.setdefault(review.annotator_id, SKIP)
            case AnswersFlagged(flag=flag):
                said[review.annotator_id] = FLAG + flag
            case Adjudicated():
                ruling = _ruling(review.payload, message_a)
    gold = conversation.mode == GOLD
    return Item(conversation.id, conversation.annotator_id, message_a, message_b, said, ruling, gold)


def _votes_on(conversation: Conversation, message_id: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for fact in conversation.votes:
        if fact.message_id == message_id:
            _note(said, fact.annotator_id, {1: "good", -1: "bad"}.get(fact.vote))
    return said


def _comparisons_of(conversation: Conversation, message_a: str, subject: frozenset[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for fact in conversation.comparisons:
        if fact.pair == subject:
            _note(said, fact.annotator_id, fact.winner(message_a))
    return said


def _note(said: dict[str, str], annotator_id: str, word: str | None) -> None:
    if word is None:
        said.pop(annotator_id, None)
    else:
        said[annotator_id] = word


def _ruling(adjudicated: Adjudicated, message_a: str) -> Ruling:
    if adjudicated.message_a == message_a:
        return adjudicated.verdict
    return swapped(adjudicated.verdict)


def item_in(conversation: Conversation, message_a: str, message_b: str | None) -> Item:
    """The item of these answers. Raises NotFound if they are none (any more)."""
    wanted = item_id(conversation.id, message_a, message_b)
    for item in items_of(conversation):
        if item.id == wanted:
            return item
    raise NotFound("That is not there to be reviewed any more. Take the next one.")


# ── what a reviewer says ──


def rule(conversation: Conversation, reviewer: str, payload: Adjudicated) -> list[Payload]:
    """Have the last word on what others disagree about."""
    _anothers(conversation, reviewer, "adjudicate", (payload.message_a, payload.message_b))
    return [payload]


Said = Compared | VoteCast | ReviewSkipped | AnswersFlagged


def review(conversation: Conversation, reviewer: str, payload: Said) -> list[Payload]:
    """Judge, skip or flag what others gave."""
    both = (payload.message_id, None) if isinstance(payload, VoteCast) else (payload.message_a, payload.message_b)
    item = _anothers(conversation, reviewer, "review", both)
    return [] if reviewer in item.judgements() else [payload]


def _anothers(conversation: Conversation, reviewer: str, what: str, answers: tuple[str, str | None]) -> Item:
    """The item, which is not of the reviewer's own conversation."""
    item = item_in(conversation, *answers)
    if item.owner == reviewer:
        raise GestureRefused(f"This conversation is your own; somebody else has to {what} it.")
    return item
