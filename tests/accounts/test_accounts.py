"""Accounts: what can be made and changed, who gets in, and what keeps others out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from labeler.accounts import Accounts, Passwords, checked_name, new_password
from labeler.accounts.book import FAILURES, LOCK_SECONDS
from labeler.accounts.throttle import KEYS_KEPT, Throttle
from labeler.errors import AccountError, SignInRefused
from labeler.store import Store
from tests.accounts.conftest import QUICK, Clock

GOOD = "correct horse"


def refused(accounts: Accounts, name: str, password: str) -> str:
    with pytest.raises(SignInRefused) as caught:
        accounts.sign_in(name, password, place="here")
    return str(caught.value)


# ── names and passwords ──


def test_a_name_is_kept_in_one_form_whatever_its_case() -> None:
    assert checked_name("Zoe\u0301") == checked_name("ZO\u00c9") == "zo\u00e9"


@pytest.mark.parametrize("name", ["", " ", "a b", "a\tb", "a\n", "a\u200b", "x" * 129, "\ud800"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(AccountError, match="is no name for an account"):
        checked_name(name)


@given(st.text(min_size=1, max_size=64))
def test_a_checked_name_stays_as_it_is(name: str) -> None:
    try:
        kept = checked_name(name)
    except AccountError:
        return
    assert checked_name(kept) == kept


@pytest.mark.parametrize("password", ["", "short", "x" * 9, "x" * 1001])
def test_a_password_of_the_wrong_length_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(AccountError, match="a password has at"):
        accounts.add("ann", "annotator", password)
    assert accounts.listed() == []


@pytest.mark.databases("sqlite")
def test_a_password_is_kept_as_an_argon2id_hash_only(accounts: Accounts, store: Store, tmp_path: Path) -> None:
    accounts.add("ann", "annotator", GOOD)
    (account,) = accounts.listed()
    assert str(account.password).startswith("$argon2id$")
    assert "argon2" not in repr(account)
    store.close()
    assert GOOD.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_hashes_take_the_memory_that_their_standard_asks_for() -> None:
    assert "m=65536,t=3,p=4" in Passwords().hashed(GOOD)


def test_made_passwords_differ_and_are_long() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("[a-z0-9]{16}", password) for password in made)


# ── who runs the study ──


def test_accounts_are_listed_by_name_with_their_roles(accounts: Accounts) -> None:
    accounts.add("Zoe", "admin", GOOD)
    accounts.add("ann", "reviewer")
    assert [(one.name, one.role, one.password is None) for one in accounts.listed()] == [
        ("ann", "reviewer", True),
        ("zoe", "admin", False),
    ]


def test_a_name_is_given_once_whatever_its_case(accounts: Accounts) -> None:
    accounts.add("ann", "annotator", GOOD)
    with pytest.raises(AccountError, match="ann: there is an account of this name already"):
        accounts.add("ANN", "admin", GOOD)
    assert [one.role for one in accounts.listed()] == ["annotator"]


def test_what_is_not_there_cannot_be_changed(accounts: Accounts) -> None:
    for change in (
        lambda: accounts.reset("bob", GOOD),
        lambda: accounts.disable("bob"),
        lambda: accounts.enable("bob"),
        lambda: accounts.set_role("bob", "admin"),
    ):
        with pytest.raises(AccountError, match="bob: there is no account of this name"):
            change()


# ── signing in ──


def test_name_and_password_let_in(accounts: Accounts) -> None:
    added = accounts.add("ann", "reviewer", GOOD)
    assert accounts.sign_in("Ann", GOOD, place="here").annotator_id == added.annotator_id


def test_nobody_learns_which_names_there_are(accounts: Accounts) -> None:
    accounts.add("ann", "annotator", GOOD)
    accounts.add("proxied", "annotator")
    tries = [("ann", "wrong wrong"), ("bob", GOOD), ("proxied", GOOD), ("", ""), ("a b", GOOD), ("ann", "x" * 2000)]
    assert len({refused(accounts, name, password) for name, password in tries}) == 1


def test_an_account_is_locked_after_wrong_passwords_in_a_row_and_opens_by_itself(
    accounts: Accounts, clock: Clock
) -> None:
    accounts.add("ann", "annotator", GOOD)
    for _ in range(FAILURES):
        refused(accounts, "ann", "wrong wrong")
    assert "locked" in refused(accounts, "ann", GOOD)
    clock.move(LOCK_SECONDS - 1)
    refused(accounts, "ann", GOOD)
    clock.move(2)
    assert accounts.sign_in("ann", GOOD, place="here").name == "ann"
    assert [(one.failures, one.locked_until) for one in accounts.listed()] == [(0, None)]


def test_tries_while_locked_do_not_lock_for_longer(accounts: Accounts, clock: Clock) -> None:
    accounts.add("ann", "annotator", GOOD)
    for _ in range(FAILURES):
        refused(accounts, "ann", "wrong wrong")
    clock.move(LOCK_SECONDS - 1)
    for _ in range(FAILURES):
        refused(accounts, "ann", "wrong wrong")
    clock.move(2)
    accounts.sign_in("ann", GOOD, place="here")


def test_a_right_password_forgets_the_wrong_ones_before_it(accounts: Accounts) -> None:
    accounts.add("ann", "annotator", GOOD)
    for _ in range(3):
        for _ in range(FAILURES - 1):
            refused(accounts, "ann", "wrong wrong")
        accounts.sign_in("ann", GOOD, place="here")


def test_a_reset_unlocks_and_the_old_password_is_over(accounts: Accounts) -> None:
    accounts.add("ann", "annotator", GOOD)
    for _ in range(FAILURES):
        refused(accounts, "ann", "wrong wrong")
    accounts.reset("ann", "another horse")
    refused(accounts, "ann", GOOD)
    accounts.sign_in("ann", "another horse", place="here")


def test_a_disabled_account_says_so_to_who_knows_the_password_only(accounts: Accounts) -> None:
    accounts.add("ann", "annotator", GOOD)
    accounts.disable("ann")
    assert "disabled" in refused(accounts, "ann", GOOD)
    assert "disabled" not in refused(accounts, "ann", "wrong wrong")
    accounts.enable("ann")
    accounts.sign_in("ann", GOOD, place="here")


def test_one_place_tries_so_often_a_minute_and_others_go_on(store: Store, clock: Clock) -> None:
    accounts = Accounts(
        store, clock=clock, passwords=Passwords(QUICK), throttle=Throttle(most=5, seconds=60, clock=clock.monotonic)
    )
    accounts.add("ann", "annotator", GOOD)
    for number in range(5):
        refused(accounts, f"guess{number}", "wrong wrong")
    with pytest.raises(SignInRefused, match="Too many tries") as caught:
        accounts.sign_in("ann", GOOD, place="here")
    assert caught.value.retry_in == 60
    for _ in range(10):  # good ones are not counted
        accounts.sign_in("ann", GOOD, place="elsewhere")
    clock.move(61)
    accounts.sign_in("ann", GOOD, place="here")


def test_a_hash_of_weaker_days_is_made_anew(store: Store, accounts: Accounts) -> None:
    accounts.add("ann", "annotator", GOOD)
    (before,) = accounts.listed()
    stronger = Accounts(store, passwords=Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)))
    stronger.sign_in("ann", GOOD, place="here")
    (after,) = accounts.listed()
    assert "m=8," in str(before.password)
    assert "m=16," in str(after.password)
    stronger.sign_in("ann", GOOD, place="here")


def test_a_throttle_forgets_old_keys_and_not_young_ones() -> None:
    throttle = Throttle(most=1, seconds=60, clock=lambda: 0.0)
    throttle.wait("first")
    for number in range(KEYS_KEPT):
        throttle.wait(str(number))
    assert throttle.wait("first") == 0
    assert throttle.wait(str(KEYS_KEPT - 1)) == 60


# ── who is vouched for ──


def test_who_is_vouched_for_gets_an_account_once(accounts: Accounts) -> None:
    first = accounts.arrived("Ann@corp", sign_up=True)
    again = accounts.arrived("ann@CORP", sign_up=False)
    assert (first.annotator_id, first.role) == (again.annotator_id, "annotator")


def test_without_sign_up_only_those_who_were_added_come_in(accounts: Accounts) -> None:
    accounts.add("ann", "reviewer")
    assert accounts.arrived("ann", sign_up=False).role == "reviewer"
    with pytest.raises(SignInRefused, match="There is no account for you"):
        accounts.arrived("bob", sign_up=False)
    assert [one.name for one in accounts.listed()] == ["ann"]


def test_a_disabled_account_is_not_vouched_back_in(accounts: Accounts) -> None:
    accounts.arrived("ann", sign_up=True)
    accounts.disable("ann")
    with pytest.raises(SignInRefused, match="disabled"):
        accounts.arrived("ann", sign_up=True)


def test_a_lasting_id_keeps_its_account_when_the_name_changes(accounts: Accounts) -> None:
    first = accounts.arrived("ann", subject="hub:1", sign_up=True)
    assert accounts.arrived("anna", subject="hub:1", sign_up=True) == first
    with pytest.raises(SignInRefused, match="ann belongs to another account"):
        accounts.arrived("ann", subject="hub:2", sign_up=True)


def test_an_account_that_was_added_waits_for_its_name_and_then_knows_the_id(accounts: Accounts) -> None:
    accounts.add("ann", "admin")
    arrived = accounts.arrived("ann", subject="hub:1", sign_up=False)
    assert (arrived.role, arrived.subject) == ("admin", "hub:1")
    with pytest.raises(SignInRefused):
        accounts.arrived("ann", subject="hub:2", sign_up=True)


def test_an_account_with_a_password_is_not_handed_to_a_namesake_at_the_hub(accounts: Accounts) -> None:
    accounts.add("ann", "admin", GOOD)
    with pytest.raises(SignInRefused, match="ann belongs to another account"):
        accounts.arrived("ann", subject="hub:1", sign_up=True)
