"""The commands that look at what is there and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labeler.cli.opening import log_file, log_of, repo_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json
from labeler.errors import LogError
from labeler.terminal import progress, show, show_json

if TYPE_CHECKING:
    from labeler.export.manifest import Manifest
    from labeler.hub import DatasetRepo
    from labeler.study import Study


def stats(config: Config = DEFAULT_CONFIG, database: Database = None, as_json: Json = False) -> None:
    """Say what the log holds.

    Votes, comparisons, reasons; models, annotators and days; and what the rules make of them.
    """
    study = study_of(config, database)
    with log_of(study) as store:
        from labeler.stats import statistics, tables  # noqa: PLC0415 - pandas takes half a second

        with progress("reading conversations", store.conversation_count(store.position())) as bar:
            document = statistics(store, study, report=bar.advance)
    if as_json:
        show_json(document)
        return
    for text in tables(document):
        show(text)


def verify(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    package: Annotated[
        Path | None, typer.Option("--package", metavar="DIR", help="A package to prove, too.", show_default=False)
    ] = None,
    repo: Annotated[
        str | None, typer.Option("--repo", metavar="ID", help="A repo on the Hub to prove, too.", show_default=False)
    ] = None,
) -> None:
    """Prove a log, a package, a repo.

    The log is replayed; files are read again and compared with their manifest, and the repo with the package. Without a
    log, what else is named is proven alone.
    """
    study = study_of(config, database)
    problems: list[str] = []
    proven = manifest = None
    if log_file(study).exists() or (package is None and repo is None):
        proven = _prove_log(study, problems)
    if package is not None:
        manifest = _prove_package(package, proven, problems)
    if repo is not None:
        _prove_repo(repo_of(study, repo), manifest, problems)
    for problem in problems:
        show(problem)
    if problems:
        more = f" (and {len(problems) - 1} more, on stdout)" if len(problems) > 1 else ""
        raise LogError(f"{problems[0]}{more}")


def _prove_log(study: Study, problems: list[str]) -> tuple[str, int]:
    """The log's source id and the position up to which it was read."""
    from labeler.store.verify import verify_log  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    with log_of(study) as store:
        with progress("replaying the log", 2 * store.position()) as bar:
            proven = verify_log(store, report=bar.advance)
        where = log_file(study)
        problems += [f"{where}: {problem}" for problem in proven.problems]
        if proven.ok:
            held = f"{proven.position:,} events in {proven.conversations:,} conversations"
            show(f"{where}: sound, {held}, sha256 of its dump {proven.digest}")
        return store.source_id, proven.position


def _prove_package(package: Path, log: tuple[str, int] | None, problems: list[str]) -> Manifest:
    from labeler.export.proof import verify_package  # noqa: PLC0415 - pyarrow takes longer than --version may

    with progress("reading the package") as bar:
        proven = verify_package(package, report=bar.advance)
    manifest = proven.manifest
    found = list(proven.problems)
    if log is not None:
        source_id, position = log
        if source_id != manifest.source_id:
            found.append(f"it was made from another log (source {manifest.source_id})")
        elif position < manifest.position:
            found.append(f"it was made at log position {manifest.position:,}, but the log ends at {position:,}")
    problems += [f"{package}: {problem}" for problem in found]
    if not found:
        held = f"{proven.rows:,} rows in {len(manifest.files):,} files, log position {manifest.position:,}"
        show(f"{package}: sound, {held}")
    return manifest


def _prove_repo(repo: DatasetRepo, manifest: Manifest | None, problems: list[str]) -> None:
    from labeler.hub import verify_remote  # noqa: PLC0415 - huggingface_hub takes longer than --version may

    found = verify_remote(repo, manifest)
    problems += [f"{repo.repo_id}: {problem}" for problem in found]
    if not found:
        show(f"{repo.repo_id}: sound, every file is as its manifest says")
