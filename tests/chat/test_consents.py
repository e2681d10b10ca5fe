"""What is remembered of consent, and for how long."""

from __future__ import annotations

from labeler.chat.consents import TRUSTED_SECONDS, Consents
from labeler.store import Store, utc_now
from labeler.study import Consent

ASKED = Consent(version="1", text="May we?")


def test_given_consent_is_at_hand_for_a_moment_and_missing_consent_never(store: Store) -> None:
    now = [100.0]
    consents = Consents(ASKED, store, utc_now, lambda: now[0])
    assert not consents.at_hand("ann")
    assert consents.needed("ann") == ASKED
    assert not consents.at_hand("ann"), "another process may be told at any time"
    consents.give("ann", "nonce-0001", "1")
    assert consents.needed("ann") is None
    assert consents.at_hand("ann")
    now[0] += TRUSTED_SECONDS
    assert not consents.at_hand("ann"), "another process may have been told otherwise"
    assert consents.needed("ann") is None


def test_where_nobody_is_asked_nothing_is_read(store: Store) -> None:
    assert Consents(None, store, utc_now).at_hand("ann")
