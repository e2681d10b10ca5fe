"""Study files: all load, and the example explains every key of the model as the model has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from labeler.study import Study, load_study
from tests.house import ROOT

EXAMPLE = ROOT / "configs" / "example.yaml"
UNSTATED = (None, "", (), PydanticUndefined)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        if part not in (NoneType, ...):
            yield from models_in(part)


def keys_of(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Every key a study file may hold, dotted, with its default; the kinds of models share one level."""
    keys: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        keys[prefix + name] = field.default
        for inner in models_in(field.annotation):
            keys |= keys_of(inner, f"{prefix}{name}.")
    return keys


def keys_in(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Every key that a YAML tree holds, dotted, with its line (from 0)."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from keys_in(entry, prefix)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield prefix + key.value, key.start_mark.line
            yield from keys_in(value, f"{prefix}{key.value}.")


def example_keys() -> dict[str, int]:
    keys: dict[str, int] = {}
    for key, line in keys_in(yaml.compose(EXAMPLE.read_text(encoding="utf-8"))):
        keys.setdefault(key, line)
    return keys


def comment_at(lines: list[str], line: int) -> str:
    """What is said of the key on that line: behind it, and in the comment lines right above it."""
    said = [lines[line].partition(" # ")[2]]
    while line and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        said.insert(0, lines[line].lstrip()[2:])
    return " ".join(said).strip()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").iterdir()), ids=lambda path: path.name)
def test_every_config_loads(path: Path) -> None:
    assert isinstance(load_study(path), Study)


def test_the_default_study_needs_no_key_no_login_and_no_network() -> None:
    study = load_study(ROOT / "configs" / "local.yaml")
    assert [model.kind for model in study.models] == ["local"]
    assert study.auth.kind == "none"
    assert study.database_url.startswith("sqlite:///")


def test_the_example_has_every_key_of_the_model_and_no_other() -> None:
    assert set(example_keys()) == set(keys_of(Study))


def test_every_key_of_the_example_is_explained() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert [key for key, line in example_keys().items() if not comment_at(lines, line)] == []


def test_the_example_states_the_defaults_that_the_model_has() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    stated, meant = {}, {}
    for key, line in example_keys().items():
        default = keys_of(Study)[key]
        if default in UNSTATED or isinstance(default, BaseModel):
            continue
        said = re.search(r"default: (.+?)$", comment_at(lines, line))
        stated[key] = yaml.safe_load(said[1]) if said else "nothing"
        meant[key] = list(default) if isinstance(default, tuple) else default
    assert stated == meant
