"""Write docs/cli.md from what ``--help`` prints; with ``--check``, say whether it is up to date."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from labeler.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
OPENING = "# The command line\n\nWritten by `scripts/docs` from what `--help` prints.\n"
PLAIN = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command, groups before their members."""
    yield path
    for name, member in getattr(command, "commands", {}).items():
        yield from commands(member, (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    asked = [sys.executable, "-m", "labeler", *path, "--help"]
    said = subprocess.run(asked, env=os.environ | PLAIN, capture_output=True, text=True, check=True).stdout
    lines = [line.rstrip() for line in said.replace("python -m labeler", "labeler").strip().splitlines()]
    return "\n".join(lines)


def reference() -> str:
    sections = [
        f"\n## `{' '.join(('labeler', *path))}`\n\n```text\n{help_of(path)}\n```\n"
        for path in commands(get_command(app))
    ]
    return OPENING + "".join(sections)


def main() -> int:
    text = reference()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/cli.md is not what --help prints; run scripts/docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
