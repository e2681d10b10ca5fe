"""What a room exports is written at its door, and exists."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from tests.house import ROOT, tracked

ROOMS = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in tracked("labeler/*/__init__.py")
    if "__all__" in path.read_text(encoding="utf-8")
)
DOORS = {"labeler.chat", "labeler.hub", "labeler.models", "labeler.page", "labeler.store"}


def test_every_room_that_others_enter_has_a_door() -> None:
    assert set(ROOMS) >= DOORS


@pytest.mark.parametrize("room", ROOMS)
def test_every_exported_name_exists_once_and_is_public(room: str) -> None:
    names = importlib.import_module(room).__all__
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("_") or not hasattr(importlib.import_module(room), name)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_exported_function_and_class_says_what_it_does(room: str) -> None:
    module = importlib.import_module(room)
    exported = {name: getattr(module, name) for name in module.__all__}
    callables = {name: thing for name, thing in exported.items() if inspect.isfunction(thing) or inspect.isclass(thing)}
    assert [name for name, thing in callables.items() if not (thing.__doc__ or "").strip()] == []


@pytest.mark.parametrize("path", tracked("labeler/*.py"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_begins_with_its_one_job(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith('"""')
