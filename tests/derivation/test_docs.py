"""docs/rules.md and docs/gestures.md say what the code does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from labeler.core.events import PAYLOADS, Adjudicated, AnswersFlagged, Compared, ReviewSkipped, Winner
from labeler.core.records import Derived
from labeler.core.rules import REASONS, RULES, Options
from labeler.core.rules.book import confidence_of
from labeler.core.rules.edits import MODERATE, SLIGHT, TINY
from labeler.core.rules.evidence import FLIP_COST, MOST_CONFIDENT, UNDONE_FACTOR
from labeler.study import DatasetSpec, RuleOptions
from tests.derivation import outcome
from tests.stories import Story, told, told_of

DOCS = Path(__file__).parents[2] / "docs"
RULE_ID = r"R\d+[a-z]?"


def tables(page: str) -> dict[str, list[list[str]]]:
    """The rows of every table of a page, by the first word of its head."""
    found: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", (DOCS / page).read_text(encoding="utf-8"), re.M):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        found[head[0]] = rows
    return found


# ── rules.md ──


def test_the_page_lists_the_rules_of_the_book_in_its_order() -> None:
    assert [row[0] for row in tables("rules.md")["rule"]] == list(RULES)


def test_the_page_names_each_rules_confidence_and_option() -> None:
    for rule_id, *_, confidence, default in tables("rules.md")["rule"]:
        rule = RULES[rule_id]
        if rule.confidence is not None:
            assert float(confidence) == rule.confidence
        assert default == (f"`{rule.option}`" if rule.option else "on")


def test_every_rule_from_1_to_32_is_there() -> None:
    numbers = {int(re.sub(r"\D", "", rule_id)) for rule_id in RULES}
    assert numbers == set(range(1, 33))


def test_a_rule_without_a_confidence_makes_no_record_of_its_own() -> None:
    with pytest.raises(ValueError, match="R7 makes no record"):
        confidence_of("R7")


def test_the_page_lists_the_reasons_of_the_book_with_their_rules() -> None:
    rows = {reason.strip("`"): (rule or "split", meaning) for reason, rule, meaning in tables("rules.md")["reason"]}
    assert rows == REASONS
    assert {rule for rule, _ in REASONS.values()} <= {*RULES, "split", "preflight", "redaction", "study"}


def test_the_page_lists_every_option_with_its_default() -> None:
    rows = {name.strip("`"): default.strip("`") for name, default, _ in tables("rules.md")["option"]}
    defaults = RuleOptions().model_dump()
    assert rows == {name: f"{value:g}" if _is_number(value) else str(value).lower() for name, value in defaults.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def test_the_options_of_the_rules_are_those_of_the_study_file() -> None:
    dataset = DatasetSpec()
    study = Options(**RuleOptions().model_dump(), test_percent=dataset.test_percent, salt=dataset.salt)
    assert study == Options()


@pytest.mark.parametrize("number", [TINY, SLIGHT, MODERATE, MOST_CONFIDENT])
def test_the_page_names_the_thresholds(number: float) -> None:
    assert f"{number:g}" in (DOCS / "rules.md").read_text(encoding="utf-8")


def test_the_page_says_what_flips_and_undo_cost() -> None:
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert f"{FLIP_COST:g} less confidence for each flip" in text
    assert UNDONE_FACTOR == 0.5
    assert "half the confidence" in text


# ── gestures.md ──


def asked() -> Story:
    return told("ann").asks("Why?").answers("Because of scattering, mostly.")


def retried() -> Story:
    return asked().retries("Because.")


def beside() -> Story:
    story = told("ann", mode="compare", model="")
    return story.asks_two("Why?").answers("Because.").answers("Because of scattering, mostly.")


def said(winner: Winner) -> Compared:
    """What a reviewer says of the two answers of a retry."""
    return Compared(message_a="c1.a1", message_b="c1.a2", winner=winner, strength=2, position="b_left")


# What happened before, and the gesture.
SCENES: dict[str, tuple[Callable[[], Story], Callable[[Story], Story]]] = {
    "Send": (asked, lambda story: story.asks("And?")),
    "an answer ends by itself": (lambda: told("ann").asks("Why?"), lambda story: story.answers("Because.")),
    "Stop": (lambda: told("ann").asks("Why?"), lambda story: story.stopped("Bec")),
    "the model fails": (lambda: told("ann").asks("Why?"), lambda story: story.fails("Bec")),
    "Like": (asked, lambda story: story.likes()),
    "Dislike": (asked, lambda story: story.dislikes()),
    "a second click on the same thumb": (lambda: asked().likes(), lambda story: story.withdraws()),
    "a click on the other thumb": (lambda: asked().likes(), lambda story: story.dislikes()),
    "Save reason": (lambda: asked().likes(), lambda story: story.explains("clear")),
    "Edit an answer": (asked, lambda story: story.edits("No idea.")),
    "Edit a disliked answer": (lambda: asked().dislikes(), lambda story: story.edits("No idea.")),
    "Edit a liked answer": (lambda: asked().likes(), lambda story: story.edits("No idea.")),
    "Edit the rewrite": (lambda: asked().edits("Hm."), lambda story: story.edits("No idea.")),
    "Dislike the rewrite": (lambda: asked().edits("Hm."), lambda story: story.dislikes()),
    "Edit one's own message": (asked, lambda story: story.rewrites("How?")),
    "Retry": (asked, lambda story: story.retries()),
    "Better": (retried, lambda story: story.better()),
    "Worse": (retried, lambda story: story.worse()),
    "About the same": (retried, lambda story: story.about_the_same()),
    "the same choice again": (lambda: retried().better(), lambda story: story.compares(None)),
    "Like one answer, dislike its sibling": (retried, lambda story: story.likes("a2").dislikes("a1")),
    "Previous answer, Next answer": (retried, lambda story: story.selects("a1")),
    "Undo": (asked, lambda story: story.undoes()),
    "Undo after a like": (lambda: asked().likes(), lambda story: story.undoes()),
    "Undo within seconds of a like": (lambda: asked().likes(), lambda story: story.after(3).undoes()),
    "Undo a rewrite": (lambda: asked().edits("No idea."), lambda story: story.undoes()),
    "Clear": (asked, lambda story: story.clears()),
    "New conversation": (asked, lambda story: story),
    "Send (side by side)": (lambda: beside().chooses("b"), lambda story: story.asks_two("And?")),
    "A is better (side by side)": (beside, lambda story: story.chooses("a")),
    "Both are bad (side by side)": (beside, lambda story: story.chooses("both_bad")),
    "a reviewer chooses the other answer": (lambda: retried().better().by("bob"), lambda story: story.adds(said("a"))),
    "a reviewer agrees": (lambda: retried().better().by("bob"), lambda story: story.adds(said("b"))),
    "a reviewer skips": (
        lambda: retried().better().by("bob"),
        lambda story: story.adds(ReviewSkipped(message_a="c1.a1", message_b="c1.a2")),
    ),
    "a reviewer flags": (
        lambda: retried().better().by("bob"),
        lambda story: story.adds(AnswersFlagged(message_a="c1.a1", message_b="c1.a2", flag="unsafe")),
    ),
    "a dispute is adjudicated": (
        lambda: retried().better().by("bob").adds(said("a")).by("eve"),
        lambda story: story.adds(Adjudicated(message_a="c1.a1", message_b="c1.a2", verdict="a", strength=2)),
    ),
    "Add to my account": (asked, lambda story: story.adopted_by("account")),
}
CONSENT = {
    "Accept the consent text": told_of("ann").consents(),
    "Withdraw consent": told_of("ann").consents().withdraws_consent(),
}
FIRST = "Send (the first)"


def made(derived: Derived) -> set[tuple[str, str]]:
    """The records, as (config, source), and the rules that shaped labels."""
    labels = {("kto", rule) for one in derived.unpaired for rule in one.grounds.sources}
    pairs = {("dpo", one.grounds.source) for one in derived.pairs}
    return labels | pairs | {("sft", one.grounds.source) for one in derived.demonstrations}


def promised(cell: str) -> set[tuple[str, str]]:
    """The same from a table cell: every rule in brackets behind the name of a trainer's config."""
    return {
        (config, rule)
        for config, rules in re.findall(rf"`(dpo|kto|sft)`[^(`]*\(({RULE_ID}(?:, {RULE_ID})*)\)", cell)
        for rule in rules.split(", ")
    }


