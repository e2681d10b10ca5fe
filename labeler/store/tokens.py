"""Which programs may use the API: a table beside the log. Of a token only its digest is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select, update

from labeler.store.dialects import insertion
from labeler.store.schema import tokens
from labeler.store.store import Store


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One program of a study; times are UTC as events have them.

    ``token_id`` is what the ids of its annotators begin with, whatever its token. ``digest`` is the SHA-256 of the
    token. The token opens nothing from ``until`` on, and once it is revoked.
    """

    token_id: str
    study: str
    name: str
    digest: str = field(repr=False)
    made_at: str
    until: str | None = None
    revoked_at: str | None = None


_COLUMNS = [tokens.c[name] for name in TokenRow.__dataclass_fields__]


def tokens_of(store: Store, study: str) -> list[TokenRow]:
    """All of a study, by name."""
    query = select(*_COLUMNS).where(tokens.c.study == study).order_by(tokens.c.name)
    with store.database.reading() as connection:
        return [TokenRow(*row) for row in connection.execute(query)]


def token_with(store: Store, digest: str) -> TokenRow | None:
    """The one whose token has this digest."""
    with store.database.reading() as connection:
        row = connection.execute(select(*_COLUMNS).where(tokens.c.digest == digest)).one_or_none()
    return None if row is None else TokenRow(*row)


def add_token(store: Store, token: TokenRow) -> bool:
    """Keep a new one; false if the study has one of this name."""
    values = {name: getattr(token, name) for name in TokenRow.__dataclass_fields__}
    with store.database.writing() as connection:
        new = insertion(connection, tokens).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
        return bool(connection.execute(new, values).rowcount)


def change_token(store: Store, study: str, name: str, **values: object) -> bool:
    """Set some columns; false if the study has none of this name."""
    mine = tokens.c.study == study, tokens.c.name == name
    with store.database.writing() as connection:
        return bool(connection.execute(update(tokens).where(*mine).values(**values)).rowcount)
