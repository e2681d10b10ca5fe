"""Sessions: a token stands for who got it, for its time, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.accounts import Accounts, Sessions
from labeler.accounts.sessions import LIFETIME_SECONDS, RENEW_SECONDS, TRUSTED_SECONDS, UNREAD_SECONDS
from labeler.errors import StoreError
from labeler.store import Store
from tests.accounts.conftest import KEY, Clock

GOOD = "correct horse"


def begun(accounts: Accounts, sessions: Sessions, name: str = "ann") -> str:
    return sessions.begin(accounts.add(name, "reviewer", GOOD))


def test_a_token_stands_for_who_signed_in(accounts: Accounts, sessions: Sessions) -> None:
    visitor = sessions.visitor(begun(accounts, sessions))
    assert visitor is not None
    assert (visitor.name, visitor.role) == ("ann", "reviewer")


def test_a_token_ends_with_its_time(accounts: Accounts, sessions: Sessions, clock: Clock) -> None:
    token = begun(accounts, sessions)
    clock.move(LIFETIME_SECONDS - 1)
    assert sessions.visitor(token)
    clock.move(2 + TRUSTED_SECONDS)
    assert sessions.visitor(token) is None


def test_a_day_old_token_is_renewed_and_a_fresh_one_is_not(
    accounts: Accounts, sessions: Sessions, clock: Clock
) -> None:
    token = begun(accounts, sessions)
    assert sessions.renewed(token) is None
    clock.move(RENEW_SECONDS + 1)
    renewed = sessions.renewed(token)
    assert renewed is not None
    clock.move(LIFETIME_SECONDS - 10)
    assert sessions.visitor(token) is None
    assert sessions.visitor(renewed)


def test_signing_out_ends_every_copy_of_the_token_and_its_renewals(
    accounts: Accounts, sessions: Sessions, clock: Clock
) -> None:
    token = begun(accounts, sessions)
    clock.move(RENEW_SECONDS + 1)
    renewed = str(sessions.renewed(token))
    assert sessions.visitor(token)
    assert sessions.visitor(renewed)
    sessions.end(renewed)
    assert sessions.visitor(token) is None
    assert sessions.visitor(renewed) is None


def test_signing_out_leaves_the_other_browser_alone(accounts: Accounts, sessions: Sessions) -> None:
    account = accounts.add("ann", "reviewer", GOOD)
    here, there = sessions.begin(account), sessions.begin(account)
    sessions.end(here)
    assert sessions.visitor(here) is None
    assert sessions.visitor(there)


def test_another_process_hears_of_a_sign_out_a_disabling_and_a_role_within_its_trust(
    accounts: Accounts, sessions: Sessions, store: Store, clock: Clock
) -> None:
    elsewhere = Sessions(store, KEY, clock=clock, monotonic=clock.monotonic)
    ann, bob, eve = (begun(accounts, sessions, name) for name in ("ann", "bob", "eve"))
    assert all(elsewhere.visitor(token) for token in (ann, bob, eve))
    sessions.end(ann)
    accounts.disable("bob")
    accounts.set_role("eve", "admin")
    clock.move(TRUSTED_SECONDS)
    assert elsewhere.visitor(ann) is None
    assert elsewhere.visitor(bob) is None
    assert getattr(elsewhere.visitor(eve), "role", None) == "admin"


def test_a_reset_ends_all_sessions_even_after_it_is_enabled_again(
    accounts: Accounts, sessions: Sessions, clock: Clock
) -> None:
    token = begun(accounts, sessions)
    accounts.disable("ann")
    accounts.enable("ann")
    assert sessions.visitor(token) is None
    fresh = sessions.begin(accounts.sign_in("ann", GOOD, place="here"))
    accounts.reset("ann", "another horse")
    assert sessions.visitor(fresh) is None


def test_a_token_of_another_key_or_another_log_is_nobody(
    accounts: Accounts, sessions: Sessions, store: Store, clock: Clock
) -> None:
    account = accounts.add("ann", "reviewer", GOOD)
    assert sessions.visitor(Sessions(store, KEY + b"?", clock=clock).begin(account)) is None


@settings(max_examples=300)
@given(st.text(max_size=80), st.integers(0, 200), st.characters())
def test_no_other_text_stands_for_anybody(text: str, place: int, character: str) -> None:
    class NoStore:
        source_id = "source"

    sessions = Sessions(NoStore(), KEY, clock=Clock())  # type: ignore[arg-type]
    token = sessions._token("0" * 36, 0, "f" * 16)
    forged = token[: place % len(token)] + character + token[place % len(token) + 1 :]
    assert sessions._read(token) is not None
    assert forged == token or sessions._read(forged) is None
    assert sessions._read(text) is None


# ── the accounts cannot be read ──


@contextmanager
def out_of_reach(store: Store) -> Iterator[None]:
    """No account can be read as long as the block lasts."""
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE accounts RENAME TO out_of_reach")
    yield
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE out_of_reach RENAME TO accounts")


def test_whoever_was_signed_in_stays_it_while_the_accounts_cannot_be_read(
    store: Store, accounts: Accounts, sessions: Sessions, clock: Clock
) -> None:
    known, unknown = begun(accounts, sessions), begun(accounts, sessions, "bob")
    assert sessions.visitor(known)
    with out_of_reach(store):
        clock.move(TRUSTED_SECONDS + 1)
        assert getattr(sessions.visitor(known), "name", None) == "ann"
        assert sessions.at_hand(known)
        with pytest.raises(StoreError):
            sessions.visitor(unknown)
        clock.move(UNREAD_SECONDS)
        with pytest.raises(StoreError):
            sessions.visitor(known)
    assert sessions.visitor(known)


def test_an_outage_lets_nobody_in_again(store: Store, accounts: Accounts, sessions: Sessions, clock: Clock) -> None:
    token = begun(accounts, sessions)
    assert sessions.visitor(token)
    accounts.disable("ann")
    clock.move(TRUSTED_SECONDS + 1)
    assert sessions.visitor(token) is None
    with out_of_reach(store), pytest.raises(StoreError):
        sessions.visitor(token)


def test_an_outage_makes_no_session_longer(store: Store, accounts: Accounts, sessions: Sessions, clock: Clock) -> None:
    token = begun(accounts, sessions)
    clock.move(LIFETIME_SECONDS - 1)
    assert sessions.visitor(token)
    clock.move(TRUSTED_SECONDS + 1)
    with out_of_reach(store):
        assert sessions.visitor(token) is None


def test_what_is_at_hand_is_what_was_found_out_just_now(accounts: Accounts, sessions: Sessions, clock: Clock) -> None:
    token = begun(accounts, sessions)
    assert sessions.at_hand(token) is None
    visitor = sessions.visitor(token)
    assert sessions.at_hand(token) == visitor
    clock.move(TRUSTED_SECONDS + 1)
    assert sessions.at_hand(token) is None
