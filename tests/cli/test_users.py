"""``labeler users``: who may sign in, said at a command line."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from labeler.accounts import Accounts
from labeler.errors import SignInRefused
from labeler.store import Store
from tests.cli.conftest import Run

GOOD = "correct horse"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password waits in the pipe."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{GOOD}\n"))


def signs_in(place: Path, name: str, password: str) -> bool:
    with Store.open(f"sqlite:///{place}/.labeler/tried.db") as store:
        try:
            Accounts(store).sign_in(name, password, place="here")
        except SignInRefused:
            return False
    return True


def test_the_first_account_begins_the_log(run: Run, place: Path, pipe: None) -> None:
    said = run("users", "add", "Ann", "--role", "admin")
    assert (said.code, said.out, said.err) == (0, "added ann (admin)\n", "")
    assert signs_in(place, "ann", GOOD)


def test_a_made_password_is_printed_once_and_works(run: Run, place: Path) -> None:
    said = run("users", "add", "ann", "--generate")
    password = re.fullmatch(r"added ann \(annotator\)\npassword: ([a-z0-9]{16})\n", said.out)
    assert password
    assert signs_in(place, "ann", password[1])
    assert password[1] not in run("users", "list").out


def test_an_empty_pipe_adds_nobody(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run("users", "add", "ann").line.startswith("no password came through the pipe")
    assert run("users", "list").out == "no accounts yet; labeler users add makes one\n"


def test_a_reset_gives_another_password(run: Run, place: Path, pipe: None) -> None:
    run("users", "add", "ann")
    said = run("users", "reset", "ann", "--generate")
    assert said.out.startswith("ann: has a new password, and is signed out everywhere\npassword: ")
    assert not signs_in(place, "ann", GOOD)
    assert signs_in(place, "ann", said.out.split()[-1])


def test_a_disabled_account_stays_out_until_it_is_enabled(run: Run, place: Path, pipe: None) -> None:
    run("users", "add", "ann")
    assert run("users", "disable", "ann").out == "ann: is disabled, and signed out everywhere\n"
    assert run("users", "list").out.rstrip().endswith("disabled")
    assert not signs_in(place, "ann", GOOD)
    assert run("users", "enable", "ann").out == "ann: may sign in again\n"
    assert signs_in(place, "ann", GOOD)


def test_the_list_tells_everything_but_the_password(run: Run, place: Path, pipe: None) -> None:
    run("users", "add", "ann")
    run("users", "add", "bob", "--no-password")
    assert run("users", "role", "bob", "reviewer").out == "bob: is reviewer now\n"
    ann, bob = json.loads(run("users", "list", "--json").out)["accounts"]
    assert set(ann) == {"name", "role", "annotator_id", "disabled", "password", "locked_until", "made_at"}
    assert (ann["password"], bob["password"], bob["role"]) == (True, False, "reviewer")
    assert "argon2" not in run("users", "list", "--json").out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("add", "a b", "--generate"), "'a b' is no name for an account"),
        (("reset", "bob", "--generate"), "bob: there is no account of this name"),
        (("disable", "bob"), "bob: there is no account of this name"),
        (("role", "bob", "admin"), "bob: there is no account of this name"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, place: Path, pipe: None, words: tuple[str, ...], line: str) -> None:
    run("users", "add", "ann")
    assert line in run("users", *words).line


def test_a_short_password_adds_nobody(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert "at least 10 characters" in run("users", "add", "ann").line
    assert run("users", "list").out.startswith("no accounts yet")


def test_wrong_usage_is_two(run: Run, place: Path) -> None:
    assert run("users", "add", "ann", "--generate", "--no-password").code == 2
    assert run("users", "add", "ann", "--role", "king").code == 2
