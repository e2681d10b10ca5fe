"""No question that the page or an export asks reads the whole log: SQLite says itself how it would go about each."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Select, event
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
}
QUESTIONS = {
    name: question
    for name, question in vars(queries).items()
    if isinstance(question, Select | CompoundSelect) and not name.startswith("_")
}


def plan_of(store: Store, question: Any) -> list[str]:
    asked: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    with store.database.reading() as connection:
        event.listen(connection, "before_cursor_execute", listen)
        connection.execute(question, PARAMETERS)
        statement, parameters = asked[0]
        return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_scans_a_table(store: Store, name: str, analyzed: bool) -> None:
    store.extend(votes(f"c{number}", 20, annotator=f"ann{number % 10}") for number in range(50))
    if analyzed:
        with store.database.writing() as connection:
            connection.exec_driver_sql("ANALYZE")
    plan = plan_of(store, QUESTIONS[name])
    assert plan
    assert [step for step in plan if step.startswith("SCAN") and step != "SCAN CONSTANT ROW"] == []


def test_what_is_dirty_is_found_through_what_is_new(store: Store) -> None:
    plan = " | ".join(plan_of(store, queries.dirty))
    assert "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan
    assert "SEARCH events USING INDEX events_about_annotators (position>? AND position<?)" in plan
    assert "SEARCH touches USING PRIMARY KEY (annotator_id=?)" in plan


def test_tombstones_are_counted_without_the_rest(store: Store) -> None:
    assert plan_of(store, queries.tombstones) == [
        "SEARCH events USING INDEX events_about_annotators (position>? AND position<?)"
    ]


def test_a_page_of_a_scan_begins_where_the_last_one_ended(store: Store) -> None:
    assert plan_of(store, queries.in_order) == ["SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]
