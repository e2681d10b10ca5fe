"""What was adjudicated (R31) and what reviewers flagged (R32): both come before what anybody else said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from labeler.core.conversation import ComparisonFact, Conversation, ReviewFact, VoteFact
from labeler.core.events import Adjudicated, AnswersFlagged, Compared
from labeler.core.standing import Standing

WINNERS = ("a", "b", "tie", "both_bad")


@dataclass(slots=True)
class Rulings:
    """The last rulings and the flags that nobody has ruled on since, by the answers that they are about."""

    ruled: dict[frozenset[str], ReviewFact] = field(default_factory=dict)
    flagged: set[str] = field(default_factory=set)

    @property
    def events(self) -> frozenset[str]:
        """The events of the rulings."""
        return frozenset(fact.event_id for fact in self.ruled.values())

    def void(self, *answers: str) -> bool:
        """Whether nothing is to be made of these answers."""
        fact = self.ruled.get(frozenset(answers))
        return fact is not None and isinstance(fact.payload, Adjudicated) and fact.payload.verdict == "void"

    def comparisons(self) -> Iterator[ComparisonFact]:
        """Rulings on pairs, as comparisons by whoever ruled."""
        for fact in self.ruled.values():
            ruling = fact.payload
            if not isinstance(ruling, Adjudicated) or ruling.message_b is None or ruling.verdict not in WINNERS:
                continue
            compared = Compared(
                message_a=ruling.message_a,
                message_b=ruling.message_b,
                winner=ruling.verdict,  # type: ignore[arg-type]
                strength=ruling.strength,
                position="",
                reasons=ruling.reasons,
                comment=ruling.comment,
            )
            yield ComparisonFact(
                ruling.message_a,
                ruling.message_b,
                fact.annotator_id,
                compared,
                fact.seq,
                fact.at,
                fact.event_id,
            )

    def votes(self) -> Iterator[VoteFact]:
        """Rulings on single answers, as votes by whoever ruled; 0 where nothing is to be made of one."""
        for fact in self.ruled.values():
            ruling = fact.payload
            if isinstance(ruling, Adjudicated) and ruling.message_b is None:
                vote = {"good": 1, "bad": -1}.get(ruling.verdict, 0)
                yield VoteFact(ruling.message_a, fact.annotator_id, vote, fact.seq, fact.at, fact.event_id)


def rulings_of(conversation: Conversation, standing: Standing) -> Rulings:
    """What stands of them, as far as whoever said it may be heard. A ruling answers the flags before it."""
    rulings = Rulings()
    flags: dict[frozenset[str], ReviewFact] = {}
    for fact in conversation.reviewed:
        if standing.refusal(fact.annotator_id) is not None:
            continue
        if isinstance(fact.payload, Adjudicated):
            rulings.ruled[fact.of] = fact
            flags.pop(fact.of, None)
        elif isinstance(fact.payload, AnswersFlagged):
            flags[fact.of] = fact
    rulings.flagged = {one for answers in flags for one in answers}
    return rulings
