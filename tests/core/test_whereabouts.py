"""A process on the same machine that has ended is known for it; of all others nothing is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from labeler.whereabouts import has_ended, whereabouts

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told on Linux only")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.communicate()


def test_one_that_lives_has_not_ended(child: subprocess.Popen[bytes]) -> None:
    assert not has_ended(whereabouts())
    assert not has_ended(whereabouts(child.pid))


def test_one_that_was_killed_has_ended_whether_its_parent_knows_or_not(child: subprocess.Popen[bytes]) -> None:
    told = whereabouts(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(told)
    child.wait()
    assert has_ended(told)


def test_another_process_under_the_same_number_is_not_the_one_that_was(child: subprocess.Popen[bytes]) -> None:
    around, pid, started = whereabouts(child.pid).split("/")
    assert has_ended(f"{around}/{pid}/{int(started) + 1}")


@pytest.mark.parametrize("told", ["", "another-machine:4026531836/1/5", "half"])
def test_of_a_process_that_cannot_be_seen_nothing_is_said(told: str) -> None:
    assert not has_ended(told)


def test_two_processes_are_told_apart(child: subprocess.Popen[bytes]) -> None:
    assert whereabouts(child.pid) != whereabouts()
