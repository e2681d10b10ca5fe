"""The commands about tokens: which other programs may speak to the API. A token is shown once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labeler.cli.opening import log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json
from labeler.terminal import show, show_json

if TYPE_CHECKING:
    from labeler.accounts import Tokens

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the program is called.")]
Expires = Annotated[
    int | None,
    typer.Option("--expires", metavar="DAYS", help="It opens nothing after so many days.", show_default="never"),
]


def add(name: Name, expires: Expires = None, config: Config = DEFAULT_CONFIG, database: Database = None) -> None:
    """Let a program speak to the API, and print its token.

    The token is not kept: who loses it needs another one. What is told with it belongs to the program of this name,
    and no other program can read or change it.
    """
    with _tokens(config, database, begin=True) as tokens:
        show(tokens.add(name, expires))


def renew(name: Name, expires: Expires = None, config: Config = DEFAULT_CONFIG, database: Database = None) -> None:
    """Give a program another token, and print it.

    The one before opens nothing from now on; what was told with it can be read and gone on with.
    """
    with _tokens(config, database) as tokens:
        show(tokens.renew(name, expires))


def revoke(name: Name, config: Config = DEFAULT_CONFIG, database: Database = None) -> None:
    """Let a program speak to the API no more.

    What it told stays in the log and in exports.
    """
    with _tokens(config, database) as tokens:
        tokens.revoke(name)
    show(f"{name}: its token opens nothing now")


def list_tokens(config: Config = DEFAULT_CONFIG, database: Database = None, as_json: Json = False) -> None:
    """List the programs that have tokens."""
    with _tokens(config, database) as tokens:
        found = tokens.listed()
    if as_json:
        listed = [
            {"name": one.name, "made_at": one.made_at, "until": one.until, "revoked_at": one.revoked_at}
            for one in found
        ]
        show_json({"tokens": listed})
        return
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        until = f"until {one.until[:10]}" if one.until else "for good"
        show(
            f"{one.name:<{width}}  {one.made_at[:10]}  {f'revoked {one.revoked_at[:10]}' if one.revoked_at else until}"
        )
    if not found:
        show("no tokens yet; labeler tokens add makes one")


def annotator(
    name: Name,
    person: Annotated[str, typer.Argument(metavar="ANNOTATOR", help="The program's own id of a person.")],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
) -> None:
    """Print the id under which the log knows an annotator of a program.

    `labeler exclude` and `labeler forget` take it.
    """
    from labeler.chat import Teller  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    with _tokens(config, database) as tokens:
        show(Teller(tokens.named(name).token_id).annotator(person))


@contextmanager
def _tokens(config: Path, database: str | None, *, begin: bool = False) -> Iterator[Tokens]:
    from labeler.accounts import Tokens  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    study = study_of(config, database)
    with log_of(study, begin=begin) as store:
        yield Tokens(store, study.name)
