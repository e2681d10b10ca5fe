"""What the page Insights sends to a browser: no more than people read, the names of nobody else, the words it takes."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from labeler.chat import Count, Overseer
from labeler.core.roles import Visitor
from labeler.core.wishes import Wishes
from labeler.errors import GestureRefused, RoleNeeded
from labeler.insights.report import report
from labeler.page.insights import LEAST_AGREEING, MOST_RATERS, InsightsScreen
from labeler.page.pacing import Pace
from labeler.page.render import Echo, Frame
from labeler.page.wire import Turn
from labeler.store import Store
from tests.export import tell
from tests.stories import told, told_of

LEA = Visitor("lea", "admin")
CROWD = 300


def crowded() -> dict[str, Any]:
    """The document of many annotators, of whom every tenth says what nobody else does."""
    sums: Counter[tuple[str, ...]] = Counter()
    for number in range(CROWD):
        odd = number % 10 == 0
        sums["rater", f"r{number:03}", "vote", "like" if odd else "dislike", "0,2"] += 40 + number % 7
        sums["day", f"r{number:03}", "2026-11-28"] += 40
        sums["between", f"r{number:03}", f"r{number + 1:03}", "a", "b" if odd else "a"] += 9
    return report(sums)


def screen_of(store: Store, document: dict[str, Any] | None, asked: list[Wishes] | None = None) -> InsightsScreen:
    def count(wishes: Wishes) -> Count:
        if asked is not None:
            asked.append(wishes)
        return Count(store.position(), document, running=document is None)

    names = {f"r{number:03}": f"Name {number}" for number in range(CROWD)} | {"nobody": "Nobody"}
    return InsightsScreen(Overseer(store, lambda: "2026-11-28T10:00:00.000000Z", count, lambda: names))


def sent(screen: InsightsScreen, visitor: Visitor = LEA, wanted: str = "") -> dict[str, Any]:
    """The facts that one render gives the browser."""
    seen, _ = screen.look(visitor, wanted, Pace())
    (element,) = screen.draw(Frame("boot", visitor.annotator_id, seen, Echo()), 1)
    found = re.fullmatch(r'<i hidden data-view="(.*)"></i>', element)
    assert found is not None
    view: dict[str, Any] = json.loads(html.unescape(found.group(1)))["view"]
    return view


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(f"sqlite:///{tmp_path}/log.db") as store:
        tell(store, told("r001").asks("Why?").answers("One.").likes())
        yield store


def test_no_more_annotators_are_sent_than_people_read_and_those_to_look_at_come_first(store: Store) -> None:
    view = sent(screen_of(store, crowded()))
    raters = view["document"]["raters"]
    assert (len(raters), view["document"]["raters_all"]) == (MOST_RATERS, CROWD)
    flagged = [one["flagged"] for one in raters]
    assert sum(flagged) == CROWD / 10
    assert flagged == sorted(flagged, reverse=True)
    for marked in (True, False):
        shown = [one["z"] for one in raters if one["flagged"] is marked]
        assert shown == sorted(shown)


def test_of_pairs_of_annotators_those_who_agree_least_are_sent(store: Store) -> None:
    document = sent(screen_of(store, crowded()))["document"]
    assert (len(document["between_annotators"]), document["between_all"]) == (LEAST_AGREEING, CROWD)
    assert {one["percent"] for one in document["between_annotators"]} == {0.0}


def test_names_are_those_of_annotators_who_are_told_of(store: Store) -> None:
    tell(store, told_of("nobody").is_excluded())
    names = sent(screen_of(store, crowded()))["names"]
    assert names["r001"] == "Name 1"
    assert names["nobody"] == "Nobody"
    assert len(names) == CROWD + 1
    assert sent(screen_of(store, None))["names"] == {"nobody": "Nobody"}


def test_before_the_first_count_there_is_no_document_and_more_will_come(store: Store) -> None:
    screen = screen_of(store, None)
    _, more = screen.look(LEA, "", Pace())
    assert more
    assert sent(screen)["document"] is None
    assert sent(screen)["counting"] == {"done": 0, "of": 0}


def test_wishes_reach_the_count_in_whatever_order_they_came(store: Store) -> None:
    asked: list[Wishes] = []
    screen = screen_of(store, crowded(), asked)
    for wishes in (["style", "length"], ["length", "style", "named"], []):
        wanted, _ = screen.apply(LEA, Turn(kind="open", wishes=wishes))  # type: ignore[arg-type]
        screen.look(LEA, wanted, Pace())
    assert asked == [Wishes(("length", "style")), Wishes(("length", "style"), blind_only=True), Wishes()]


@pytest.mark.parametrize("kind", ["send", "retry", "clear", "accept_consent"])
def test_gestures_of_other_pages_are_none_of_this_one(store: Store, kind: Any) -> None:
    with pytest.raises(GestureRefused, match="malformed"):
        screen_of(store, crowded()).apply(LEA, Turn(kind=kind, text="x"))


@pytest.mark.parametrize("kind", ["exclude", "include"])
def test_a_forged_exclusion_of_who_is_no_admin_is_refused(store: Store, kind: Any) -> None:
    with pytest.raises(RoleNeeded):
        screen_of(store, crowded()).apply(Visitor("eve", "reviewer"), Turn(kind=kind, nonce="n1", annotator="r001"))
    assert store.load("r001") == []


def test_a_reviewer_is_told_that_excluding_is_not_theirs(store: Store) -> None:
    screen = screen_of(store, crowded())
    assert sent(screen)["may_exclude"] is True
    assert sent(screen, Visitor("eve", "reviewer"))["may_exclude"] is False
