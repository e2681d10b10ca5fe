"""The commands about accounts. A password is typed, read from a pipe or made; it is never an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labeler.cli.opening import log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json
from labeler.errors import AccountError
from labeler.terminal import show, show_json

if TYPE_CHECKING:
    from labeler.accounts import Accounts

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name; case does not matter.")]
RoleOption = Annotated[Literal["annotator", "reviewer", "admin"], typer.Option("--role", help="What it may do.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it, instead of asking for one.")]


def add(
    name: Name,
    role: RoleOption = "annotator",
    generate: Generate = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For who comes through a proxy or the Hub under this name.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
) -> None:
    """Make an account.

    The password is asked for, or read from the first line of a pipe.
    """
    if generate and no_password:
        raise typer.BadParameter("say either --generate or --no-password")
    with _accounts(config, database, begin=True) as accounts:
        password = None if no_password else _password(generate=generate)
        account = accounts.add(name, role, password)
    show(f"added {account.name} ({account.role})")
    if generate:
        show(f"password: {password}")


def list_accounts(config: Config = DEFAULT_CONFIG, database: Database = None, as_json: Json = False) -> None:
    """List the accounts, with the id under which the log knows each."""
    with _accounts(config, database) as accounts:
        found = accounts.listed()
    if as_json:
        listed = [
            {
                "name": one.name,
                "role": one.role,
                "annotator_id": one.annotator_id,
                "disabled": one.disabled,
                "password": one.password is not None,
                "locked_until": one.locked_until,
                "made_at": one.made_at,
            }
            for one in found
        ]
        show_json({"accounts": listed})
        return
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        state = "disabled" if one.disabled else ""
        show(f"{one.name:<{width}}  {one.role:<9}  {one.annotator_id}  {one.made_at[:10]}  {state}".rstrip())
    if not found:
        show("no accounts yet; labeler users add makes one")


def reset(name: Name, generate: Generate = False, config: Config = DEFAULT_CONFIG, database: Database = None) -> None:
    """Give an account another password, unlock it, and sign it out everywhere."""
    with _accounts(config, database) as accounts:
        password = _password(generate=generate)
        accounts.reset(name, password)
    show(f"{name}: has a new password, and is signed out everywhere")
    if generate:
        show(f"password: {password}")


def role(
    name: Name,
    new_role: Annotated[Literal["annotator", "reviewer", "admin"], typer.Argument(metavar="ROLE")],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
) -> None:
    """Give an account another role: annotator, reviewer or admin."""
    with _accounts(config, database) as accounts:
        accounts.set_role(name, new_role)
    show(f"{name}: is {new_role} now")


def disable(name: Name, config: Config = DEFAULT_CONFIG, database: Database = None) -> None:
    """Keep an account from signing in, and sign it out everywhere.

    What it gave stays in the log and in exports.
    """
    with _accounts(config, database) as accounts:
        accounts.disable(name)
    show(f"{name}: is disabled, and signed out everywhere")


def enable(name: Name, config: Config = DEFAULT_CONFIG, database: Database = None) -> None:
    """Let a disabled account sign in again."""
    with _accounts(config, database) as accounts:
        accounts.enable(name)
    show(f"{name}: may sign in again")


@contextmanager
def _accounts(config: Path, database: str | None, *, begin: bool = False) -> Iterator[Accounts]:
    from labeler.accounts import Accounts  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    with log_of(study_of(config, database), begin=begin) as store:
        yield Accounts(store)


def _password(*, generate: bool) -> str:
    from labeler.accounts import new_password  # noqa: PLC0415 - as every room

    if generate:
        return new_password()
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise AccountError("no password came through the pipe; write it there as one line, or say --generate")
    return password
