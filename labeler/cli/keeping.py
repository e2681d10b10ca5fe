"""The commands that keep a study: back up, put back, move to another database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler.cli.opening import log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json
from labeler.terminal import progress, show, show_json

if TYPE_CHECKING:
    from labeler.store.archive import Manifest

SECRET = Path(".labeler/secret")


def backup(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The backup; replaced when the new one is whole.")],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    prove: Annotated[
        bool, typer.Option("--prove/--no-proof", help="Put it into a scratch database and replay it there.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write everything that the database holds into one file.

    Also while people annotate. The file appears when it is whole and proven, or not at all; only its owner can read it.
    It fits every kind of database. The keys of the study are not in it.
    """
    from labeler.keeping import backup as keep  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    with log_of(study_of(config, database)) as store, progress("backing up"):
        kept = keep(store, to, prove=prove)
    elsewhere = _kept_elsewhere()
    if as_json:
        facts = _facts(kept.manifest) | {"file": str(to), "bytes": kept.bytes, "proven": kept.proof is not None}
        show_json(facts | {"keep_beside": elsewhere})
        return
    show(f"{to}: {_words(kept.manifest)}, {kept.bytes:,} bytes")
    if kept.proof is not None:
        show(f"proven: put back and replayed, {kept.proof.conversations:,} conversations, nothing differs")
    show(f"not in it, keep apart and safe: {', '.join(elsewhere)}")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FROM", help="What labeler backup wrote.", show_default=False)],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Put a backup into an empty database.

    All of it, compared with what the backup states, or nothing. A database that holds something is refused.
    """
    from labeler.keeping import restore as put_back  # noqa: PLC0415 - as above
    from labeler.store.archive import Archive  # noqa: PLC0415

    study = study_of(config, database)
    with progress("restoring"):
        with Archive.open(file) as archive:  # before a log is begun for nothing
            archive.check()
        with log_of(study, begin=True) as store:
            manifest = put_back(store, file)
    if as_json:
        show_json(_facts(manifest))
        return
    show(f"{file}: restored and equal, {_words(manifest)}")


def migrate(
    target: Annotated[
        str,
        typer.Option("--to", metavar="URL", help="The database that is to be; it must be empty.", show_default=False),
    ],
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="The database that is.", show_default="the study's"),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Move everything from one database into another.

    Of either kind. Positions, ids and all else stay as they are, and both are compared. Stop every labeler that uses
    the old one first: what is written to it after the copy would be missing, so then nothing is moved.
    """
    old_study = study_of(config, database).with_database(source)
    if old_study.database_url == target:
        raise typer.BadParameter("--from and --to name the same database")
    from labeler.keeping import migrate as move  # noqa: PLC0415 - as above

    with (
        log_of(old_study) as old,
        log_of(old_study.with_database(target), begin=True) as new,
        progress("moving"),
    ):
        manifest, report = move(old, new)
    if as_json:
        show_json(_facts(manifest) | {"conversations": report.conversations})
        return
    show(f"moved and equal: {_words(manifest)}")
    show("set database in the study file to the new one; keep the old one until a backup of the new one is made")


def _words(manifest: Manifest) -> str:
    rows = {name: held.rows for name, held in manifest.tables.items() if name != "events" and held.rows}
    beside = "".join(f", {count:,} {name.replace('_', ' ')}" for name, count in rows.items())
    log = f"source {manifest.source_id}, {manifest.position:,} events{beside}"
    return f"{log}, sha256 of the log's dump {manifest.digest}"


def _facts(manifest: Manifest) -> dict[str, Any]:
    tables = {name: {"rows": held.rows, "sha256": held.sha256} for name, held in manifest.tables.items()}
    return {"source_id": manifest.source_id, "position": manifest.position, "tables": tables}


def _kept_elsewhere() -> list[str]:
    """Where the keys of a study are, which no database holds."""
    from labeler.export.keys import PLACE, VARIABLE  # noqa: PLC0415 - as above

    return [VARIABLE if os.environ.get(VARIABLE, "").strip() else str(PLACE), str(SECRET)]
