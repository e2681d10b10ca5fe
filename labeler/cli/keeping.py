"""The commands that keep a study: back up, put back, move to another database."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler.cli.opening import log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json, seconds
from labeler.errors import HubError, LabelerError
from labeler.signals import leaving_nothing, run_until_told
from labeler.terminal import progress, say, show, show_json, show_json_line

if TYPE_CHECKING:
    from labeler.hub import DatasetRepo
    from labeler.keeping import Backup
    from labeler.store.archive import Manifest
    from labeler.study import Study

SECRET = Path(".labeler/secret")


def backup(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="PLACE",
            help="A file; or hf://datasets/OWNER/NAME, a private repo that holds nothing else.",
            show_default=False,
        ),
    ],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    prove: Annotated[
        bool, typer.Option("--prove/--no-proof", help="Put it into a scratch database and replay it there.")
    ] = True,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="TIME",
            parser=seconds,
            help="Again that often (10m, 1h) if something changed, until Ctrl-C or SIGTERM, and a last time then.",
            show_default=False,
        ),
    ] = None,
    purge_history: Annotated[
        bool, typer.Option("--purge-history", help="Leave no older backup in the repo and its history.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write everything that the database holds into one file.

    Also while people annotate. The file appears when it is whole and proven, or not at all; only its owner can read it.
    It fits every kind of database. The keys of the study are not in it.
    """
    repo = _repo_at(to)
    if purge_history and repo is None:
        raise typer.BadParameter("--purge-history is for a repo; a file has no history")
    with log_of(study_of(config, database)) as store:

        def keep() -> Backup:
            if repo is None:
                from labeler.keeping import backup as into_file  # noqa: PLC0415 - as every room

                return into_file(store, Path(to), prove=prove)
            from labeler.offsite import backup_there  # noqa: PLC0415 - huggingface_hub takes a second

            return backup_there(store, repo, prove=prove, only=purge_history)[0]

        if every is None:
            with leaving_nothing(), progress("backing up"):
                kept = keep()
            _show_backup(to, kept, as_json)
            return
        from labeler.offsite import Keeper  # noqa: PLC0415 - as above

        run_until_told(Keeper(store, every, keep, lambda came: _tell(to, came, as_json)).run)


def _repo_at(place: str) -> DatasetRepo | None:
    if not place.startswith("hf:"):
        return None
    from labeler.offsite import PREFIX, repo_named  # noqa: PLC0415 - huggingface_hub takes a second

    name = repo_named(place)
    if name is None or name.count("/") != 1 or not all(name.split("/")):
        raise HubError(f"'{place}' names no repo for backups; write it as {PREFIX}OWNER/NAME")
    from labeler.hub import repo_here  # noqa: PLC0415

    return repo_here(name, os.environ)


def _show_backup(to: str, kept: Backup, as_json: bool) -> None:
    elsewhere = _kept_elsewhere()
    if as_json:
        show_json(_facts(kept.manifest) | _of_file(to, kept) | {"keep_beside": elsewhere})
        return
    show(f"{to}: {_words(kept.manifest)}, {kept.bytes:,} bytes")
    if kept.proof is not None:
        show(f"proven: put back and replayed, {kept.proof.conversations:,} conversations, nothing differs")
    show(f"not in it, keep apart and safe: {', '.join(elsewhere)}")


def _of_file(to: str, kept: Backup) -> dict[str, Any]:
    return {"file": to, "bytes": kept.bytes, "proven": kept.proof is not None}


def _tell(to: str, came: Backup | LabelerError, as_json: bool) -> None:
    if isinstance(came, LabelerError):
        say(str(came))
    elif as_json:
        show_json_line({"at": came.manifest.made_at} | _facts(came.manifest) | _of_file(to, came))
    else:
        show(f"{came.manifest.made_at[:19]}Z {to}: {_words(came.manifest)}")


def restore(
    place: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="What labeler backup wrote: a file, or hf://datasets/OWNER/NAME.", show_default=False
        ),
    ],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    if_any: Annotated[bool, typer.Option("--if-any", help="A repo that holds no backup yet is no error.")] = False,
    as_json: Json = False,
) -> None:
    """Put a backup into an empty database.

    All of it, compared with what the backup states, or nothing. A database that holds something is refused.
    """
    study = study_of(config, database)
    repo = _repo_at(place)
    if repo is None:
        _show_restored(place, _restored(study, Path(place)), as_json)
        return
    from labeler.offsite import fetch  # noqa: PLC0415 - as above

    with leaving_nothing(), TemporaryDirectory(prefix="labeler-") as folder:
        found = fetch(repo, Path(folder))
        if found is not None:
            _show_restored(place, _restored(study, found), as_json)
        elif if_any:
            show(f"{place}: no backup yet")
        else:
            raise HubError(f"{place}: there is no backup yet; --if-any takes that for good")


def _restored(study: Study, path: Path) -> Manifest:
    from labeler.keeping import restore as put_back  # noqa: PLC0415 - as above
    from labeler.store.archive import Archive  # noqa: PLC0415

    with progress("restoring"):
        with Archive.open(path) as archive:  # before a log is begun for nothing
            archive.check()
        with log_of(study, begin=True) as store:
            return put_back(store, path)


def _show_restored(place: str, manifest: Manifest, as_json: bool) -> None:
    if as_json:
        show_json(_facts(manifest))
    else:
        show(f"{place}: restored and equal, {_words(manifest)}")


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
        leaving_nothing(),
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
