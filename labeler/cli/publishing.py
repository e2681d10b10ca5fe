"""The commands that make packages and publish them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler.cli.opening import exported, key_here, log_of, package_of, repo_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Every, Json, Out, Repo, Scheduler, View, Workers
from labeler.errors import HubError
from labeler.terminal import progress, show, show_json, show_json_line

if TYPE_CHECKING:
    from labeler.core.events import Event
    from labeler.export.explaining import Decision
    from labeler.export.exporter import ExportResult
    from labeler.hub import PushResult
    from labeler.study import Study
    from labeler.syncing import Outlet, Turn

WORDS_SHOWN = 160


def export(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    out: Out = None,
    view: View = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="ID",
            help="Write nothing; say why a record, message or conversation is in the data set, or not.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn the log into a package.

    Only shards with something new are written. A folder that is neither empty nor a package is refused.
    """
    if explain is not None:
        _explain(study_of(config, database).with_view(view), out, explain, as_json)
        return
    result = exported(study_of(config, database).with_view(view), out, workers, scheduler)
    if as_json:
        show_json(_facts(result))
    else:
        _show_package(result)


def push(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    out: Out = None,
    view: View = None,
    repo: Repo = None,
    every: Every = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Export and compare, but change nothing there.")] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Export, then publish on the Hub.

    One commit, or none when the rows are there already. HF_TOKEN is the token, HF_ENDPOINT another Hub. With --every
    (docs/sync.md) one pusher of a log works on a repo at a time, and commits at most once in that time.
    """
    from labeler.export.crews import crew_of  # noqa: PLC0415 - pyarrow and huggingface_hub take seconds
    from labeler.syncing import Outlet, push_once  # noqa: PLC0415

    study = study_of(config, database).with_view(view)
    there, crew = repo_of(study, repo), crew_of(workers, scheduler)
    outlet = Outlet(study, package_of(study, out), key_here(), there, crew)
    if every is not None:
        if dry_run:
            raise HubError("--every and --dry-run exclude each other; see with --dry-run first what would be pushed")
        _push_every(every, outlet, as_json)
        return
    with log_of(study) as store, progress("deriving shards") as bar:
        result, pushed = push_once(store, outlet, dry_run=dry_run, report=bar.at)
    if as_json:
        show_json(_facts(result) | _outcome(pushed))
        return
    _show_package(result)
    commit = f", commit {pushed.commit}" if pushed.commit else ""
    show(f"{pushed.repo}: {pushed.note}{commit}")


def _push_every(every: float, outlet: Outlet, as_json: bool) -> None:
    """Print a line (or an object) for the first push, and then for each that published something or failed."""
    from labeler.signals import run_until_told  # noqa: PLC0415 - as every room
    from labeler.syncing import Pusher, Tempo  # noqa: PLC0415

    def tell(turn: Turn) -> None:
        if as_json:
            show_json_line({"at": turn.at, "next_at": turn.next_at, "position": turn.position, **_of_turn(turn)})
        else:
            show(f"{turn.at[:19]}Z {outlet.repo.repo_id}: {turn.line}")

    with log_of(outlet.study) as store:
        run_until_told(Pusher(store, outlet, Tempo(every), tell=tell).run)


def _of_turn(turn: Turn) -> dict[str, Any]:
    return {"repo": turn.repo, "error": turn.error} if turn.pushed is None else _outcome(turn.pushed)


def _outcome(pushed: PushResult) -> dict[str, Any]:
    return {"repo": pushed.repo, "commit": pushed.commit, "bytes_sent": pushed.bytes_sent}


def _explain(study: Study, out: Path | None, asked: str, as_json: bool) -> None:
    from labeler.export.explaining import explain  # noqa: PLC0415 - pyarrow takes longer than --version may

    with log_of(study) as store, progress("looking through conversations") as bar:
        found = explain(
            store,
            study,
            asked,
            key=key_here(),
            package=package_of(study, out),
            report=lambda done, total: bar.at("looking through conversations", done, total),
        )
    if as_json:
        show_json(found.as_json())
        return
    show(f"{asked}: conversation {found.conversation_id} of annotator {found.annotator_id}")
    show("events:")
    for event in found.events:
        show(f"  {event.position:>8,}  {event.at[:19]}  {event.payload.kind:<20} {_words_of(event)}")
    show("decisions:" if found.decisions else "decisions: none; no rule looks at it")
    for one in found.decisions:
        show(f"  {_decision(one)}")


def _words_of(event: Event) -> str:
    """What an event says, cut to a line."""
    from labeler.core.bodies import body_json  # noqa: PLC0415 - as every room

    body = body_json(event.payload)
    return body if len(body) <= WORDS_SHOWN else f"{body[: WORDS_SHOWN - 1]}…"


def _decision(one: Decision) -> str:
    answers = " over ".join(one.messages)
    if one.reason is not None:
        return f"left out ({one.reason}, {one.rule}): {one.meaning}: {answers}"
    trust = f"strength {one.strength}, " if one.strength else ""
    rules = f"{one.rule} of {', '.join(one.sources)}" if len(one.sources) > 1 else one.rule
    return f"row of {one.config}/{one.split} by {rules} ({one.meaning}; {trust}confidence {one.confidence}): {answers}"


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
