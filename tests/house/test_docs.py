"""Docs cannot lie: what they name exists, and what is generated is up to date."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labeler import errors
from tests.house import ROOT, tracked

PAGES = tracked("*.md")
CLI = ROOT / "docs" / "cli.md"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def shown_commands() -> list[tuple[str, str]]:
    """(page, command) for every `labeler ...` in a shell block or in backticks of a hand-written page."""
    commands = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"```(?:sh|console|bash)\n(.*?)```", text, re.S))
        inline = "\n".join(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S)))
        for line in f"{blocks}\n{inline}".splitlines():
            match = re.match(r"\s*(?:\$ )?(?:\.venv/bin/)?labeler ([a-z][^#|&;]*)", line)
            if match and page != CLI:
                commands.append((name_of(page), match[1].strip()))
    return commands


def test_the_command_reference_is_what_help_prints() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/cli_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_command_and_option_that_a_page_shows_exists() -> None:
    reference = CLI.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^#+ `labeler ([a-z ]+)`\n(.*?)(?=^#|\Z)", reference, re.M | re.S))
    unknown = []
    for page, command in shown_commands():
        name = next(
            (name for name in sorted(sections, key=len, reverse=True) if f"{command} ".startswith(f"{name} ")), None
        )
        options = re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", command)
        if name is None or any(option not in sections[name] for option in options):
            unknown.append(f"{page}: labeler {command}")
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_script_that_a_page_names_can_be_run(page: Path) -> None:
    named = set(re.findall(r"(?<![\w/])scripts/[a-z-]+(?![\w./-])", page.read_text(encoding="utf-8")))
    assert {script for script in named if not os.access(ROOT / script, os.X_OK)} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_of_a_page_is_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        compile(block, name_of(page), "exec")


def test_every_decision_is_titled_as_a_question() -> None:
    titles = {
        name_of(page): page.read_text(encoding="utf-8").splitlines()[0] for page in tracked("docs/decisions/0*.md")
    }
    assert {name: title for name, title in titles.items() if not re.fullmatch(r"# .+\?", title)} == {}


def test_every_error_stands_in_the_picture_of_errors_with_its_meaning() -> None:
    picture = inspect.getdoc(errors) or ""
    kinds = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}
    assert {name for name, kind in kinds.items() if not kind.__doc__ or not re.search(rf"\b{name}\b", picture)} == set()
