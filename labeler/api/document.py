"""The OpenAPI document of the API, made from its routes and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from labeler import __version__
from labeler.api.answers import ErrorAnswer
from labeler.api.routes import Route
from labeler.api.shapes import ID_PATTERN, KEY_PATTERN

REFUSALS = {
    401: "No token, or one that opens nothing here.",
    403: "The annotator has not accepted the consent text.",
    404: "No such conversation or message among those told with this token.",
    409: "The key was used for another gesture, or the conversation has moved on.",
    413: "The body is too long.",
    415: "The body is not said to be JSON.",
    422: "It cannot be read, or may not be done; nothing was stored.",
    429: "Too often.",
    503: "It could not be stored for now; send the same again.",
}
AGAIN = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
DESCRIPTION = (
    "Other front ends tell here what their annotators did. What is told is kept under the laws of the page: it is"
    " answered when it is on disk, and what is sent again with the same Idempotency-Key is stored once."
)


def document(prefix: str, routes: Sequence[Route]) -> dict[str, Any]:
    """The document of ``routes``, which are served under ``prefix``."""
    taken = [route.takes for route in routes if route.takes is not None]
    given = [ErrorAnswer, *(route.answers for route in routes)]
    models = [(model, "validation") for model in taken] + [(model, "serialization") for model in given]
    references, schemas = models_json_schema(
        list(dict.fromkeys(models)),  # type: ignore[arg-type]
        ref_template="#/components/schemas/{model}",
    )

    def schema(model: type[BaseModel], mode: str) -> dict[str, Any]:
        return references[model, mode]  # type: ignore[index]

    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        place = paths.setdefault(f"{prefix}{route.path}", {})
        place[route.method.lower()] = _operation(route, schema, schemas["$defs"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Labeler", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, schema: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": {
            "200": {"description": "Done.", "content": _json(schema(route.answers, "serialization"))},
            **{str(status): _refusal(status, schema(ErrorAnswer, "serialization")) for status in route.statuses},
        },
    }
    if route.takes is not None and route.method == "POST":
        operation["requestBody"] = {"required": True, "content": _json(schema(route.takes, "validation"))}
    elif route.takes is not None:
        properties = schemas.pop(route.takes.__name__)["properties"]
        operation["parameters"] += [
            {"name": name, "in": "query", "required": False, "schema": said} for name, said in properties.items()
        ]
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = []
    if "{" in route.path:
        plain = {"type": "string", "pattern": ID_PATTERN}
        found.append({"name": "conversation_id", "in": "path", "required": True, "schema": plain})
    if route.keyed:
        key = {"type": "string", "pattern": KEY_PATTERN}
        said = "New for each new gesture: sent again with the same key, it is stored once."
        found.append({"name": "Idempotency-Key", "in": "header", "required": True, "schema": key, "description": said})
    return found


def _refusal(status: int, error: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": REFUSALS[status], "content": _json(error)}
    return answer | ({"headers": AGAIN} if status in (429, 503) else {})


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _name(route: Route) -> str:
    words = [word for word in route.path.split("/") if word and not word.startswith("{")]
    verb = "read" if route.method == "GET" else "tell"
    return "_".join((verb, *words)) if words != ["conversations"] or verb == "tell" else "read_conversation"
