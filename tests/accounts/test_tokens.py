"""Tokens: shown once, kept as a digest, good until they are revoked, replaced or over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeler.accounts import Tokens
from labeler.accounts import tokens as module
from labeler.errors import AccountError, TokenRefused
from labeler.store import Store
from tests.accounts.conftest import Clock

DAY = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/log.db") as store:
        yield store


@pytest.fixture
def tokens(store: Store, clock: Clock) -> Tokens:
    return Tokens(store, "study", clock=clock, monotonic=clock.monotonic)


def test_a_token_opens_what_it_was_made_for(tokens: Tokens) -> None:
    token = tokens.add("theirs")
    assert tokens.bearer(token).name == "theirs"
    assert tokens.bearer(token) == tokens.at_hand(token) == tokens.named("theirs")


def test_a_token_is_long_and_another_one_each_time(tokens: Tokens) -> None:
    made = {tokens.add(f"theirs{number}") for number in range(20)}
    assert len(made) == 20
    assert all(token.startswith("lbl_") and len(token) == 47 for token in made)


def test_the_token_itself_is_nowhere_in_the_database(tokens: Tokens, store: Store) -> None:
    token = tokens.add("theirs")
    store.database.checkpoint()
    kept = b"".join(path.read_bytes() for path in store.database.path.parent.iterdir())
    assert token.encode() not in kept
    assert token.removeprefix("lbl_").encode() not in kept
    assert repr(tokens.named("theirs")).count(tokens.named("theirs").digest) == 0


@pytest.mark.parametrize("token", ["", "lbl_", "lbl_unknown", "\u00e9", "x" * 10_000])
def test_what_nobody_was_given_opens_nothing_and_is_not_remembered(tokens: Tokens, token: str) -> None:
    with pytest.raises(TokenRefused, match="opens nothing here"):
        tokens.bearer(token)
    assert tokens.at_hand(token) is None


def test_a_token_ends_on_its_day_even_from_memory(tokens: Tokens, clock: Clock) -> None:
    token = tokens.add("theirs", days=1)
    clock.now = clock.now.replace("10:00:00", "10:00:01")
    assert tokens.bearer(token).until == "2026-11-29T10:00:00.000000Z"
    clock.now = "2026-11-29T09:59:59.999999Z"
    assert tokens.at_hand(token) is not None
    clock.now = "2026-11-29T10:00:00.000000Z"
    for ask in (tokens.at_hand, tokens.bearer):
        with pytest.raises(TokenRefused, match="time is over"):
            ask(token)


def test_what_another_process_revoked_is_believed_for_two_seconds_at_most(
    tokens: Tokens, store: Store, clock: Clock
) -> None:
    token = tokens.add("theirs")
    tokens.bearer(token)
    Tokens(store, "study", clock=clock).revoke("theirs")
    clock.seconds += 1.9
    assert tokens.at_hand(token) is not None
    clock.seconds += 0.1
    assert tokens.at_hand(token) is None
    with pytest.raises(TokenRefused, match="was revoked"):
        tokens.bearer(token)


def test_a_renewed_program_is_the_same_one_with_another_token(tokens: Tokens) -> None:
    first = tokens.add("theirs", days=1)
    known = tokens.bearer(first)
    tokens.revoke("theirs")
    second = tokens.renew("theirs")
    assert tokens.bearer(second).token_id == known.token_id
    assert (tokens.bearer(second).until, tokens.bearer(second).revoked_at) == (None, None)
    with pytest.raises(TokenRefused):
        tokens.bearer(first)


def test_each_study_of_a_log_has_tokens_of_its_own(tokens: Tokens, store: Store) -> None:
    other = Tokens(store, "other")
    token = other.add("theirs")
    assert tokens.add("theirs") != token
    with pytest.raises(TokenRefused):
        tokens.bearer(token)
    assert [row.study for row in other.listed()] == ["other"]
    other.bearer(token)
    assert [row.name for row in tokens.listed()] == ["theirs"]


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a" * 64, "a\nb", "\u00e9", "../x"])
def test_a_name_is_plain(tokens: Tokens, name: str) -> None:
    with pytest.raises(AccountError, match="is no name for a token"):
        tokens.add(name)


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_a_token_lasts_at_least_a_day_and_no_century(tokens: Tokens, days: int) -> None:
    with pytest.raises(AccountError, match="a token lasts"):
        tokens.add("theirs", days)
    assert tokens.listed() == []


def test_a_name_is_given_once_and_only_what_is_there_is_changed(tokens: Tokens) -> None:
    tokens.add("theirs")
    with pytest.raises(AccountError, match="already; labeler tokens renew"):
        tokens.add("theirs")
    for change in (tokens.renew, tokens.revoke, tokens.named):
        with pytest.raises(AccountError, match="there is no token named absent"):
            change("absent")  # type: ignore[operator]


def test_memory_of_tokens_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BELIEVED", 3)
    for number in range(10):
        tokens.bearer(tokens.add(f"theirs{number}"))
        assert len(tokens._seen) <= 3
