"""Two answers at one pace, whatever the models do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labeler.chat import PairShown, PairView
from labeler.chat.pairs import Side
from labeler.page.pacing import STEP, Pace, paced


def view_of(left: str, right: str, *, left_ended: bool, right_ended: bool) -> PairView:
    texts = (("a", left, left_ended), ("b", right, right_ended))
    sides = [Side(f"{name}1", text, "complete" if ended else "writing") for name, text, ended in texts]
    ended = left_ended and right_ended
    pair = PairShown(message_id="q1", left=sides[0], right=sides[1], comparable=ended)
    return PairView("c", 3, not ended, (), pair)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, int]]:
    """How much of two answers is there at each look, and how long they become in the end."""
    ends = draw(st.tuples(st.integers(0, 900), st.integers(0, 900)))
    steps = draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=12))
    here, told = (0, 0), []
    for step in steps:
        here = (min(ends[0], here[0] + step[0]), min(ends[1], here[1] + step[1]))
        told.append(here)
    return [*told, ends]


@given(streams())
def test_neither_is_ahead_until_both_have_ended_and_all_is_shown_at_last(looks: list[tuple[int, int]]) -> None:
    ends = looks[-1]
    pace, more, before = Pace(), True, (0, 0)
    later = [ends] * (max(ends) // STEP + 2)
    for place, (left, right) in enumerate([*looks, *later]):
        over = place >= len(looks) - 1
        ended = (left == ends[0] and over, right == ends[1] and over)
        whole = view_of("x" * left, "y" * right, left_ended=ended[0], right_ended=ended[1])
        shown, more = paced(whole, pace)
        assert shown.pair is not None
        lengths = (len(shown.pair.left.text), len(shown.pair.right.text))
        if more:
            assert {shown.pair.left.status, shown.pair.right.status} == {"writing"}
            assert not shown.pair.comparable
            assert shown.running
            if lengths[0] != lengths[1]:  # the shorter one is all there is of it
                assert min(lengths) == ((left, right)[lengths.index(min(lengths))])
        assert all(now >= then for now, then in zip(lengths, before, strict=True))
        assert all(now - then <= STEP for now, then in zip(lengths, before, strict=True)) or place == 0
        before = lengths
    assert not more
    assert before == ends


def test_a_failure_is_not_told_before_the_other_answer_has_ended() -> None:
    pace = Pace()
    half = PairView(
        "c",
        3,
        True,
        (),
        PairShown(message_id="q1", left=Side("a1", "", "failed", "it died"), right=Side("b1", "So", "writing")),
    )
    shown, more = paced(half, pace)
    assert more
    assert shown.pair is not None
    assert (shown.pair.left.status, shown.pair.left.error) == ("writing", None)


def test_a_page_that_opens_on_what_has_ended_shows_it_at_once() -> None:
    whole = view_of("x" * 5000, "y" * 3000, left_ended=True, right_ended=True)
    assert paced(whole, Pace()) == (whole, False)


def test_another_pair_begins_at_its_beginning() -> None:
    pace = Pace("a0", 4000)
    shown, _ = paced(view_of("x" * 500, "y" * 3, left_ended=False, right_ended=False), pace)
    assert shown.pair is not None
    assert (len(shown.pair.left.text), len(shown.pair.right.text)) == (3, 3)
