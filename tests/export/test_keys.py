"""The pseudonym key, and the names made with it."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.errors import PackageError
from labeler.export.keys import pseudonym_key
from labeler.export.pseudonyms import Names, Pseudonyms, key_print
from labeler.ids import PSEUDONYM_CHARS, pseudonym


@given(st.binary(max_size=200), st.text(max_size=20), st.text(max_size=60))
def test_a_name_is_the_pseudonym_that_anybody_with_the_key_works_out(key: bytes, purpose: str, value: str) -> None:
    if "\ud800" <= max(purpose + value + " ") <= "\udfff":
        return
    assert Names(key, purpose)[value] == pseudonym(key, purpose, value)


def test_a_name_has_one_length_and_is_worked_out_once() -> None:
    names = Names(b"key", "set/message")
    assert len(names["a"]) == PSEUDONYM_CHARS
    assert names["a"] is names["a"]


def test_one_id_has_another_name_in_each_column_and_each_data_set() -> None:
    one, other = Pseudonyms.of(b"key", "one"), Pseudonyms.of(b"key", "other")
    kinds = [names["x"] for of in (one, other) for names in (of.conversations, of.messages, of.events, of.annotators)]
    assert len(set(kinds)) == 8


def test_the_print_of_a_key_differs_by_key_and_data_set_and_is_no_pseudonym() -> None:
    prints = {key_print(b"key", "one"), key_print(b"key", "other"), key_print(b"other", "one")}
    assert len(prints) == 3


def test_the_environment_decides_when_it_names_a_key(tmp_path: Path) -> None:
    assert pseudonym_key({"LABELER_KEY": "from outside"}, tmp_path) == b"from outside"
    assert not (tmp_path / ".labeler").exists()


@pytest.mark.parametrize("environ", [{}, {"LABELER_KEY": ""}, {"LABELER_KEY": "  "}])
def test_else_a_key_is_made_once_that_only_its_owner_can_read(tmp_path: Path, environ: dict[str, str]) -> None:
    key = pseudonym_key(environ, tmp_path)
    path = tmp_path / ".labeler" / "key"
    assert len(bytes.fromhex(key.decode())) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pseudonym_key(environ, tmp_path) == key
    assert [one.name for one in path.parent.iterdir()] == ["key"]


def test_two_processes_that_start_at_once_end_up_with_one_key(tmp_path: Path) -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(pseudonym_key({}, tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_an_empty_key_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".labeler").mkdir()
    (tmp_path / ".labeler" / "key").write_text("\n")
    with pytest.raises(PackageError, match="empty") as refused:
        pseudonym_key({}, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_hold_the_key_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".labeler").write_text("a file is in the way")
    with pytest.raises(PackageError, match=r"\.labeler/key: no pseudonym key"):
        pseudonym_key({}, tmp_path)
