"""From conversations to the document of statistics: what is counted, of whom, and of what it is made."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.core.contributions import Key, contributions
from labeler.core.events import Compared, Winner
from labeler.core.standing import Standing
from labeler.core.wishes import Wishes
from labeler.insights.report import report
from tests.histories import histories
from tests.stories import Story, told

EVERYBODY = Standing()


def duel(number: int, *, model: str = "red", answers: tuple[str, str] = ("Short.", "A longer answer.")) -> Story:
    """A turn side by side; answer a is of ``model``, answer b of the model ``other``."""
    story = told("ann", f"c{number}", mode="compare", model=model)
    return story.asks_two("Why?").answers(answers[1]).answers(answers[0])


def says(number: int, winner: Winner, **more: object) -> Compared:
    a, b = f"c{number}.a1", f"c{number}.a2"
    shown = {"strength": 2 * (winner in "ab"), "position": "a_left", **more}
    return Compared(message_a=a, message_b=b, winner=winner, **shown)  # type: ignore[arg-type]


def summed(*stories: Story, standing: Standing = EVERYBODY) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for story in stories:
        total.update(contributions(story.conversation, standing))
    return total


@given(st.data())
@settings(max_examples=60)
def test_every_conversation_contributes_counts_whatever_was_done_in_it(data: st.DataObject) -> None:
    story = data.draw(histories())
    counts = contributions(story.conversation, EVERYBODY)
    assert all(isinstance(count, int) and count > 0 for count in counts.values())
    assert all(isinstance(part, str) for key in counts for part in key)
    json.dumps(report(counts), allow_nan=False)


def test_two_people_on_one_pair_are_one_unit_whichever_way_round_they_said_it() -> None:
    story = duel(1).chooses("a").by("bob")
    story = story.adds(Compared(message_a="c1.a2", message_b="c1.a1", winner="b", strength=3, position="b_left"))
    found = report(summed(story))["agreement"]["pairs"]
    assert (found["units"], found["percent"], found["alpha"]) == (1, 1.0, None)
    assert found["prevalence"] == {"a": 1.0, "tie": 0.0, "both_bad": 0.0, "b": 0.0}


def test_who_may_not_be_heard_is_not_counted() -> None:
    story = duel(1).chooses("a").by("bob").adds(says(1, "b"))
    without_bob = summed(story, standing=Standing(excluded=frozenset({"bob"})))
    assert without_bob == summed(duel(1).chooses("a"))
    assert summed(story, standing=Standing(withdrawn=frozenset({"ann"}))) == Counter()


def test_an_exclusion_is_reversible() -> None:
    story = duel(1).chooses("a").by("bob").adds(says(1, "b"))
    assert summed(story, standing=Standing(excluded=frozenset())) == summed(story)


def test_gold_measures_reviewers_and_is_no_judgement_of_models() -> None:
    gold = told("owner", "c1", mode="gold", model="").asks_two("Why?").answers("Bad.").answers("Good.").chooses("a")
    story = gold.by("bob").adds(says(1, "a")).by("eve").adds(says(1, "tie"))
    sums = summed(story)
    assert sums == {("gold", "bob", "right"): 1, ("gold", "eve", "wrong"): 1}
    shares = {one["annotator"]: one["gold"]["share"] for one in report(sums)["raters"]}
    assert shares == {"bob": 1.0, "eve": 0.0}


def test_a_comparison_of_two_models_is_a_battle_and_a_retry_is_none() -> None:
    battle = duel(1).chooses("b_much")
    retry = told("ann", "c2").asks("Why?").answers("One.").retries("Two.").better()
    board = report(summed(battle, retry))["leaderboard"]
    assert {one["model"]: one["comparisons"] for one in board["models"]} == {"other": 1, "red": 1}
    assert board["votes_per_pair"] == [{"models": ["other", "red"], "votes": 1}]


def test_votes_that_were_not_blind_can_be_left_out() -> None:
    named = duel(1, model="crimson", answers=("I am crimson.", "Fine.")).chooses("a")
    blind = duel(2, model="crimson").chooses("a")
    for wishes, votes in ((Wishes(), 2), (Wishes(blind_only=True), 1)):
        assert report(summed(named, blind), wishes)["leaderboard"]["votes_per_pair"][0]["votes"] == votes


def test_reasons_have_an_agreement_of_their_own() -> None:
    stories = []
    for number in range(1, 9):
        first = ("Wrong",) if number % 2 else ("Rude",)
        story = told("ann", f"c{number}").asks("Why?").answers("Because.").dislikes().explains(*first)
        stories.append(story.by("bob").dislikes().explains(*first))
    found = report(summed(*stories))["agreement"]["reasons"]
    assert {name: (one["units"], one["percent"]) for name, one in found.items()} == {
        "Rude": (4, 1.0),
        "Wrong": (4, 1.0),
    }


def test_speed_is_a_median_to_a_tenth_or_so() -> None:
    stories = [
        duel(number).by("ann").adds(says(number, "a", decision_ms=ms)) for number, ms in enumerate([900, 2000, 60_000])
    ]
    (ann,) = report(summed(*stories))["raters"]
    assert ann["median_decision_ms"] == pytest.approx(2000, rel=0.12)


def test_a_left_bias_that_was_put_in_is_reported_within_its_interval() -> None:
    """Annotators who take the left answer six times of ten, whatever it says."""
    chance = random.Random(5)
    stories = []
    for number in range(600):
        left = chance.choice(("a_left", "b_left"))
        winner: Winner = left[0] if chance.random() < 0.6 else {"a": "b", "b": "a"}[left[0]]  # type: ignore[assignment]
        stories.append(duel(number).by(f"r{number % 12}").adds(says(number, winner, position=left)))
    position = report(summed(*stories))["position"]
    assert position["left"]["low"] <= 0.6 <= position["left"]["high"]
    assert position["left"]["low"] > 0.5
    assert position["advantage"][1] > 0


def test_the_same_sums_give_the_same_document() -> None:
    stories = [duel(number).chooses("a" if number % 3 else "b") for number in range(40)]
    sums = summed(*stories)
    shuffled = dict(sorted(sums.items(), key=lambda entry: hash(entry[0])))
    assert json.dumps(report(sums)) == json.dumps(report(shuffled))


def test_the_page_about_stats_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "stats.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    document = report(summed(*[duel(number).chooses("a").by("bob").adds(says(number, "b")) for number in range(9)]))
    inside = [
        document["agreement"],
        document["agreement"]["pairs"],
        document["between_annotators"][0],
        document["leaderboard"],
        document["leaderboard"]["models"][0],
        document["position"],
        document["position"]["left"],
        document["raters"][0],
        document["raters"][0]["gold"],
        document["over_time"][0],
    ]
    assert {*document, *(key for part in inside for key in part)} <= named
