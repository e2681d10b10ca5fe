"""Modules and functions stay small enough to be read in one go. Going over needs a line here, with its reason."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import pytest

from tests.house import ROOT, tracked

MODULE_LINES = 450
FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 12
LARGER_MODULES: dict[str, int] = {}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> list[Function]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", tracked("labeler/*.py"), ids=name_of)
def test_no_module_is_longer_than_its_budget(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LARGER_MODULES.get(name_of(path), MODULE_LINES)


def test_no_function_is_longer_than_a_screen() -> None:
    sources = tracked("labeler/*.py", "scripts/*.py", "tests/*.py")
    long = {f"{name_of(path)}:{function.name}": lines_of(function) for path in sources for function in functions(path)}
    assert {name: lines for name, lines in long.items() if lines > FUNCTION_LINES} == {}


def test_half_of_all_functions_are_shorter_than_a_dozen_lines() -> None:
    assert (
        median(lines_of(function) for path in tracked("labeler/*.py") for function in functions(path))
        < MEDIAN_FUNCTION_LINES
    )
