"""What is needed to run Labeler for others: read as the tools that take it would, and run as far as that goes without
an engine for containers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house import ROOT

DEPLOY = ROOT / "deploy"


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile; ``words`` are its arguments, of the exec form or split as a shell would."""

    name: str
    text: str

    @property
    def exec_form(self) -> bool:
        return self.text.startswith("[")

    @property
    def words(self) -> list[str]:
        if self.exec_form:
            words: list[str] = json.loads(self.text)
            return words
        return shlex.split(self.text)

    @property
    def operands(self) -> list[str]:
        """The words that are no flags."""
        return [word for word in self.words if not word.startswith("--")]


def dockerfile(path: Path) -> list[Instruction]:
    """The instructions, in order: comments gone and continued lines joined, as the reference has it."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return list(_instructions(joined))


def _instructions(text: str) -> Iterator[Instruction]:
    for line in filter(str.strip, text.splitlines()):
        name, _, rest = line.partition(" ")
        yield Instruction(name, rest.strip())


def stages(instructions: list[Instruction]) -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for one in instructions:
        if one.name == "FROM":
            found.append([])
        found[-1].append(one)
    return found
