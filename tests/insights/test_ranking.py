"""Rankings: right, honest about what is not known, the same in any order, and free of a bias towards one side."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from math import exp, log

import evalica
import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.insights.intervals import wilson
from labeler.insights.ranking import (
    LEAST_COMPARISONS,
    SCALE,
    Battle,
    _design,
    _fit,
    flips_to_lose_first,
    leaderboard,
    left_share,
    votes_per_pair,
)

MODELS = ("m1", "m2", "m3", "m4")
TRUTH = {"m1": 0.9, "m2": 0.3, "m3": -0.3, "m4": -0.9}


def simulated(
    chance: random.Random, votes: int, *, annotators: int = 20, left: float = 0.0, ties: float = 0.0
) -> list[Battle]:
    """Votes of people who choose by Bradley and Terry, with an advantage (logits) of the left side."""
    battles = []
    for _ in range(votes):
        a, b = chance.sample(MODELS, 2)
        side = chance.choice((1, -1))
        wins = chance.random() < 1 / (1 + exp(-(TRUTH[a] - TRUTH[b] + left * side)))
        outcome = 0.5 if chance.random() < ties else float(wins)
        battles.append(Battle(a, b, outcome, f"r{chance.randrange(annotators)}", side))
    return battles


def test_strengths_are_those_of_bradley_and_terry_as_others_compute_them() -> None:
    battles = simulated(random.Random(1), 400, ties=0.2)
    table = leaderboard([Battle(one.a, one.b, one.outcome, one.annotator) for one in battles])
    winners = [
        {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}[battle.outcome] for battle in battles
    ]
    theirs = evalica.bradley_terry(
        [one.a for one in battles], [one.b for one in battles], winners, tolerance=1e-12, limit=10_000
    ).scores
    ours = {one.model: one.rating for one in table.strengths}
    for one, other in combinations(MODELS, 2):
        difference = (ours[one] or 0) - (ours[other] or 0)
        assert difference == pytest.approx(SCALE * log(theirs[one] / theirs[other]), abs=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_same_votes_in_any_order_give_the_same_table(chance: random.Random) -> None:
    battles = simulated(random.Random(3), 120, ties=0.1)
    table = leaderboard(battles)
    chance.shuffle(battles)
    assert leaderboard(battles) == table


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    chance = random.Random(11)
    covered = total = 0
    for _ in range(250):
        for one in leaderboard(simulated(chance, 400, annotators=60)).strengths:
            assert one.low is not None
            assert one.high is not None
            covered += one.low <= 1000 + SCALE * TRUTH[one.model] <= one.high
            total += 1
    assert 0.93 <= covered / total <= 0.97


def test_no_model_is_ranked_on_fewer_comparisons_than_thirty() -> None:
    battles = simulated(random.Random(5), 400)
    battles += [Battle("new", "m1", outcome, "r1", 1) for outcome in (1.0, 0.0, 1.0)]
    table = {one.model: one for one in leaderboard(battles).strengths}
    assert table["new"].comparisons == 3 < LEAST_COMPARISONS
    assert table["new"].rank is None
    assert table["new"].rating is not None
    assert table["m1"].rank == 1


def test_models_that_differ_within_their_intervals_share_a_rank() -> None:
    battles = [Battle("a", "b", float(number % 2), f"r{number % 9}") for number in range(80)]
    assert [one.rank for one in leaderboard(battles).strengths] == [1, 1]


@pytest.mark.parametrize(
    "battles",
    [
        [],
        [Battle("a", "b", 1.0, "r")] * 50,
        [Battle("a", "b", 0.5, "r")],
        [Battle("a", "b", 1.0, "r"), Battle("c", "d", 0.0, "r")] * 50,
    ],
)
def test_who_only_won_or_only_lost_or_has_a_single_vote_cannot_be_placed(battles: list[Battle]) -> None:
    table = leaderboard(battles)
    assert all(one.rating is None and one.rank is None for one in table.strengths)
    assert {one.model for one in table.strengths} == {model for one in battles for model in (one.a, one.b)}


def test_whoever_cannot_be_placed_does_not_keep_the_others_from_it() -> None:
    battles = [*simulated(random.Random(5), 400), *[Battle("m1", "never won", 1.0, "r", 1)] * 40]
    table = {one.model: one for one in leaderboard(battles).strengths}
    assert table["never won"].rating is None
    assert all(table[model].rank for model in MODELS)


def test_equal_votes_weigh_as_much_counted_as_written_out() -> None:
    """A row with a weight gives the errors that as many rows would."""
    battles = simulated(random.Random(8), 60, annotators=5) * 7
    models = sorted(TRUTH)
    design = _design(Counter(battles), models, ())
    counted = _fit(design, len(models))
    assert counted is not None
    rows = np.repeat(np.arange(len(design.weights)), design.weights.astype(int))
    written = sm.GLM(design.outcomes[rows], design.matrix[rows][:, counted.used], family=sm.families.Binomial())
    fit = written.fit(cov_type="cluster", cov_kwds={"groups": design.groups[rows]})
    assert np.allclose(counted.params, fit.params)
    assert np.allclose(counted.covariance, fit.cov_params())


@pytest.mark.parametrize("side", [1, -1])
def test_where_one_model_always_stood_on_one_side_the_side_has_no_term(side: int) -> None:
    battles = [Battle("a", "b", float(number % 3 > 0), f"r{number % 7}", side) for number in range(60)]
    table = leaderboard(battles)
    assert table.left is None
    assert table.strengths[0].model == "a"


def test_where_the_left_always_wins_there_is_no_number_for_it() -> None:
    battles = [Battle("a", "b", float(side > 0), f"r{number % 7}", side) for number in range(30) for side in (1, -1)]
    table = leaderboard(battles)
    assert table.left is None
    assert left_share(battles) == (60, 60)


# ── sides ──


def test_a_bias_towards_the_left_is_found_within_its_interval() -> None:
    """Everybody prefers the left answer in 60 of 100 cases where models are equal: 0.405 logits."""
    bias = log(0.6 / 0.4)
    battles = simulated(random.Random(21), 3000, left=bias)
    table = leaderboard(battles)
    assert table.left is not None
    value, low, high = table.left
    assert low < SCALE * bias < high
    assert low > 0
    left, decided = left_share([Battle("m1", "m2", one.outcome, one.annotator, one.side) for one in battles])
    found = wilson(left, decided)
    assert found is not None
    assert found[0] > 0.5
    assert value == pytest.approx(SCALE * bias, abs=25)


def test_where_all_are_equal_the_share_of_the_left_side_has_the_bias_in_its_interval() -> None:
    chance = random.Random(4)
    sides = [1, -1] * 500
    battles = [Battle("m1", "m2", float((chance.random() < 0.6) == (side > 0)), "r", side) for side in sides]
    low, high = wilson(*left_share(battles)) or (0, 0)
    assert low <= 0.6 <= high


def test_strengths_are_free_of_a_bias_that_one_model_profits_from() -> None:
    """A model that stood left nearly always looks strong, unless the side has a term of its own."""
    chance = random.Random(9)
    battles = []
    for _ in range(4000):
        side = 1 if chance.random() < 0.9 else -1
        wins = chance.random() < 1 / (1 + exp(-0.8 * side))
        battles.append(Battle("a", "b", float(wins), f"r{chance.randrange(30)}", side))
    with_term = leaderboard(battles).strengths[0]
    without = leaderboard([Battle(one.a, one.b, one.outcome, one.annotator) for one in battles]).strengths[0]
    assert (with_term.low or 0) < 1000 < (with_term.high or 0) + 20
    assert (without.low or 0) > 1050


def test_without_sides_there_is_no_advantage_of_one() -> None:
    assert leaderboard([Battle("a", "b", float(n % 2), f"r{n}") for n in range(40)]).left is None


def test_length_can_be_taken_out() -> None:
    """People who like long answers, and a model that only writes longer ones."""
    chance = random.Random(2)
    battles = []
    for _ in range(3000):
        length = 0.3 + 0.2 * chance.gauss(0, 1)
        wins = chance.random() < 1 / (1 + exp(-2 * length))
        battles.append(
            Battle("wordy", "terse", float(wins), f"r{chance.randrange(30)}", chance.choice((1, -1)), round(length, 2))
        )
    plain, controlled = (leaderboard(battles, controls=controls).strengths for controls in ((), ("length",)))
    ratings = [{one.model: one.rating for one in table} for table in (plain, controlled)]
    gaps = [(table["wordy"] or 0) - (table["terse"] or 0) for table in ratings]
    assert gaps[0] > 80
    assert abs(gaps[1]) < 40


# ── how little it hangs on ──


def test_the_first_place_hangs_on_as_few_votes_as_trying_all_finds() -> None:
    """Two models: turning k wins of the first makes the other first as soon as it has more."""
    for lead in (1, 2, 5):
        battles = [Battle("a", "b", 1.0, "r")] * (10 + lead) + [Battle("a", "b", 0.0, "r")] * 10
        assert flips_to_lose_first(battles) == lead // 2 + 1


def test_a_first_place_that_hangs_on_many_votes_has_no_number() -> None:
    assert flips_to_lose_first([Battle("a", "b", 1.0, "r")] * 80 + [Battle("a", "b", 0.0, "r")] * 5) is None
    assert flips_to_lose_first([]) is None


def test_votes_are_counted_per_pair_whichever_came_first() -> None:
    battles = [Battle("b", "a", 1.0, "r"), Battle("a", "b", 0.5, "r"), Battle("a", "c", 0.0, "r")]
    assert votes_per_pair(battles) == {("a", "b"): 2, ("a", "c"): 1}
