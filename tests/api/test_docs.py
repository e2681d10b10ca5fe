"""docs/api.md says what the API does, and what it shows works; docs/gestures.md says what is told becomes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from labeler.api import shapes
from labeler.api.document import REFUSALS
from labeler.api.front import KEY
from labeler.api.routes import MAX_BODY, MAX_BULK, ROUTES
from labeler.chat import intake
from labeler.client import COMES_AGAIN
from tests.api.conftest import FrontEnd, Served, api_over

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "api.md").read_text(encoding="utf-8")


def rows(page: str, head: str) -> list[list[str]]:
    """The rows of the table whose first column is called so."""
    table = re.search(rf"^\| {head} \|.*\n\|.*\n((?:\|.*\n)+)", page, re.M)
    assert table
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def test_the_page_lists_every_route_and_no_other() -> None:
    assert {row[0].strip("`| ") for row in rows(PAGE, "route")} == {f"{route.method} {route.path}" for route in ROUTES}


def test_the_page_lists_every_refusal() -> None:
    assert {int(row[0].strip("| ")) for row in rows(PAGE, "status")} == {*REFUSALS, 405}


def test_the_page_names_the_bounds() -> None:
    for number in (f"{intake.MAX_ANSWER:,}", f"{shapes.MOST_GESTURES:,}"):
        assert number in PAGE
    assert (MAX_BODY, MAX_BULK) == (2**20, 2**22)
    assert "more than 1 MiB, or 4 MiB in bulk" in PAGE
    assert KEY.pattern == r"^[A-Za-z0-9_-]{8,64}$"
    assert "8 to 64 letters, digits, dashes and underscores" in PAGE
    named = re.search(r"with ((?:\d+, )+\d+ or \d+), is", " ".join(PAGE.split()))
    assert named
    assert {int(number) for number in re.findall(r"\d+", named[1])} == set(COMES_AGAIN)


def test_every_body_that_the_page_shows_is_taken(tmp_path: Path) -> None:
    with api_over(tmp_path, consent={"version": "1", "text": "May we?"}) as served:
        theirs = served.front_end()
        shown = {
            row[0].strip("`| ").partition(" ")[2]: re.findall(r"`(\{.*?\})`", row[1]) for row in rows(PAGE, "route")
        }
        consent = json.loads(shown.pop("/consents")[0])
        theirs.tell("consents", consent)
        begun = theirs.tell("conversations", json.loads(shown.pop("/conversations")[0]))["conversation_id"]
        ids = {"MESSAGE": theirs.asked(begun)}
        ids["ANSWER"] = theirs.answered(begun)
        ids["OTHER"] = theirs.answered(begun, "Rayleigh.", retries=ids["ANSWER"])
        told = 0
        for path, bodies in shown.items():
            for body in bodies:
                told += tells(theirs, begun, path.rpartition("/")[2], json.loads(body), ids)
        assert told == len(shapes.GESTURES)


def tells(theirs: FrontEnd, conversation: str, noun: str, body: Any, ids: dict[str, str]) -> int:
    """Tell what the page shows, with ids that are there."""
    if noun == "ends":
        again = theirs.tell("replies", {"model": "m", "retries": ids["ANSWER"]}, conversation)
        ids = ids | {"ANSWER": again["message_id"]}
    if noun == "replies":
        theirs.asked(conversation, "And?")
    if noun == "messages":
        assert theirs.tell(noun, body, conversation)["event_ids"]
        return 1
    if noun == "undos":
        conversation = theirs.begin("ada")
        ids = ids | {"MESSAGE": theirs.asked(conversation)}
    if noun == "clears":
        conversation, _, _ = theirs.exchange("ada")
    said = {name: ids.get(value, value) if isinstance(value, str) else value for name, value in body.items()}
    if noun == "reasons":
        theirs.tell("votes", {"message_id": ids["ANSWER"], "value": -1}, conversation)
    assert theirs.tell(noun, said, conversation)["event_ids"], noun
    return 1


def test_the_story_in_python_and_the_call_in_bulk_work(served: Served, theirs: FrontEnd) -> None:
    (python,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    code = python.replace("http://127.0.0.1:7860", theirs.address)
    exec(compile(code, "docs/api.md", "exec"), {"token": theirs.token})
    (bulk,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    answer = theirs.call("POST", "/bulk", json.loads(bulk))
    assert [one["status"] for one in answer.json()["outcomes"]] == [200] * 4
    kinds = [event["kind"] for event in theirs.read("/events")["events"]]
    assert kinds.count("vote_cast") == 2
    assert kinds.count("compared") == 1


# ── gestures.md ──

TOLD = {row[0].strip("| "): row[1] for row in rows((DOCS / "gestures.md").read_text(encoding="utf-8"), "told")}
SAID: dict[str, dict[str, Any]] = {
    "`messages`": {"content": "And?"},
    "`replies`": {"model": "m", "retries": "ANSWER", "end": {"content": "Hm."}},
    "`replies` without `end`": {"model": "m", "retries": "ANSWER"},
    "`ends`": {"message_id": "OPEN", "end": {"content": "Hm."}},
    "`edits` of an answer": {"message_id": "ANSWER", "content": "Hm."},
    "`edits` of a message": {"message_id": "MESSAGE", "content": "How?"},
    "`selections`": {"message_id": "ANSWER"},
    "`undos`": {"message_id": "MESSAGE"},
    "`clears`": {},
    "`votes` with 1 or -1": {"message_id": "OTHER", "value": -1},
    "`votes` with 0": {"message_id": "ANSWER", "value": 0},
    "`reasons`": {"message_id": "ANSWER", "comment": "clear"},
    "`comparisons`": {"message_a": "ANSWER", "message_b": "OTHER", "winner": "tie"},
    "`comparisons` without a winner": {"message_a": "ANSWER", "message_b": "THIRD", "winner": None},
}


def test_every_noun_of_the_api_has_a_row() -> None:
    assert {row.split("`")[1] for row in TOLD} == {"conversations", "consents", *(one.noun for one in shapes.GESTURES)}
    assert {*SAID, "`conversations`", "`consents`", "`consents` without a version"} == set(TOLD)


@pytest.mark.parametrize("row", SAID)
def test_what_is_told_becomes_the_events_of_its_row(served: Served, theirs: FrontEnd, row: str) -> None:
    conversation, question, answer = theirs.exchange()
    third = theirs.answered(conversation, "Third.", retries=answer)
    ids = {
        "MESSAGE": question,
        "ANSWER": answer,
        "THIRD": third,
        "OPEN": theirs.tell("replies", {"model": "m", "retries": answer}, conversation)["message_id"],
        "OTHER": theirs.answered(conversation, "Rayleigh.", retries=answer),
    }
    theirs.tell("votes", {"message_id": answer, "value": 1}, conversation)
    theirs.tell("comparisons", {"message_a": answer, "message_b": third, "winner": "a"}, conversation)
    before = len(served.kinds(conversation))
    said = {name: ids.get(value, value) if isinstance(value, str) else value for name, value in SAID[row].items()}
    theirs.tell(row.split("`")[1], said, conversation)
    assert served.kinds(conversation)[before:] == re.findall(r"`(\w+)`", TOLD[row])
