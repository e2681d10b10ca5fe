"""What a trainer sees before the answer, and which split it is in."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from labeler.core.events import MessageSent
from labeler.core.records import Prompt
from labeler.core.text import opener_form, prompt_key, split_of
from tests.derivation import outcome
from tests.stories import Story, told

HALF: dict[str, Any] = {"test_percent": 50, "salt": "salt"}


def prompt_of(story: Story, **options: Any) -> Prompt:
    """The prompt of the story's last label."""
    return outcome(story, **options).derived.unpaired[-1].prompt


def opener(split: str, number: int = 0) -> str:
    """The ``number``-th text whose split, with half of all in test, is this one."""
    texts = (f"Question {n}?" for n in range(1000))
    return [text for text in texts if split_of(text, "salt", 50) == split][number]


# ── content ──


def test_a_prompt_is_the_path_to_the_answer_and_ends_with_the_user() -> None:
    story = told("ann", system_prompt="Be brief.").asks("Why?").answers("One.").asks("And?").answers("Well.").likes()
    assert prompt_of(story).messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "And?"},
    ]


def test_the_system_prompt_can_be_merged_into_the_first_message_or_dropped() -> None:
    story = told("ann", system_prompt="Be brief.").asks("Why?").answers("One.").likes()
    assert prompt_of(story, system_prompt="merge").messages == [{"role": "user", "content": "Be brief.\n\nWhy?"}]
    assert prompt_of(story, system_prompt="drop").messages == [{"role": "user", "content": "Why?"}]


def test_siblings_share_one_prompt_object() -> None:
    story = told("ann").asks("Why?").answers("One.").retries("Two.").likes("a1").dislikes("a2")
    derived = outcome(story).derived
    assert derived.pairs[0].prompt is derived.unpaired[0].prompt is derived.unpaired[1].prompt


def test_the_path_goes_through_the_answer_that_was_continued_from() -> None:
    story = told("ann").asks("Why?").answers("One.").retries("Two.").selects("a1").asks("And?").answers("Well.").likes()
    assert [message["content"] for message in prompt_of(story).messages] == ["Why?", "One.", "And?"]


def test_empty_answers_leave_no_trace_and_roles_alternate() -> None:
    story = told("ann").asks("Why?").fails("").asks("Hello?").answers("Yes.").likes()
    assert prompt_of(story).messages == [{"role": "user", "content": "Why?\n\nHello?"}]


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_published_under_a_message_without_text(text: str) -> None:
    """The page takes none; a log that was written elsewhere may hold one."""
    story = told("ann").asks("Why?").answers("One.").likes()
    story.adds(MessageSent(message_id=story.id("q2"), parent_id=story.id("a1"), content=text))
    found = outcome(story.retries("Well.").likes().asks("Go on.").answers("So.").likes())
    assert found.labels == {"a1": True}
    assert found.excluded_for("prompt_empty") == [("a2",), ("a3",)]


def test_a_prompt_says_whether_a_person_wrote_some_of_it_and_which_models_did() -> None:
    story = told("ann").asks("Why?").answers("One.").asks("And?").answers("Well.").likes()
    assert (prompt_of(story).has_edits, prompt_of(story).models) == (False, ("org/small",))
    story = told("ann").asks("Why?").answers("One.").edits("Two.").asks("And?").answers("Well.").likes()
    assert (prompt_of(story).has_edits, prompt_of(story).models) == (True, ())


def test_equal_prompts_of_different_conversations_have_one_key() -> None:
    one = told("ann", "c1").asks("Why?").answers("One.").likes()
    two = told("bob", "c2").asks("Why?").answers("Two.").likes()
    other = told("bob", "c3", system_prompt="Be brief.").asks("Why?").answers("Two.").likes()
    assert prompt_of(one).key == prompt_of(two).key == prompt_key([{"role": "user", "content": "Why?"}])
    assert prompt_of(one).key != prompt_of(other).key


def test_the_language_is_the_conversations() -> None:
    assert prompt_of(told("ann", language="de").asks("Warum?").answers("Darum.").likes()).language == "de"


# ── split ──


def test_the_split_follows_from_the_earliest_opener_alone() -> None:
    for split in ("train", "test"):
        story = told("ann").asks(opener(split)).answers("One.").likes()
        story.asks(opener("train")).answers("Two.").likes().asks(opener("test")).answers("Three.").likes()
        assert {record.prompt.split for record in outcome(story, **HALF).derived.unpaired} == {split}


def test_case_and_white_space_do_not_change_the_split() -> None:
    story = told("ann").asks(f"  {opener('test').upper()} \n").answers("One.").likes()
    assert prompt_of(story, **HALF).split == "test"


def test_the_group_key_is_the_digest_of_the_openers_form() -> None:
    story = told("ann").asks("WHY  is it?").answers("One.").likes()
    assert prompt_of(story).group_key == sha256(opener_form("why is it?").encode()).hexdigest()


def test_a_branch_whose_opener_belongs_to_the_other_split_is_left_out() -> None:
    story = told("ann").asks(opener("train")).answers("One.").likes()
    story.rewrites(opener("test")).answers("Two.").likes().edits("Something else.")
    found = outcome(story, **HALF)
    assert found.labels == {"a1": True}
    assert (found.pairs, found.demonstrations) == ({}, {})
    assert sorted(found.excluded_for("split_conflict")) == [("a2",), ("a3",), ("a3", "a2")]


def test_a_branch_whose_opener_belongs_to_the_same_split_stays() -> None:
    story = told("ann").asks(opener("test")).answers("One.").likes()
    story.rewrites(opener("test", 1)).answers("Two.").likes()
    assert outcome(story, **HALF).labels == {"a1": True, "a2": True}


def test_a_turn_begun_anew_after_an_undo_is_such_a_branch() -> None:
    story = told("ann").asks(opener("train")).answers("One.").undoes().asks(opener("test")).answers("Two.").likes()
    assert outcome(story, **HALF).excluded_for("split_conflict") == [("a2",)]


def test_an_opener_that_swallowed_its_neighbour_is_judged_as_it_stands_in_the_prompt() -> None:
    merged = next(
        first for first in (opener("train", n) for n in range(9)) if split_of(f"{first}\n\nHm?", "salt", 50) == "test"
    )
    story = told("ann").asks(merged).fails("").asks("Hm?").answers("Two.").likes()
    assert outcome(story, **HALF).excluded_for("split_conflict") == [("a2",)]


def test_a_merged_system_prompt_does_not_move_a_conversation_to_the_other_split() -> None:
    for number in range(9):
        story = told("ann", system_prompt="Be brief.").asks(opener("train", number)).answers("One.").likes()
        assert prompt_of(story, system_prompt="merge", **HALF).split == "train"


def test_no_percent_and_all_percent_put_everything_on_one_side() -> None:
    story = told("ann").asks("Why?").answers("One.").likes()
    assert prompt_of(story, test_percent=0).split == "train"
    assert prompt_of(story, test_percent=100).split == "test"
