"""`scripts/bench` names the machine, runs what is asked, and fails when a floor is not held."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys

import pytest

from scripts.benchmarks.__main__ import chosen, measurements
from scripts.benchmarks.machine import described
from tests.house import ROOT


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_figure_comes_with_the_machine_that_it_was_taken_on() -> None:
    processor, load, disk, versions = described().splitlines()
    assert "cores" in processor
    assert load.startswith("load before: ")
    assert "fdatasync a second" in disk
    assert "gradio 6.31.0" in versions


def test_what_is_not_named_is_all_and_options_go_to_each() -> None:
    assert chosen([]) == (measurements(), [])
    assert chosen(["export", "logs", "--messages", "9"]) == (["export", "logs"], ["--messages", "9"])
    assert chosen(["--help"]) == (measurements(), ["--help"])


def test_what_cannot_be_measured_is_wrong_usage_and_says_what_can() -> None:
    done = bench("nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no 'nonsense'; there are " in done.stderr


@pytest.mark.parametrize("name", measurements())
def test_every_measurement_says_what_it_measures_and_beside_what(name: str) -> None:
    module = importlib.import_module(f"scripts.benchmarks.{name}")
    assert len((module.__doc__ or "").strip().splitlines()) > 1
    assert callable(module.main)


def test_a_measurement_runs_after_the_machine_is_named() -> None:
    done = bench("logs", "--messages", "300")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("fdatasync") < done.stdout.index("## logs") < done.stdout.index("messages a second")


def test_a_floor_that_is_not_held_is_told_at_the_end() -> None:
    done = bench("logs", "--messages", "nonsense")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("bench: not held or not measured: logs")


def test_a_reader_that_has_seen_enough_ends_it_without_a_word() -> None:
    command = [sys.executable, "-m", "scripts.benchmarks", "logs", "--help"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.close()
    with running:
        assert running.stderr is not None
        assert running.stderr.read() == b""
    assert running.returncode == -signal.SIGPIPE
