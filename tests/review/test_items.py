"""What there is to review in a conversation, and what has been said of it."""

from __future__ import annotations

import pytest

from labeler.core.events import Adjudicated, AnswersFlagged, Compared, ReviewSkipped
from labeler.core.reviewing import Item, item_id, items_of, review
from labeler.errors import GestureRefused, NotFound
from tests.stories import Story, told

A, B = "c1.a1", "c1.a2"


def compared(winner: str = "a", a: str = A, b: str = B) -> Compared:
    return Compared(message_a=a, message_b=b, winner=winner, strength=2, position="a_left")  # type: ignore[arg-type]


def pair() -> Story:
    """Ann says that the second answer is better."""
    return told("ann").asks("Why?").answers("One.").retries("Two.").better()


def only(story: Story) -> Item:
    (item,) = items_of(story.conversation)
    return item


# ── what is an item ──


def test_a_compared_pair_is_an_item_of_who_compared_it() -> None:
    item = only(pair())
    assert (item.message_a, item.message_b, item.owner, item.said) == (A, B, "ann", {"ann": "b"})


def test_a_voted_answer_is_an_item() -> None:
    item = only(told("ann").asks("Why?").answers("One.").dislikes())
    assert (item.message_a, item.message_b, item.said) == ("c1.a1", None, {"ann": "bad"})


@pytest.mark.parametrize(
    "story",
    [
        told("ann").asks("Why?").answers("One."),
        told("ann").asks("Why?").answers("One.").likes().withdraws(),
        told("ann").asks("Why?").stopped("On").likes(),
        told("ann").asks("Why?").answers("One.").retries("Two."),
        told("ann").asks("Why?").answers("One.").retries("Two.").better().compares(None),
    ],
)
def test_what_nobody_judged_or_nobody_can_judge_is_no_item(story: Story) -> None:
    assert items_of(story.conversation) == []


def test_answers_that_say_the_same_are_no_item() -> None:
    story = told("ann").asks("Why?").answers("One.").retries("One. ")
    assert items_of(story.adds(compared()).conversation) == []


def test_drafted_pairs_are_items_before_anybody_judged_them() -> None:
    story = told("labeler", mode="pool").asks("Why?").answers("One.").retries("Two.").retries("Three.")
    assert [(item.message_a, item.message_b, item.said) for item in items_of(story.conversation)] == [
        ("c1.a1", "c1.a2", {}),
        ("c1.a1", "c1.a3", {}),
        ("c1.a2", "c1.a3", {}),
    ]


def test_an_item_has_one_name_whichever_answer_is_called_a() -> None:
    assert item_id("c", "x", "y") == item_id("c", "y", "x") != item_id("c", "x", None)


# ── what is said of it ──


def test_reviews_are_what_others_say_whichever_way_round() -> None:
    story = pair().by("bob").adds(compared("a")).by("eve").adds(compared("a", B, A))
    item = only(story)
    assert item.said == {"ann": "b", "bob": "a", "eve": "b"}
    assert item.reviews == 2
    assert item.agreement == pytest.approx(2 / 3)


def test_a_skip_is_no_judgement_and_no_tie() -> None:
    item = only(pair().by("bob").adds(ReviewSkipped(message_a=A, message_b=B)))
    assert item.said == {"ann": "b", "bob": "skip"}
    assert (item.reviews, item.agreement, item.state(1)) == (0, 1.0, "open")


def test_a_flag_takes_an_item_out_of_the_queue() -> None:
    item = only(pair().by("bob").adds(AnswersFlagged(message_a=A, message_b=B, flag="unsafe")))
    assert (item.said["bob"], item.reviews, item.state(1)) == ("flag:unsafe", 0, "flagged")


@pytest.mark.parametrize(
    ("winners", "state"),
    [((), "open"), (("b",), "open"), (("b", "b"), "settled"), (("a", "b"), "settled"), (("a", "a"), "settled")],
)
def test_an_item_is_settled_by_enough_reviews_that_agree(winners: tuple[str, ...], state: str) -> None:
    story = pair()
    for name, winner in zip(("bob", "eve"), winners, strict=False):
        story = story.by(name).adds(compared(winner))
    assert only(story).state(2) == state


def test_an_item_is_disputed_when_no_two_thirds_agree() -> None:
    story = pair().by("bob").adds(compared("a")).by("eve").adds(compared("tie"))
    assert only(story).state(2) == "disputed"


def test_an_adjudicated_item_is_done_whatever_was_said() -> None:
    ruling = Adjudicated(message_a=B, message_b=A, verdict="a")
    item = only(pair().by("bob").adds(compared("a")).by("eve").adds(ruling))
    assert (item.ruling, item.state(5)) == ("b", "adjudicated")


# ── who may say it ──


def test_nobody_reviews_their_own() -> None:
    with pytest.raises(GestureRefused, match="your own"):
        review(pair().conversation, "ann", compared())


def test_a_second_review_by_the_same_stores_nothing() -> None:
    story = pair().by("bob").adds(compared())
    assert review(story.conversation, "bob", compared("b")) == []


def test_what_is_no_item_any_more_is_not_reviewed() -> None:
    with pytest.raises(NotFound):
        review(pair().compares(None).conversation, "bob", compared())
