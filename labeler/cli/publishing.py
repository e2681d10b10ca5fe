"""The commands that make packages and publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler.cli.opening import exported, repo_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json, Out, Repo, Scheduler, Workers
from labeler.terminal import progress, show, show_json

if TYPE_CHECKING:
    from labeler.export.exporter import ExportResult


def export(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    out: Out = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Turn the log into a package.

    Only shards with something new are written. A folder that is neither empty nor a package is refused.
    """
    result = exported(study_of(config, database), out, workers, scheduler)
    if as_json:
        show_json(_facts(result))
    else:
        _show_package(result)


def push(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    out: Out = None,
    repo: Repo = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Export and compare, but change nothing there.")] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Export, then publish on the Hub.

    One commit, or none when the rows are there already. HF_TOKEN is the token, HF_ENDPOINT another Hub.
    """
    from labeler.hub import Step  # noqa: PLC0415 - huggingface_hub takes a second
    from labeler.hub import push as push_package  # noqa: PLC0415

    study = study_of(config, database)
    target = repo_of(study, repo)
    result = exported(study, out, workers, scheduler)
    with progress("pushing") as bar:

        def report(step: Step) -> None:
            bar.at(step.text, step.done, step.total)

        pushed = push_package(result.package, target, dry_run=dry_run, report=report)
    if as_json:
        outcome = {"repo": pushed.repo, "commit": pushed.commit, "bytes_sent": pushed.bytes_sent}
        show_json(_facts(result) | outcome)
        return
    _show_package(result)
    commit = f", commit {pushed.commit}" if pushed.commit else ""
    show(f"{pushed.repo}: {pushed.note}{commit}")


def _facts(result: ExportResult) -> dict[str, Any]:
    """What ``export --json`` prints."""
    return {
        "package": str(result.package),
        "position": result.position,
        "rows": result.rows,
        "excluded": result.excluded,
        "shards_written": result.shards_written,
        "shards_unchanged": result.shards_unchanged,
    }


def _show_package(result: ExportResult) -> None:
    shards = f"{result.shards_written:,} shards written, {result.shards_unchanged:,} unchanged"
    show(f"{result.package}: log position {result.position:,}, {shards}")
    for config, splits in result.rows.items():
        show(f"  {config:<12}" + "  ".join(f"{split} {rows:,}" for split, rows in splits.items()))
    show(f"  {'left out':<12}{sum(result.excluded.values()):,} (reasons: README.md in the package)")
