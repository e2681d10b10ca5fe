"""Payloads as JSON and back: the form in which events are stored, dumped and digested.

A body carries its schema version as ``v``; older versions are upcast when they are read, unknown kinds and unknown keys
are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from labeler.core.events import KINDS, LARGEST, PAYLOADS, Compared, Payload
from labeler.errors import LogError

_FIELDS = {payload.kind: tuple(field.name for field in fields(payload)) for payload in PAYLOADS}
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _untimed(body: dict[str, Any]) -> dict[str, Any]:
    """Nobody measured how long a comparison took."""
    return body | {"seen_a_ms": None, "seen_b_ms": None, "decision_ms": None}


# (kind, version) -> a function from that version's body to the next one's.
UPCASTS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {(Compared.kind, 1): _untimed}


def body_of(payload: Payload) -> dict[str, Any]:
    """The JSON body of a payload: its fields and ``v``. Tuples become lists."""
    body: dict[str, Any] = {"v": payload.version}
    for name in _FIELDS[payload.kind]:
        value = getattr(payload, name)
        body[name] = list(value) if isinstance(value, tuple) else value
    return body


def body_json(payload: Payload) -> str:
    """The stored form of a body. Equal payloads give equal strings."""
    return canonical_json(body_of(payload))


def canonical_json(body: Mapping[str, Any]) -> str:
    """JSON in the one form in which bodies are stored: sorted keys, no spaces, text as it is.

    Raises:
        ValueError: a number that JSON has no form for.
    """
    return _CANONICAL.encode(body)


def decode(kind: str, body: Mapping[str, Any]) -> Payload:
    """Build a payload from a body that the store wrote itself; old versions are upcast.

    Raises:
        LogError: an unknown kind, an unknown version, a missing or an unknown key.
    """
    payload = KINDS.get(kind)
    if payload is None:
        raise LogError(f"unknown event kind '{kind}': written by a newer version of labeler? update it")
    members = dict(body)
    version = members.pop("v", None)
    while version != payload.version:
        upcast = UPCASTS.get((kind, version)) if isinstance(version, int) else None
        if upcast is None:
            raise LogError(f"event kind '{kind}' has unknown body version {version!r}: update labeler")
        members = upcast(members)
        version += 1
    for name in _TUPLES[kind]:
        if isinstance(members.get(name), list):
            members[name] = tuple(members[name])
    try:
        return payload(**members)
    except TypeError as error:
        raise LogError(f"event kind '{kind}': {_misfit(payload, members)}") from error


def parse(kind: str, body: object) -> Payload:
    """Like ``decode``, for bodies from outside: every value's type is checked as well.

    Raises:
        LogError: as ``decode``, or a value of the wrong type.
    """
    if not isinstance(body, dict):
        raise LogError(f"the body of event kind '{kind}' must be a JSON object")
    payload = decode(kind, body)
    for name, allowed in _CHECKS[kind].items():
        if not allowed(getattr(payload, name)):
            raise LogError(f"event kind '{kind}': key '{name}' has a wrong value or type")
    return payload


def _misfit(payload: type[Payload], members: Mapping[str, Any]) -> str:
    """Which of a body's keys keep it from being one of its kind."""
    if unknown := sorted(members.keys() - _FIELDS[payload.kind]):
        return f"unknown key '{unknown[0]}'"
    needed = [field.name for field in fields(payload) if field.default is MISSING]
    return f"key '{next(name for name in needed if name not in members)}' is missing"


def _checker(hint: Any) -> Callable[[Any], bool]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        checks = [_checker(argument) for argument in arguments]
        return lambda value: any(check(value) for check in checks)
    if origin is Literal:
        return lambda value: not isinstance(value, bool) and value in arguments
    if origin is tuple:
        return lambda value: isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    if hint is NoneType:
        return lambda value: value is None
    if hint is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    return lambda value: isinstance(value, Mapping if origin is not None else hint)


def _checks(payload: type[Payload]) -> dict[str, Callable[[Any], bool]]:
    hints = get_type_hints(payload)
    return {field.name: _checker(hints[field.name]) for field in fields(payload)}


_CHECKS = {payload.kind: _checks(payload) for payload in PAYLOADS}
_TUPLES = {
    payload.kind: {field.name for field in fields(payload) if str(field.type).startswith("tuple")}
    for payload in PAYLOADS
}
