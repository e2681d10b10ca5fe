"""R25-R28: several annotators, several rules, several copies."""

from __future__ import annotations

from tests.derivation import outcome
from tests.stories import Story, told


def asked(answer: str = "One.") -> Story:
    return told("ann").asks("Why?").answers(answer)


def voted(story: Story, votes: dict[str, int], name: str | None = None) -> Story:
    for annotator, value in votes.items():
        story.by(annotator).votes(value, name)
    return story.by("ann")


# ── R25: one answer ──


def test_annotators_who_agree_make_one_surer_label() -> None:
    grounds = outcome(voted(asked(), {"ann": 1, "bob": 1})).judged["a1"]
    assert (grounds.confidence, grounds.annotator_ids, grounds.agreement) == (0.96, ("ann", "bob"), 1.0)
    assert len(grounds.event_ids) == 2


def test_one_against_one_is_no_label_and_both_votes_stay_in_the_rows() -> None:
    found = outcome(voted(asked(), {"ann": 1, "bob": -1}))
    assert found.labels == {}
    assert [(row.annotator_id, row.vote) for row in found.derived.votes] == [("ann", 1), ("bob", -1)]
    assert found.excluded == {"contested_votes": 1}


def test_two_against_one_are_a_majority() -> None:
    found = outcome(voted(asked(), {"ann": 1, "bob": -1, "cid": -1}))
    grounds = found.judged["a1"]
    assert found.labels == {"a1": False}
    assert (grounds.sources, grounds.confidence, grounds.agreement) == (("R3", "R25"), 0.6, 0.666667)
    assert grounds.n_annotators == 3


def test_three_against_two_are_none() -> None:
    assert outcome(voted(asked(), {"ann": 1, "bob": -1, "cid": -1, "dan": 1, "eve": 1})).labels == {}


def test_a_contested_answer_is_in_no_pair_from_votes() -> None:
    story = asked().retries("Two.").likes("a1").dislikes("a2").by("bob").dislikes("a1")
    assert outcome(story).pairs == {}


def test_the_minority_makes_no_pair() -> None:
    story = voted(asked().retries("Two."), {"ann": 1, "bob": -1, "cid": -1}, "a1")
    story.dislikes("a2").by("bob").likes("a2").by("cid").likes("a2")
    found = outcome(story)
    assert found.pairs.keys() == {("a2", "a1")}
    assert found.labels == {"a1": False, "a2": True}


def test_a_contested_answer_may_still_be_rewritten() -> None:
    assert outcome(voted(asked(), {"bob": 1, "cid": -1}).edits("Two.")).pairs.keys() == {("a2", "a1")}


def test_a_demonstration_from_likes_wants_nobody_against_it() -> None:
    found = outcome(voted(asked(), {"ann": 1, "bob": 1, "cid": -1}), sft_from_likes=True)
    assert found.labels == {"a1": True}
    assert found.demonstrations == {}


# ── R26: one pair ──


def test_opposite_pairs_of_two_annotators_are_both_out_and_stay_in_the_rows() -> None:
    found = outcome(asked().retries("Two.").better().by("bob").worse())
    assert found.pairs == {}
    assert len(found.derived.comparisons) == 2
    assert found.excluded["contested_pair"] == 1


def test_two_of_three_comparisons_give_the_pair() -> None:
    grounds = outcome(asked().retries("Two.").better().by("bob").worse().by("cid").better()).pairs["a2", "a1"]
    assert (grounds.sources, grounds.confidence, grounds.agreement) == (("R22", "R26"), 0.6, 0.666667)
    assert grounds.annotator_ids == ("ann", "bob", "cid")
    assert len(grounds.event_ids) == 3


def test_two_of_four_comparisons_do_not() -> None:
    story = asked().retries("Two.").better().by("bob").worse().by("cid").better().by("dan").about_the_same()
    assert outcome(story).pairs == {}


def test_one_preference_against_two_ties_is_none() -> None:
    story = asked().retries("Two.").better().by("bob").about_the_same().by("cid").about_the_same()
    found = outcome(story)
    assert found.pairs == {}
    assert found.excluded["contested_pair"] == 1


def test_a_rewrite_and_somebody_elses_thumbs_against_it_are_both_out() -> None:
    found = outcome(asked().edits("Two.").by("bob").likes("a1").dislikes("a2"))
    assert found.pairs == {}
    assert found.demonstrations.keys() == {"a2"}


# ── R27: one record ──


def test_the_same_pair_from_two_annotators_is_one_record() -> None:
    found = outcome(asked().retries("Two.").better().by("bob").better())
    grounds = found.pairs["a2", "a1"]
    assert len(found.derived.pairs) == 1
    assert (grounds.confidence, grounds.n_annotators, grounds.sources) == (0.99, 2, ("R22",))


def test_the_strongest_rule_gives_a_merged_record_its_name_and_strength() -> None:
    story = asked().dislikes().edits("Something else altogether.").by("bob").likes("a2").dislikes("a1")
    grounds = outcome(story).pairs["a2", "a1"]
    assert (grounds.source, grounds.strength, grounds.sources) == ("R9", 3, ("R1", "R4", "R9"))


def test_a_liked_rewrite_is_one_demonstration_of_two_rules() -> None:
    grounds = outcome(asked().edits("Two.").likes(), sft_from_likes=True).demonstrations["a2"]
    assert (grounds.source, grounds.sources, grounds.confidence) == ("R1", ("R1", "R2s"), 0.96)


# ── R28: copies ──


def test_votes_on_copies_are_votes_on_one_text() -> None:
    found = outcome(asked("Same.").retries(" Same.\n").by("ann").likes("a1").by("bob").likes("a2"))
    assert found.labels == {"a1": True}
    assert found.judged["a1"].annotator_ids == ("ann", "bob")
    assert found.judged["a1"].sources == ("R2", "R28")
    assert found.excluded_for("same_text") == [("a2",)]


def test_copies_are_no_pair() -> None:
    found = outcome(asked("Same.").retries("Same. ").likes("a1").dislikes("a2"))
    assert found.pairs == {}
    assert found.labels == {"a1": False}
    assert found.judged["a1"].n_flips == 1


def test_a_pair_with_two_copies_is_one_record() -> None:
    story = asked("Same.").retries("Same. ").retries("Other.").likes("a3").dislikes("a1").dislikes("a2")
    found = outcome(story)
    assert found.pairs.keys() == {("a3", "a1")}


def test_a_rewrite_into_a_models_own_words_is_pooled_with_them() -> None:
    story = asked().retries("Two.").selects("a1").edits("Two.").likes()
    found = outcome(story)
    assert found.labels == {"a2": True}
    assert found.pairs.keys() == {("a3", "a1")}


def test_composed_and_decomposed_letters_are_the_same_text() -> None:
    found = outcome(asked("Ångström").retries("Ångström").likes("a1").dislikes("a2"))
    assert found.pairs == {}
