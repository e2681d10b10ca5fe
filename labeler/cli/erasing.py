"""The command that takes back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labeler.cli.opening import annotator_named, key_here, log_of, package_of, repo_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json, Out, Repo, Scheduler, View, Workers
from labeler.errors import HubError
from labeler.terminal import progress, show, show_json

if TYPE_CHECKING:
    from pathlib import Path

    from labeler.forgetting import Place, Receipt, Wish
    from labeler.study import Study


def forget(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    annotator: Annotated[
        str | None,
        typer.Option(
            "--annotator", metavar="ID", help="Erase all they gave; an account by its name.", show_default=False
        ),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", metavar="ID", help="Erase a conversation.", show_default=False)
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Publish the package without it, too.")] = False,
    purge_history: Annotated[
        bool, typer.Option("--purge-history", help="With --push: leave no older revision on the Hub either.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the tombstones.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
    out: Out = None,
    view: View = None,
    repo: Repo = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Erase for good what an annotator gave, or a conversation.

    From the log, from the package, and if asked for from the Hub and its history. A receipt is written into the
    package's folder receipts. Broken off, it is run again as it was.
    """
    if (annotator is None) == (conversation is None):
        raise typer.BadParameter("say either --annotator ID or --conversation ID")
    if purge_history and not push:
        raise typer.BadParameter("--purge-history needs --push: a history can only go once its last commit is right")
    _ask(annotator, conversation, purge=purge_history, yes=yes)
    from labeler.export.crews import crew_of  # noqa: PLC0415 - pyarrow and datasets take a second
    from labeler.forgetting import Place, Wish  # noqa: PLC0415

    study = study_of(config, database).with_view(view)
    if annotator:
        with log_of(study) as store:
            wish = Wish("annotator", annotator_named(store, annotator), reason)
    else:
        wish = Wish("conversation", str(conversation), reason)
    where, crew = repo_of(study, repo) if push else None, crew_of(workers, scheduler)
    place = Place(package_of(study, out), key_here(), where, purge_history, crew, _siblings(study, out))
    receipt, path = _forgotten(study, wish, place)
    if as_json:
        show_json(receipt.as_json() | {"receipt": str(path)})
    else:
        _show(receipt, path)
    if not receipt.finished:
        raise HubError(f"{receipt.left[-1]}; run the same command again, or see {path}")


def _forgotten(study: Study, wish: Wish, place: Place) -> tuple[Receipt, Path]:
    from labeler.forgetting import forget as forget_everywhere  # noqa: PLC0415 - as every room
    from labeler.store import utc_now  # noqa: PLC0415

    with log_of(study) as store, progress("erasing") as bar:
        return forget_everywhere(store, study, wish, place, clock=utc_now, report=lambda text: bar.at(text, 0, 0))


def _siblings(study: Study, out: Path | None) -> list[tuple[Study, Path]]:
    """The packages of the study in other views, where exports put them."""
    from labeler.export.manifest import MANIFEST_PATH  # noqa: PLC0415 - as every room
    from labeler.export.views import VIEWS  # noqa: PLC0415

    own = package_of(study, out).resolve()
    others = [(one, package_of(one, None)) for one in map(study.with_view, VIEWS)]
    return [(one, path) for one, path in others if path.resolve() != own and (path / MANIFEST_PATH).is_file()]


def _ask(annotator: str | None, conversation: str | None, *, purge: bool, yes: bool) -> None:
    if yes or not sys.stdin.isatty():
        return
    what = f"everything of annotator {annotator}" if annotator is not None else f"conversation {conversation}"
    history = ", and the whole history of the repo," if purge else ""
    typer.confirm(f"{what}{history} will be gone for good. Go on?", abort=True)


def _show(receipt: Receipt, path: Path) -> None:
    show(f"erased {receipt.events:,} events in {len(receipt.conversations):,} conversations")
    for line in receipt.verified:
        show(f"  {line}")
    for line in receipt.left:
        show(f"  left: {line}")
    show(f"receipt: {path}")
