"""The command answers in a blink: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import labeler

HEAVY = {"datasets", "gradio", "huggingface_hub", "pandas", "pyarrow", "sqlalchemy", "xllamacpp"}
ASK = """
import sys
from labeler.cli import main
sys.argv = ["labeler", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("question", ["--version", "--help", "export --help"])
def test_a_question_about_the_command_loads_nothing_heavy(question: str) -> None:
    asked = subprocess.run([sys.executable, "-c", ASK, *question.split()], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert set(asked.stderr.split()) & HEAVY == set()


def test_the_version_is_the_packages() -> None:
    asked = subprocess.run([sys.executable, "-m", "labeler", "--version"], capture_output=True, text=True, check=True)
    assert asked.stdout.split()[-1] == labeler.__version__
