"""The OpenAPI document says what the API does: schemathesis calls it as the document says, and as it does not."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from labeler.api import PREFIX
from labeler.api.document import document
from labeler.api.routes import ROUTES, Route
from tests.api.conftest import FrontEnd, Served

EXAMPLES = 20
DOCUMENT = document(PREFIX, ROUTES)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
IDS = {"message_id": 2, "parent_id": 1, "retries": 2, "message_a": 2, "message_b": 3}
bounded = partial(
    settings, max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def known(served: Served) -> tuple[FrontEnd, tuple[str, ...]]:
    """A front end, its conversation, and there a question and two answers."""
    theirs = served.front_end("fuzzing")
    conversation, question, answer = theirs.exchange()
    return theirs, (conversation, question, answer, theirs.answered(conversation, "Rayleigh.", retries=answer))


def called(case: Case, theirs: FrontEnd) -> Any:
    headers = {"authorization": f"Bearer {theirs.token}"}
    return case.call(base_url=theirs.address, headers=headers)


def aim(case: Case, ids: tuple[str, ...]) -> None:
    """Name what is there, wherever something is named: else nothing but the door is tried."""
    if case.path_parameters:
        case.path_parameters["conversation_id"] = ids[0]
    if isinstance(case.body, dict):
        case.body.update({name: ids[place] for name, place in IDS.items() if name in case.body})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_what_is_called_as_documented_is_answered_as_documented(
    served: Served, known: tuple[FrontEnd, tuple[str, ...]], route: Route
) -> None:
    theirs, ids = known

    @bounded()
    @given(SCHEMA[PREFIX + route.path][route.method].as_strategy(), st.booleans())
    def call(case: Case, aimed: bool) -> None:
        if aimed:
            aim(case, ids)
        case.validate_response(called(case, theirs), checks=CHECKS)

    call()


@pytest.mark.parametrize("route", [one for one in ROUTES if one.takes], ids=lambda one: f"{one.method} {one.path}")
def test_what_is_called_otherwise_is_refused_and_stores_nothing(
    served: Served, known: tuple[FrontEnd, tuple[str, ...]], route: Route
) -> None:
    theirs, _ = known
    operation = SCHEMA[PREFIX + route.path][route.method]

    @bounded()
    @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def call(case: Case) -> None:
        before = served.store.position()
        response = called(case, theirs)
        case.validate_response(response, checks=[not_a_server_error, negative_data_rejection])
        if response.status_code != 200:
            assert served.store.position() == before
            assert "\n" not in response.json()["error"]

    call()


def test_the_document_is_served_to_everybody_and_is_one(theirs: FrontEnd) -> None:
    answer = httpx.get(f"{theirs.address}/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == DOCUMENT
    SCHEMA.validate()


def test_every_operation_has_a_name_and_every_schema_is_used() -> None:
    operations = [one for place in DOCUMENT["paths"].values() for one in place.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names)) == len(ROUTES)
    text = str(DOCUMENT)
    assert [name for name in DOCUMENT["components"]["schemas"] if f"/{name}'" not in text] == []
