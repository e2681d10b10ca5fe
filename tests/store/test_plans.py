"""No question that the page or an export asks reads the whole log: the database itself says how it would answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Select, event
from sqlalchemy.sql import CompoundSelect

from labeler.store import Store, queries
from tests.store.made import votes

PARAMETERS: dict[str, Any] = {
    "after": 3,
    "upto": 9,
    "annotator_id": "ann1",
    "conversation_ids": ["c1", "c2"],
    "event_id": "c1-1",
    "event_ids": ["c1-1", "c2-1"],
    "first": 0,
    "last": 2,
    "limit": 5,
    "mode": "chat",
    "position": 4,
    "seq": 1,
    "stream_id": "c1",
    "stream_ids": ["c1", "c2"],
}
QUESTIONS = {
    name: question
    for name, question in vars(queries).items()
    if isinstance(question, Select | CompoundSelect) and not name.startswith("_")
}


@contextmanager
def asked_as(store: Store, question: Any) -> Iterator[tuple[Connection, str, Any]]:
    """A question as the driver is given it: text and parameters."""
    asked: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    with store.database.reading() as connection:
        event.listen(connection, "before_cursor_execute", listen)
        connection.execute(question, PARAMETERS)
        yield connection, *asked[0]


def plan_of(store: Store, question: Any) -> list[str]:
    with asked_as(store, question) as (connection, statement, parameters):
        return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


def scanned(node: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan of PostgreSQL reads from end to end."""
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for inner in node.get("Plans", ()):
        yield from scanned(inner)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("name", QUESTIONS.keys() - {"late"})
def test_no_question_scans_a_table(store: Store, name: str, analyzed: bool) -> None:
    store.extend(votes(f"c{number}", 20, annotator=f"ann{number % 10}") for number in range(50))
    if analyzed:
        with store.database.writing() as connection:
            connection.exec_driver_sql("ANALYZE")
    plan = plan_of(store, QUESTIONS[name])
    assert plan
    assert [step for step in plan if step.startswith("SCAN") and step != "SCAN CONSTANT ROW"] == []


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("name", QUESTIONS)
def test_postgresql_can_answer_every_question_by_an_index(store: Store, name: str) -> None:
    """Of small tables it would rather read all; told to avoid that, it does so only where there is no other way."""
    store.extend(votes(f"c{number}", 20, annotator=f"ann{number % 10}") for number in range(50))
    store.position()
    with asked_as(store, QUESTIONS[name]) as (connection, statement, parameters):
        connection.exec_driver_sql("SET enable_seqscan = off")
        (plan,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
        connection.exec_driver_sql("RESET enable_seqscan")
    assert list(scanned(plan["Plan"])) == []


@pytest.mark.databases("sqlite")
def test_what_is_dirty_is_found_through_what_is_new(store: Store) -> None:
    plan = " | ".join(plan_of(store, queries.dirty))
    assert "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan
    assert "SEARCH events USING INDEX events_about_annotators (position>? AND position<?)" in plan
    assert "SEARCH touches USING PRIMARY KEY (annotator_id=?)" in plan


@pytest.mark.databases("sqlite")
def test_tombstones_are_counted_without_the_rest(store: Store) -> None:
    assert plan_of(store, queries.tombstones) == [
        "SEARCH events USING INDEX events_about_annotators (position>? AND position<?)"
    ]


@pytest.mark.databases("sqlite")
def test_a_page_of_a_scan_begins_where_the_last_one_ended(store: Store) -> None:
    assert plan_of(store, queries.in_order) == ["SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]