ROWS = {row[0]: row for row in tables("gestures.md")["gesture"]}


def test_every_gesture_of_the_page_has_a_row() -> None:
    assert {FIRST, *SCENES, *CONSENT} == ROWS.keys()


@pytest.mark.parametrize("gesture", SCENES)
def test_a_gesture_becomes_the_events_of_its_row(gesture: str) -> None:
    before, make = SCENES[gesture]
    story = before()
    already = len(story.events)
    kinds = [event.payload.kind for event in make(story).events[already:]]
    assert kinds == re.findall(r"`(\w+)`", ROWS[gesture][1])


@pytest.mark.parametrize("gesture", SCENES)
def test_a_gesture_becomes_the_records_of_its_row(gesture: str) -> None:
    before, make = SCENES[gesture]
    assert made(outcome(make(before())).derived) - _from_before(gesture) == promised(ROWS[gesture][2])


def _from_before(gesture: str) -> set[tuple[str, str]]:
    """What the scene had made already, and the gesture leaves as it was."""
    return {"Save reason": {("kto", "R2")}, "Send (side by side)": {("dpo", "R22")}}.get(gesture, set())


@pytest.mark.parametrize("gesture", CONSENT)
def test_consent_is_an_event_of_the_annotators_own_stream(gesture: str) -> None:
    assert CONSENT[gesture].events[-1].payload.kind == ROWS[gesture][1].strip("`")
    assert CONSENT[gesture].events[-1].conversation_id == "ann"


def test_the_first_send_begins_the_conversation() -> None:
    kinds = [event.payload.kind for event in told("ann").asks("Why?").events]
    assert kinds == re.findall(r"`(\w+)`", ROWS[FIRST][1])


def test_the_page_names_every_event_that_a_gesture_makes() -> None:
    named = {kind for row in ROWS.values() for kind in re.findall(r"`(\w+)`", row[1])}
    made_otherwise = {"log_started", "annotator_excluded", "annotator_included", "erased", "span_reviewed"}
    assert named == {payload.kind for payload in PAYLOADS} - made_otherwise


@pytest.mark.parametrize("gesture", [one for one, row in ROWS.items() if row[2].startswith("nothing")])
def test_a_gesture_that_becomes_nothing_promises_nothing(gesture: str) -> None:
    assert promised(ROWS[gesture][2]) == set()
    assert set(re.findall(RULE_ID, ROWS[gesture][2])) <= RULES.keys()
