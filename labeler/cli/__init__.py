"""The command line: each command parses, calls what a Python caller would call, and prints.

Every room is imported inside the command that needs it, so that ``labeler --version`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from labeler import __version__
from labeler.cli import (
    drafting,
    erasing,
    excluding,
    importing,
    keeping,
    logs,
    proving,
    publishing,
    redacting,
    serving,
    users,
)
from labeler.errors import HubError, LabelerError
from labeler.terminal import say, show, what_failed

PLAIN: Mapping[str, Any] = {"no_args_is_help": True, "add_completion": False, "rich_markup_mode": None}
app = typer.Typer(name="labeler", pretty_exceptions_enable=False, **PLAIN)
log = typer.Typer(help="Write the log to a file, or read one.", **PLAIN)
redaction = typer.Typer(help="Review what was found in texts.", **PLAIN)
people = typer.Typer(help="Say who may sign in.", **PLAIN)

COMMANDS: Sequence[Callable[..., None]] = (
    serving.serve,
    publishing.export,
    publishing.push,
    proving.stats,
    proving.verify,
    proving.diff,
    excluding.exclude,
    excluding.include,
    erasing.forget,
    keeping.backup,
    keeping.restore,
    keeping.migrate,
    serving.simulate,
)
LOG_COMMANDS: Sequence[Callable[..., None]] = (logs.dump, logs.load)
REDACTION_COMMANDS: Mapping[str, Callable[..., None]] = {"list": redacting.list_hits, "restore": redacting.restore}
USERS_COMMANDS: Mapping[str, Callable[..., None]] = {
    "add": users.add,
    "list": users.list_accounts,
    "role": users.role,
    "reset": users.reset,
    "disable": users.disable,
    "enable": users.enable,
}

for command in COMMANDS:
    app.command()(command)
app.command("import")(importing.import_rows)
app.command()(drafting.draft)
for command in LOG_COMMANDS:
    log.command()(command)
for name, command in REDACTION_COMMANDS.items():
    redaction.command(name)(command)
for name, command in USERS_COMMANDS.items():
    people.command(name)(command)
app.add_typer(log, name="log")
app.add_typer(redaction, name="redaction")
app.add_typer(people, name="users")


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed with one line on stderr, 2 wrong usage, 130 interrupted."""
    try:
        app(prog_name="labeler")
    except LabelerError as error:
        say(str(error))
    except OSError as error:
        say(what_failed(error))
    except Exception as error:  # a fault of ours is one line too; whoever hunts it asks for the rest
        if "LABELER_DEBUG" in os.environ:
            raise
        say(f"unexpected {type(error).__name__}: {error}; LABELER_DEBUG=1 shows where it happened")
    sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"labeler {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Collect human feedback in a chat page and publish it as preference data that trainers take as it is."""
    _check_endpoint(os.environ.get("HF_ENDPOINT", ""))


def _check_endpoint(address: str) -> None:
    """``huggingface_hub`` parses HF_ENDPOINT when it is imported, and every command may import it."""
    try:
        urlsplit(address).port  # noqa: B018 - looking at it is what parses it
    except ValueError as error:
        raise HubError(f"'{address}' is not a Hub's address ({error}); check HF_ENDPOINT") from error


if __name__ == "__main__":
    main()
