"""How the command answers: versions, help, exit codes, pipes, interruptions."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labeler import __version__, cli
from labeler.cli import proving
from tests.cli.conftest import Run, Said, command, environment, write_study

COMMANDS = [
    *(each.__name__ for each in cli.COMMANDS),
    *(f"log {each.__name__}" for each in cli.LOG_COMMANDS),
    *(f"redaction {name}" for name in cli.REDACTION_COMMANDS),
]


def test_the_version_is_one_line(run: Run) -> None:
    assert run("--version") == Said(0, f"labeler {__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_a_study_and_a_database(run: Run, name: str) -> None:
    said = run(*name.split(), "--help")
    assert said.code == 0
    assert "--config FILE" in said.out
    assert "--database URL" in said.out


def test_no_command_at_all_shows_the_commands(run: Run) -> None:
    said = run()
    assert said.code == 2
    assert all(name.split()[0] in said.out + said.err for name in COMMANDS)


@pytest.mark.parametrize(
    "usage",
    [
        ["nonsense"],
        ["export", "--nonsense"],
        ["simulate"],
        ["simulate", "--conversations", "many"],
        ["simulate", "--conversations", "-1"],
        ["simulate", "--conversations", "1", "--annotators", "0"],
        ["serve", "--port", "65536"],
        ["diff", "a", "b", "c"],
        ["log"],
        ["log", "load"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_two_and_does_nothing(run: Run, place: Path, usage: list[str]) -> None:
    before = sorted(place.rglob("*"))
    said = run(*usage)
    assert (said.code, sorted(place.rglob("*"))) == (2, before)
    assert "Usage: labeler" in said.out + said.err


def test_a_fault_of_ours_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr(proving, "study_of", broken)
    assert run("stats").line == "unexpected KeyError: 'no such thing'; LABELER_DEBUG=1 shows where it happened"
    monkeypatch.setenv("LABELER_DEBUG", "1")
    with pytest.raises(KeyError):
        cli.app(["stats"])


def test_a_reader_that_leaves_early_is_no_failure_worth_words(run: Run) -> None:
    run("simulate", "--conversations", "200")
    with subprocess.Popen(
        command("stats"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as stats:
        assert stats.stdout is not None
        assert stats.stderr is not None
        stats.stdout.close()
        assert stats.stderr.read() == ""
    assert stats.returncode != 0


@pytest.mark.parametrize(("encoding", "name"), [("ascii", "pl\u00e4ce \u65e5"), ("utf-8", os.fsdecode(b"pl\xe4ce"))])
def test_what_an_encoding_lacks_is_escaped_and_no_failure(run: Run, place: Path, encoding: str, name: str) -> None:
    write_study(place, vote_reasons=["Hilfreich \u2013 sehr", "\u65e5\u672c\u8a9e"])
    run("simulate", "--conversations", "100")

    def said(*arguments: str) -> str:
        ran = subprocess.run(
            command(*arguments), env=environment(PYTHONIOENCODING=encoding), capture_output=True, check=True
        )
        return ran.stdout.decode(encoding)

    assert "Hilfreich" in said("stats")
    assert [each["reason"] for each in json.loads(said("stats", "--json"))["reasons"]] == [
        each["reason"] for each in json.loads(run("stats", "--json").out)["reasons"]
    ]
    assert json.loads(said("export", "--out", name, "--json"))["package"] == str(place / name)
    assert "log position" in said("export", "--out", name)


def heed_interruptions() -> None:
    """Shells start what runs in the background deaf to SIGINT, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interruption_ends_quietly_with_130_and_what_was_acknowledged_stays(run: Run, place: Path) -> None:
    with subprocess.Popen(
        command("simulate", "--conversations", "1000000"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interruptions,
    ) as simulation:
        wait_for(lambda: (place / ".labeler" / "tried.db").exists())
        time.sleep(1.0)
        simulation.send_signal(signal.SIGINT)
        assert simulation.stderr is not None
        assert simulation.stderr.read() == ""
    assert simulation.returncode == 130
    assert run("stats").code == 0


def test_long_work_shows_a_bar_on_a_terminal_and_nothing_in_a_pipe(run: Run) -> None:
    assert run("simulate", "--conversations", "100").err == ""
    master, slave = pty.openpty()
    subprocess.run(
        command("simulate", "--conversations", "2000"),
        env=environment(TERM="xterm"),
        stdout=subprocess.DEVNULL,
        stderr=slave,
        check=True,
    )
    os.close(slave)
    drawn = os.read(master, 100_000).decode()
    os.close(master)
    assert "simulating conversations" in drawn


def test_the_module_is_the_command(place: Path) -> None:
    ran = subprocess.run(command("--version"), env=environment(), capture_output=True, text=True, check=True)
    assert ran.stdout == f"labeler {__version__}\n"


def test_asking_for_help_imports_no_room(place: Path) -> None:
    rooms = "print(*sorted({'.'.join(name.split('.')[:2]) for name in sys.modules if name.startswith('labeler')}))"
    ask = f"import sys, labeler.cli as cli\ntry: cli.app(['push', '--help'])\nexcept SystemExit: {rooms}"
    ran = subprocess.run([sys.executable, "-c", ask], env=environment(), capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1].split() == [
        "labeler",
        "labeler.cli",
        "labeler.errors",
        "labeler.signals",
        "labeler.terminal",
    ]


def wait_for(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
