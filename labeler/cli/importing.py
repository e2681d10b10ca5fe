"""The command that takes in what others have collected, to be reviewed here."""

from __future__ import annotations

from typing import Annotated

import typer

from labeler.cli.opening import log_of, source_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json, SourceName, Split, Subset
from labeler.errors import LabelerError
from labeler.terminal import progress, show, show_json


def import_rows(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A .jsonl or .parquet file, or OWNER/NAME on the Hub.")
    ],
    name: SourceName = None,
    split: Split = "train",
    subset: Subset = None,
    gold: Annotated[
        bool, typer.Option("--gold", help="All rows are gold: to measure reviewers, never exported.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Take in a data set to be reviewed.

    Rows of a known shape become conversations in the queue (docs/review.md); run again, it takes in what is new.
    """
    study = study_of(config, database)
    from labeler.importing import import_rows as import_all  # noqa: PLC0415 - pyarrow and datasets take a second
    from labeler.store import utc_now  # noqa: PLC0415

    place = source_of(source, name, subset, split)
    with log_of(study, begin=True) as store, progress("importing rows", 0) as bar:
        result = import_all(store, study, place, at=utc_now(), gold=gold, report=bar.advance)
    if as_json:
        told = {"source": result.source, "taken": result.taken, "known": result.known}
        show_json({**told, "refused": dict(result.refused), "examples": result.examples})
    else:
        show(f"{result.taken:,} rows taken, {result.known:,} known before, {result.refused.total():,} refused")
        for line in result.examples:
            show(f"  {line}")
        if (more := result.refused.total() - len(result.examples)) > 0:
            show(f"  and {more:,} more")
    if result.refused and not (result.taken or result.known):
        raise LabelerError(f"{source}: no row could be taken; docs/review.md has the shapes that can")
