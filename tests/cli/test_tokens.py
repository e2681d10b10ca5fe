"""``labeler tokens``: which programs may speak to the API, said at a command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

from labeler.accounts import Tokens
from labeler.chat import Teller
from labeler.errors import TokenRefused
from labeler.store import Store
from tests.cli.conftest import Run

TOKEN = re.compile(r"lbl_[A-Za-z0-9_-]{43}\n")


def opens(place: Path, token: str) -> bool:
    with Store.open(f"sqlite:///{place}/.labeler/tried.db") as store:
        try:
            Tokens(store, "tried").bearer(token.strip())
        except TokenRefused:
            return False
    return True


def test_a_token_is_printed_alone_works_and_is_never_printed_again(run: Run, place: Path) -> None:
    said = run("tokens", "add", "theirs")
    assert (said.code, said.err) == (0, "")
    assert TOKEN.fullmatch(said.out)
    assert opens(place, said.out)
    for listed in (run("tokens", "list"), run("tokens", "list", "--json")):
        assert "lbl_" not in listed.out


def test_the_list_says_until_when_each_token_is_good(run: Run, place: Path) -> None:
    assert run("tokens", "add", "for-good").code == 0
    assert run("tokens", "add", "for-a-week", "--expires", "7").code == 0
    assert run("tokens", "add", "gone").code == 0
    assert run("tokens", "revoke", "gone").out == "gone: its token opens nothing now\n"
    week, good, gone = run("tokens", "list").out.splitlines()
    assert re.fullmatch(r"for-a-week  \d{4}-\d\d-\d\d  until \d{4}-\d\d-\d\d", week)
    assert re.fullmatch(r"for-good    \d{4}-\d\d-\d\d  for good", good)
    assert re.fullmatch(r"gone        \d{4}-\d\d-\d\d  revoked \d{4}-\d\d-\d\d", gone)
    listed = json.loads(run("tokens", "list", "--json").out)["tokens"]
    assert [(one["name"], one["until"] is None, one["revoked_at"] is None) for one in listed] == [
        ("for-a-week", False, True),
        ("for-good", True, True),
        ("gone", True, False),
    ]


def test_a_revoked_token_opens_nothing_and_a_renewed_one_something(run: Run, place: Path) -> None:
    first = run("tokens", "add", "theirs").out
    run("tokens", "revoke", "theirs")
    assert not opens(place, first)
    second = run("tokens", "renew", "theirs", "--expires", "1").out
    assert opens(place, second)
    assert not opens(place, first)


def test_an_annotator_of_a_program_has_an_id_that_other_commands_take(run: Run, place: Path) -> None:
    run("tokens", "add", "theirs")
    said = run("tokens", "annotator", "theirs", "ada@example.org").out.strip()
    with Store.open(f"sqlite:///{place}/.labeler/tried.db") as store:
        assert said == Teller(Tokens(store, "tried").named("theirs").token_id).annotator("ada@example.org")
    assert "ada" not in said


def test_what_cannot_be_done_is_one_line(run: Run, place: Path) -> None:
    assert "there is no log here" in run("tokens", "list").line
    run("tokens", "add", "theirs")
    assert "already" in run("tokens", "add", "theirs").line
    assert "is no name" in run("tokens", "add", "two words").line
    assert "a token lasts" in run("tokens", "add", "other", "--expires", "0").line
    for command in ("revoke", "renew"):
        assert "there is no token named absent" in run("tokens", command, "absent").line
    assert "there is no token named absent" in run("tokens", "annotator", "absent", "ada").line


def test_a_log_without_tokens_says_how_to_make_one(run: Run, place: Path) -> None:
    with Store.open(f"sqlite:///{place}/.labeler/tried.db"):
        pass
    assert run("tokens", "list").out == "no tokens yet; labeler tokens add makes one\n"
