"""The commands that leave an annotator's work out, and take it in again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from labeler.cli.opening import annotator_named, log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database
from labeler.terminal import show

if TYPE_CHECKING:
    from labeler.chat import Overseer
    from labeler.core.roles import Visitor
    from labeler.store import Store

Annotator = Annotated[str, typer.Argument(metavar="ANNOTATOR", help="An annotator's id, or the name of an account.")]


def exclude(
    annotator: Annotator,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept with the exclusion.")] = "",
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
) -> None:
    """Leave an annotator's work out of statistics and exports.

    Nothing is erased: labeler include brings it back. The next export, or push, follows.
    """
    from labeler.ids import new_id  # noqa: PLC0415 - as every room

    with log_of(study_of(config, database)) as store:
        overseer, admin = _overseer(store)
        found = annotator_named(store, annotator)
        overseer.exclude(admin, new_id(), found, reason)
    show(f"excluded {annotator}; labeler include {annotator} brings their work back")


def include(annotator: Annotator, config: Config = DEFAULT_CONFIG, database: Database = None) -> None:
    """Take an excluded annotator's work in again."""
    from labeler.ids import new_id  # noqa: PLC0415 - as every room

    with log_of(study_of(config, database)) as store:
        overseer, admin = _overseer(store)
        found = annotator_named(store, annotator)
        before = store.position()
        overseer.include(admin, new_id(), found)
        changed = store.position() > before
    show(f"included {annotator}" if changed else f"{annotator} was not excluded; nothing has changed")


def _overseer(store: Store) -> tuple[Overseer, Visitor]:
    """Whoever can write to the log may do what an admin may on the page."""
    from labeler.chat import Count, Overseer  # noqa: PLC0415 - as every room
    from labeler.core.roles import Visitor  # noqa: PLC0415
    from labeler.store import utc_now  # noqa: PLC0415
    from labeler.store.beginning import STUDY_ANNOTATOR  # noqa: PLC0415

    return Overseer(store, utc_now, lambda wishes: Count(), dict), Visitor(STUDY_ANNOTATOR, "admin")
