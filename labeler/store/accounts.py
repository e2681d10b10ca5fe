"""Who may sign in: a table beside the log. Names and passwords are nobody's feedback, so the log never holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, case, delete, select, update

from labeler.core.roles import Role
from labeler.store.dialects import insertion
from labeler.store.schema import accounts, ended_sessions
from labeler.store.store import Store


@dataclass(frozen=True, slots=True)
class Account:
    """One account; times are UTC as events have them.

    ``annotator_id`` is what the log knows of it. ``password`` is an Argon2 hash; without one nobody signs in by
    password. ``subject`` names it at another service, which keeps it when the name there changes. Whoever signed in
    under another ``epoch`` has to sign in again. ``failures`` counts wrong passwords in a row.
    """

    name: str
    annotator_id: str
    role: Role
    made_at: str
    password: str | None = field(default=None, repr=False)
    subject: str | None = None
    disabled: bool = False
    epoch: int = 0
    failures: int = 0
    locked_until: str | None = None


_COLUMNS = [accounts.c[name] for name in Account.__dataclass_fields__]
_all = select(*_COLUMNS).order_by(accounts.c.name)


def all_accounts(store: Store) -> list[Account]:
    """Every account, by name."""
    with store.database.reading() as connection:
        return [Account(*row) for row in connection.execute(_all)]


def account_named(store: Store, name: str) -> Account | None:
    return _one(store, _all.where(accounts.c.name == name))


def account_of(store: Store, annotator_id: str) -> Account | None:
    return _one(store, _all.where(accounts.c.annotator_id == annotator_id))


def account_at(store: Store, subject: str) -> Account | None:
    return _one(store, _all.where(accounts.c.subject == subject))


def _one(store: Store, query: Select[Any]) -> Account | None:
    with store.database.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Account(*row)


def add_account(store: Store, account: Account) -> bool:
    """Keep a new account; false if its name, annotator or subject is taken."""
    values = {name: getattr(account, name) for name in Account.__dataclass_fields__}
    with store.database.writing() as connection:
        new = insertion(connection, accounts).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
        return bool(connection.execute(new, values).rowcount)


def change_account(store: Store, name: str, **values: object) -> bool:
    """Set some columns of an account; false if there is none of this name."""
    with store.database.writing() as connection:
        return bool(connection.execute(update(accounts).where(accounts.c.name == name).values(**values)).rowcount)


def end_account_sessions(store: Store, name: str, **values: object) -> bool:
    """As ``change_account``; whoever is signed in to it has to sign in again."""
    return change_account(store, name, epoch=accounts.c.epoch + 1, **values)


def note_failure(store: Store, name: str, *, most: int, locked_until: str) -> None:
    """Count a wrong password; the ``most``-th in a row locks the account until then, and counting begins anew."""
    last = accounts.c.failures + 1 >= most
    change_account(
        store,
        name,
        failures=case((last, 0), else_=accounts.c.failures + 1),
        locked_until=case((last, locked_until), else_=accounts.c.locked_until),
    )


# ── sessions that were ended before their time ──


def end_session(store: Store, session: str, *, now: str, until: str) -> None:
    """Remember that a session is over, for as long as its cookie could be good."""
    with store.database.writing() as connection:
        connection.execute(delete(ended_sessions).where(ended_sessions.c.until < now))
        connection.execute(
            insertion(connection, ended_sessions).on_conflict_do_nothing(), {"session": session, "until": until}
        )


def session_ended(store: Store, session: str) -> bool:
    with store.database.reading() as connection:
        found = connection.execute(select(ended_sessions.c.session).where(ended_sessions.c.session == session))
        return found.one_or_none() is not None
