"""Exports on many cores and machines, typed as docs/clusters.md shows them."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run, environment, write_study
from tests.export import files_of

PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")


@pytest.fixture
def logged(place: Path, run: Run) -> Path:
    """A folder with a log of six shards and its package, made by one process."""
    write_study(place, dataset={"conversations_per_shard": 10})
    assert run("simulate", "--conversations", "60").code == 0
    assert run("export", "--out", "alone").code == 0
    return place


def test_two_workers_export_as_the_page_shows_it(logged: Path) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = "export=$?; kill $(jobs -p); wait; exit $export"
    ran = subprocess.run(
        ["bash", "-c", script.replace("8786", str(port)) + lines],
        cwd=logged,
        env=environment(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "6 shards written" in ran.stdout
    assert files_of(logged / "exports" / "tried") == files_of(logged / "alone")


def test_processes_export_as_the_page_shows_it(logged: Path, run: Run) -> None:
    (line,) = re.findall(r"```console\nlabeler (export --workers .*)\n```", PAGE)
    said = run(*line.split())
    assert said.code == 0, said.err
    assert files_of(logged / "exports" / "tried") == files_of(logged / "alone")


def test_both_ways_at_once_are_one_too_many(logged: Path, run: Run) -> None:
    said = run("export", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1")
    assert said.line.startswith("--workers and --scheduler exclude each other")


def test_no_number_of_workers_below_one_is_taken(logged: Path, run: Run) -> None:
    assert run("export", "--workers", "0").code == 2


def test_an_address_that_is_none_is_one_line(logged: Path, run: Run) -> None:
    assert "the Dask cluster does not do it" in run("export", "--scheduler", "nowhere://x").line
