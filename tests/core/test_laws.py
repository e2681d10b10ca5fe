"""No record that breaks a law leaves derivation, and each that is held back stands in the ledger."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.laws import UNFINISHED, Preflight, answer_problem, ids_of, problem_of
from labeler.core.records import Derived, Exclusion
from labeler.core.rules import Options, derive
from labeler.core.standing import Standing
from tests.stories import told


def yielded() -> Derived:
    """Two pairs' worth of everything: records for dpo, kto and sft."""
    story = told(system_prompt="Be kind.").asks("Why?").answers("Because.").dislikes()
    story.retries("Since it is so.").better().likes().asks("And?").answers("No.").edits("Yes, it is.")
    return derive(story.conversation, Standing(), Options(test_percent=0))


def checked(derived: Derived) -> Derived:
    Preflight().check(derived)
    return derived


def with_answer(record: Any, side: str, text: str) -> Any:
    return record._replace(**{side: getattr(record, side)._replace(content=text)})


def with_prompt(record: Any, *messages: tuple[str, str]) -> Any:
    chat = [{"role": role, "content": content} for role, content in messages]
    return record._replace(prompt=record.prompt._replace(messages=chat))


def test_what_the_rules_make_passes_as_it_is() -> None:
    derived = yielded()
    before = copy.deepcopy(derived)
    assert before.pairs
    assert before.unpaired
    assert before.demonstrations
    assert checked(derived) == before


BROKEN_TEXTS = ["", " \n\t", f"It was{UNFINISHED}", UNFINISHED]
BROKEN_PROMPTS: list[list[tuple[str, str]]] = [
    [],
    [("system", "Be kind.")],
    [("assistant", "Hello.")],
    [("user", "Why?"), ("assistant", "So.")],
    [("user", "Why?"), ("user", "Why?")],
    [("user", "Why?"), ("system", "Be kind."), ("user", "Why?")],
    [("user", "  ")],
    [("user", "Why?"), ("assistant", ""), ("user", "Why?")],
    [("bot", "Why?")],
]


@pytest.mark.parametrize("text", BROKEN_TEXTS)
@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_pair_with_a_broken_answer_is_held_back(side: str, text: str) -> None:
    derived = yielded()
    derived.pairs[0] = with_answer(derived.pairs[0], side, text)
    held = ids_of(derived.pairs[0])
    assert held not in map(ids_of, checked(derived).pairs)
    assert Exclusion(held, "preflight", "malformed") in derived.ledger


@pytest.mark.parametrize("text", BROKEN_TEXTS)
@pytest.mark.parametrize("kind", ["unpaired", "demonstrations"])
def test_a_broken_answer_alone_is_held_back(kind: str, text: str) -> None:
    derived = yielded()
    records = getattr(derived, kind)
    before = len(records)
    records[0] = with_answer(records[0], "completion", text)
    checked(derived)
    assert len(records) == before - 1
    assert derived.excluded["malformed"] == 1


@pytest.mark.parametrize("prompt", BROKEN_PROMPTS)
@pytest.mark.parametrize("kind", ["pairs", "unpaired", "demonstrations"])
def test_a_record_under_a_broken_prompt_is_held_back(kind: str, prompt: list[tuple[str, str]]) -> None:
    derived = yielded()
    records = getattr(derived, kind)
    before = len(records)
    records[0] = with_prompt(records[0], *prompt)
    checked(derived)
    assert len(records) == before - 1
    assert derived.excluded["malformed"] == 1


def test_a_pair_of_one_text_is_held_back() -> None:
    derived = yielded()
    pair = derived.pairs[0]
    derived.pairs[0] = with_answer(pair, "rejected", pair.chosen.content)
    assert problem_of(derived.pairs[0]) == "chosen is rejected"
    checked(derived)
    assert derived.excluded["malformed"] == 1


@pytest.mark.parametrize("kind", ["pairs", "unpaired", "demonstrations"])
def test_a_record_that_stands_twice_is_kept_once(kind: str) -> None:
    derived = yielded()
    records = getattr(derived, kind)
    before = list(records)
    records.append(before[0])
    checked(derived)
    assert records == before
    assert derived.excluded["malformed"] == 1


@given(st.text(max_size=20))
def test_an_answer_is_sound_if_it_has_a_text_and_is_finished(text: str) -> None:
    assert (answer_problem(text) is None) == (bool(text.strip()) and not text.endswith(UNFINISHED))


@given(st.lists(st.sampled_from(["sound", "empty", "unfinished", "twice"]), max_size=12))
def test_every_record_is_kept_or_counted(fates: list[str]) -> None:
    template = yielded().pairs[0]
    derived = Derived()
    for number, fate in enumerate(fates):
        record = template._replace(chosen=template.chosen._replace(message_id=f"m{number}"))
        text = {"empty": "", "unfinished": UNFINISHED}.get(fate, template.chosen.content)
        derived.pairs.extend([with_answer(record, "chosen", text)] * (2 if fate == "twice" else 1))
    offered = len(derived.pairs)
    checked(derived)
    assert len(derived.pairs) == sum(fate in ("sound", "twice") for fate in fates)
    assert len(derived.pairs) + derived.excluded["malformed"] == offered
    assert all(problem_of(pair) is None for pair in derived.pairs)
