"""Side by side: what a choice means, when it can be made, and which answer goes on."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core import choosing
from labeler.core.choosing import Choice, PairDraw, Times, Verdict, choice_of
from labeler.core.conversation import Conversation
from labeler.core.events import Compared, ComparisonWithdrawn, NewEvent, Payload, ReplyFinished, Side, Status
from labeler.core.folding import apply
from labeler.core.gestures import Draw
from labeler.errors import GestureRefused, NotFound
from tests.stories import told

CHOICES: tuple[Choice, ...] = get_args(Choice)


def draw_of(name: str, model: str) -> Draw:
    return Draw(
        message_id=name,
        model=model,
        model_id=f"org/{model}",
        model_revision=None,
        sampling={},
        system_prompt_sha256=None,
    )


class Duel:
    """A conversation side by side, told turn by turn; answers are called a1, b1, a2, b2, ..."""

    def __init__(self, left: Side = "a") -> None:
        self.left = left
        self.turn = 0
        self.conversation: Conversation = told("ann", mode="compare", model="").conversation
        self.events: list[NewEvent] = []

    def tell(self, payloads: list[Payload]) -> Duel:
        for payload in payloads:
            event = NewEvent(
                event_id=f"e{self.conversation.seq}",
                conversation_id=self.conversation.id,
                seq=self.conversation.seq + 1,
                at="2026-11-28T10:00:00.000000Z",
                annotator_id="ann",
                payload=payload,
            )
            apply(self.conversation, event)
            self.events.append(event)
        return self

    def draw(self) -> PairDraw:
        self.turn += 1
        a, b = draw_of(f"a{self.turn}", "m1"), draw_of(f"b{self.turn}", "m2")
        return PairDraw(a=a, b=b, left=self.left, policy="uniform", propensity=1.0)

    def asks(self, coin: Side = "a") -> Duel:
        return self.tell(choosing.ask(self.conversation, f"q{self.turn + 1}", "Why?", self.draw(), coin))

    def ends(self, a: Status = "complete", b: Status = "complete") -> Duel:
        for name, status in (("a", a), ("b", b)):
            text = "" if status == "failed" else f"Answer {name}{self.turn}"
            self.tell([ReplyFinished(message_id=f"{name}{self.turn}", content=text, status=status)])
        return self

    def chooses(self, choice: Choice | None, **more: object) -> list[Payload]:
        question = str(choosing.last_pair(self.conversation).drawn.message_id)  # type: ignore[union-attr]
        payloads = choosing.choose(self.conversation, "ann", question, Verdict(choice=choice, **more))  # type: ignore[arg-type]
        self.tell(payloads)
        return payloads

    def path(self) -> list[str]:
        return [message.id for message in self.conversation.visible()]


@pytest.mark.parametrize(
    ("choice", "winner", "strength"),
    [
        ("a_much", "a", 3),
        ("a", "a", 2),
        ("same", "tie", 0),
        ("both_bad", "both_bad", 0),
        ("b", "b", 2),
        ("b_much", "b", 3),
    ],
)
def test_a_choice_is_a_comparison_of_answers_whichever_side_they_stood_on(
    choice: Choice, winner: str, strength: int
) -> None:
    (compared,) = Duel("a").asks().ends().chooses(choice)
    (mirrored,) = Duel("b").asks().ends().chooses(choice)
    assert isinstance(compared, Compared)
    assert isinstance(mirrored, Compared)
    assert (compared.winner, compared.strength, compared.position) == (winner, strength, "a_left")
    assert mirrored.winner == {"a": "b", "b": "a"}.get(winner, winner)
    assert (mirrored.strength, mirrored.position) == (strength, "b_left")


@given(st.sampled_from(CHOICES), st.sampled_from(["a", "b"]))
def test_the_page_shows_the_choice_that_was_made(choice: Choice, left: Side) -> None:
    duel = Duel(left).asks().ends()
    duel.chooses(choice)
    pair = choosing.last_pair(duel.conversation)
    assert pair is not None
    standing = choosing.standing_choice(duel.conversation, "ann", pair)
    assert standing is not None
    assert choice_of(pair, standing) == choice


def test_times_go_with_the_answers_and_not_with_the_sides() -> None:
    times = Times(seen_left=100, seen_right=200, decision=50)
    for left, seen in (("a", (100, 200)), ("b", (200, 100))):
        (compared,) = Duel(left).asks().ends().chooses("a", times=times)  # type: ignore[arg-type]
        assert isinstance(compared, Compared)
        assert (compared.seen_a_ms, compared.seen_b_ms, compared.decision_ms) == (*seen, 50)


@pytest.mark.parametrize(("a", "b"), [(None, None), (None, "complete"), ("complete", None)])
def test_nothing_is_chosen_before_both_have_ended(a: Status | None, b: Status | None) -> None:
    duel = Duel().asks()
    for name, status in (("a1", a), ("b1", b)):
        if status:
            duel.tell([ReplyFinished(message_id=name, content="Done", status=status)])
    for make in (lambda: duel.chooses("a"), duel.asks, lambda: choosing.try_again(duel.conversation, duel.draw())):
        with pytest.raises(GestureRefused, match="have to end first"):
            make()


@pytest.mark.parametrize(
    ("a", "b"), [("failed", "complete"), ("complete", "stopped"), ("failed", "failed"), ("stopped", "stopped")]
)
def test_without_two_complete_answers_there_is_no_comparison(a: Status, b: Status) -> None:
    with pytest.raises(GestureRefused, match="nothing to compare"):
        Duel().asks().ends(a, b).chooses("b")


def test_only_what_was_drawn_here_is_chosen_between() -> None:
    duel = Duel().asks().ends()
    with pytest.raises(NotFound):
        choosing.choose(duel.conversation, "ann", "a1", Verdict(choice="a"))


def test_a_choice_can_be_changed_and_taken_back_and_changing_nothing_stores_nothing() -> None:
    duel = Duel().asks().ends()
    duel.chooses("a")
    assert duel.chooses("a") == []
    assert len(duel.chooses("a", reasons=("Correct",))) == 1
    assert len(duel.chooses("b")) == 1
    assert duel.chooses(None) == [ComparisonWithdrawn(message_a="a1", message_b="b1")]
    assert duel.chooses(None) == []


def test_after_the_next_turn_a_choice_stands() -> None:
    duel = Duel().asks().ends()
    duel.chooses("a")
    duel.asks()
    for choice in ("b", None):
        with pytest.raises(GestureRefused, match="gone on from here"):
            choosing.choose(duel.conversation, "ann", "q1", Verdict(choice=choice))  # type: ignore[arg-type]


# ── which answer goes on ──


@pytest.mark.parametrize("left", ["a", "b"])
@pytest.mark.parametrize(("choice", "place"), [("a_much", 0), ("a", 0), ("b", 1), ("b_much", 1)])
def test_the_better_answer_goes_on(left: Side, choice: Choice, place: int) -> None:
    duel = Duel(left).asks().ends()
    duel.chooses(choice)
    duel.asks()
    sides = ("a1", "b1") if left == "a" else ("b1", "a1")
    assert duel.path()[:3] == ["q1", sides[place], "q2"]


@pytest.mark.parametrize("choice", ["same", "both_bad"])
@pytest.mark.parametrize(("coin", "goes_on"), [("a", "a1"), ("b", "b1")])
def test_of_two_as_good_ones_a_coin_says_which_goes_on(choice: Choice, coin: Side, goes_on: str) -> None:
    duel = Duel().asks().ends()
    duel.chooses(choice)
    assert duel.asks(coin).path()[1] == goes_on


def test_nobody_goes_on_without_a_choice() -> None:
    duel = Duel().asks().ends()
    with pytest.raises(GestureRefused, match="Choose between"):
        duel.asks()
    duel.chooses("a")
    duel.chooses(None)
    with pytest.raises(GestureRefused, match="Choose between"):
        duel.asks()


@pytest.mark.parametrize(
    ("a", "b", "goes_on"),
    [
        ("failed", "complete", "b1"),
        ("complete", "failed", "a1"),
        ("complete", "stopped", "a1"),
        ("stopped", "complete", "b1"),
        ("stopped", "stopped", "a1"),
        ("failed", "stopped", "b1"),
    ],
)
def test_where_there_was_nothing_to_compare_the_answer_that_is_there_goes_on(
    a: Status, b: Status, goes_on: str
) -> None:
    assert Duel().asks().ends(a, b).asks().path()[:3] == ["q1", goes_on, "q2"]


def test_two_failures_are_tried_again_and_by_other_answers() -> None:
    duel = Duel().asks().ends("failed", "failed")
    with pytest.raises(GestureRefused, match="Try again"):
        duel.asks()
    duel.turn = 1
    duel.tell(choosing.try_again(duel.conversation, duel.draw())).ends()
    duel.chooses("a")
    assert duel.asks().path()[:2] == ["q1", "a2"]
    assert [child for child in duel.conversation.messages["q1"].children] == ["a1", "b1", "a2", "b2"]


def test_nothing_is_tried_again_that_can_be_chosen_between() -> None:
    duel = Duel().asks().ends()
    with pytest.raises(GestureRefused, match="Choose between"):
        choosing.try_again(duel.conversation, duel.draw())


def test_an_empty_message_asks_nothing() -> None:
    duel = Duel()
    assert choosing.ask(duel.conversation, "q1", " \n", duel.draw(), "a") == []
