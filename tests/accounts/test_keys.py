"""Replicas share their keys, and one that has another is told so before anybody meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from labeler.accounts import check_key, cookie_key
from labeler.accounts.keys import COOKIES, PSEUDONYMS
from labeler.app import cookie_secret
from labeler.errors import AccountError
from labeler.store import Store
from labeler.store.schema import keys

KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(f"sqlite:///{tmp_path}/log.db")) as store:
        yield store


def test_the_first_key_is_the_logs_and_another_is_refused_with_a_way_out(store: Store) -> None:
    for _ in range(2):
        check_key(store, COOKIES, KEY)
    with pytest.raises(AccountError, match=r"LABELER_KEY or the \.labeler/secret .* --new-key") as refused:
        check_key(store, COOKIES, OTHER)
    assert "\n" not in str(refused.value)
    check_key(store, COOKIES, KEY)


def test_a_lost_key_is_replaced_by_who_says_so_and_the_old_one_is_then_refused(store: Store) -> None:
    check_key(store, COOKIES, KEY)
    check_key(store, COOKIES, OTHER, new_key=True)
    check_key(store, COOKIES, OTHER)
    with pytest.raises(AccountError):
        check_key(store, COOKIES, KEY)


def test_keys_for_other_things_are_other_keys(store: Store) -> None:
    check_key(store, COOKIES, KEY)
    check_key(store, PSEUDONYMS, OTHER)
    with pytest.raises(AccountError, match=r"pseudonyms.*\.labeler/key"):
        check_key(store, PSEUDONYMS, KEY)


def test_neither_a_key_nor_the_mark_of_another_log_is_in_the_database(store: Store, tmp_path: Path) -> None:
    with closing(Store.open(f"sqlite:///{tmp_path}/other.db")) as other:
        marks = []
        for each in (store, other):
            check_key(each, COOKIES, KEY)
            with each.database.reading() as connection:
                marks.append(connection.scalars(select(keys.c.mark)).one())
    assert marks[0] != marks[1]
    assert KEY not in (tmp_path / "log.db").read_bytes() + (tmp_path / "log.db-wal").read_bytes()


def test_a_stated_key_makes_the_cookies_key_where_there_is_no_file(tmp_path: Path) -> None:
    absent = tmp_path / "secret"
    made = cookie_secret(absent, "a long key that all replicas are given")
    assert made == cookie_secret(absent, "a long key that all replicas are given\n")
    assert made == cookie_key("a long key that all replicas are given")
    assert made != cookie_secret(absent, "another key")
    assert len(made) == 32
    assert not absent.exists()


def test_a_file_that_is_there_stands_whatever_is_stated(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    first = cookie_secret(path)
    assert cookie_secret(path, "a key that came later") == first
