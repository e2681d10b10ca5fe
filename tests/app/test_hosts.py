"""Loopback is what can only mean this machine."""

from __future__ import annotations

import pytest

from labeler.hosts import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_only_this_machine_is_meant_by(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.evil.org", "127.0.0.1.evil.org", "", None]
)
def test_another_machine_may_be_meant_by(host: str | None) -> None:
    assert not is_loopback(host)
