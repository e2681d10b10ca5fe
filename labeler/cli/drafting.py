"""The command that has prompts answered by several models, to be reviewed."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from labeler.cli.opening import log_of, source_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json, SourceName, Split, Subset
from labeler.errors import LabelerError
from labeler.terminal import progress, show, show_json


def draft(
    source: Annotated[
        str, typer.Argument(metavar="PROMPTS", help="A .txt, .jsonl or .parquet file, or OWNER/NAME on the Hub.")
    ],
    answers: Annotated[int, typer.Option("--answers", min=2, max=10, help="Models that answer each prompt.")] = 2,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=64, help="Prompts that are answered at once.")] = 4,
    name: SourceName = None,
    split: Split = "train",
    subset: Subset = None,
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Have the study's models answer a pool of prompts, to be reviewed.

    Every prompt is answered by different models and goes into the queue (docs/review.md); run again, it goes on.
    """
    study = study_of(config, database)
    from labeler.drafting import Drafting  # noqa: PLC0415 - models, pyarrow and datasets take a second
    from labeler.models import open_models  # noqa: PLC0415
    from labeler.store import utc_now  # noqa: PLC0415

    place = source_of(source, name, subset, split)
    with log_of(study, begin=True) as store, open_models(study.models, os.environ) as models:
        drafting = Drafting(study, models, utc_now, answers=answers, parallel=parallel)
        with progress("answering prompts", 0) as bar:
            result = drafting.run(store, place, bar.advance)
    refused, failed = result.refused.total(), result.failed.total()
    if as_json:
        told = {"source": result.source, "drafted": result.drafted, "known": result.known}
        show_json({**told, "refused": dict(result.refused), "failed": dict(result.failed), "examples": result.examples})
    else:
        show(
            f"{result.drafted:,} prompts answered, {result.known:,} known before, {refused:,} refused,"
            f" {failed:,} failed"
        )
        for line in result.examples:
            show(f"  {line}")
    if failed:
        raise LabelerError(f"{failed:,} prompts were not answered; the same command tries them again")
    if refused and not (result.drafted or result.known):
        raise LabelerError(f"{source}: no prompt could be taken; docs/review.md says what a prompt is")
