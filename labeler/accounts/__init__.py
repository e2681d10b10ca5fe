"""Accounts: who may sign in, with which role, and who is signed in now; and which programs may speak to the API."""

from __future__ import annotations

from labeler.accounts.book import Accounts, checked_name
from labeler.accounts.keys import check_key, cookie_key
from labeler.accounts.passwords import LEAST_PASSWORD, Passwords, new_password
from labeler.accounts.sessions import Session, Sessions
from labeler.accounts.tokens import Tokens

__all__ = [
    "LEAST_PASSWORD",
    "Accounts",
    "Passwords",
    "Session",
    "Sessions",
    "Tokens",
    "check_key",
    "checked_name",
    "cookie_key",
    "new_password",
]
