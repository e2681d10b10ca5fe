"""The commands that look at what is there and change nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labeler.cli.opening import log_begun, log_of, repo_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json
from labeler.errors import HubError, LogError, PackageError
from labeler.terminal import progress, show, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labeler.export.copies import Copy
    from labeler.export.manifest import Manifest
    from labeler.hub import DatasetRepo
    from labeler.study import Study

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def stats(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    without_length: Annotated[
        bool, typer.Option("--without-length", help="Rate models without what length adds.")
    ] = False,
    without_style: Annotated[
        bool, typer.Option("--without-style", help="Rate them without what Markdown adds.")
    ] = False,
    without_named: Annotated[
        bool, typer.Option("--without-named", help="Leave out votes on answers that named their model.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what the log holds.

    Votes, comparisons, reasons; models, annotators and days; and what the rules make of them.
    """
    study = study_of(config, database)
    with log_of(study) as store:
        from labeler.core.wishes import CONTROLS, Wishes  # noqa: PLC0415
        from labeler.stats import statistics, tables  # noqa: PLC0415 - pandas takes half a second

        wanted = {"length": without_length, "style": without_style}
        wishes = Wishes(tuple(one for one in CONTROLS if wanted[one]), blind_only=without_named)
        with progress("reading conversations", store.conversation_count(store.position())) as bar:
            document = statistics(store, study, wishes, report=bar.advance)
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

    The log is replayed; files are read again, those of the repo are downloaded, and both are compared with their
    manifest, file by file and row by row. Without a log, what else is named is proven alone.
    """
    study = study_of(config, database)
    problems: list[str] = []
    proven = manifest = None
    if log_begun(study) or (package is None and repo is None):
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
        where = store.name
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
    from labeler.hub import PublishedCopy, row_differences, verify_remote  # noqa: PLC0415 - takes a second

    found = list(verify_remote(repo, manifest))
    copy = PublishedCopy.at(repo)
    rows = sum(file.rows for file in copy.manifest.files)
    if not found:  # what the Hub itself calls other content need not be downloaded to be seen as such
        with progress("reading the repo", rows) as bar:
            found += row_differences(copy, report=bar.advance)
    problems += [f"{repo.repo_id}: {problem}" for problem in found]
    if not found:
        held = f"{rows:,} rows in {len(copy.manifest.files):,} files, commit {copy.head[:12]}"
        show(f"{repo.repo_id}: sound, {held}")


def diff(
    a: Annotated[
        str | None,
        typer.Argument(
            metavar="A",
            help="A package's folder, or OWNER/NAME[@REVISION] on the Hub.",
            show_default="dataset.repo",
        ),
    ] = None,
    b: Annotated[
        str | None,
        typer.Argument(metavar="B", help="What A became: another of these.", show_default="the study's package"),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=0, help="Name the first N rows, too.")] = 0,
    as_json: Json = False,
) -> None:
    """Say what changed from A to B.

    Rows added, removed and changed in each config, by the rule that makes them. Shards that hold the same rows are
    neither read nor downloaded. Alone it says what the next push would change; the study and its log are read for what
    is not named.
    """
    from labeler.export.differences import differences  # noqa: PLC0415 - pyarrow takes longer than --version may

    old, new, log_position = _sides(a, b, config, database)
    with progress("comparing rows") as bar:
        found = differences(old, new, rows_named=rows, report=lambda done, total: bar.at("comparing rows", done, total))
    if as_json:
        sides = [{"name": one.name, "position": one.manifest.position} for one in (old, new)]
        show_json({"a": sides[0], "b": sides[1], "log_position": log_position} | found.as_json())
        return
    show(f"{old.name}, log position {old.manifest.position:,} → {new.name}, log position {new.manifest.position:,}")
    for line in _notes(old.manifest, new.manifest, log_position):
        show(f"  {line}")
    for name, changes in found.configs.items():
        show(f"  {name:<12}{changes.as_text()}")
        for source in changes.sources if any(changes.sources) else ():
            counts = (f"{kind} {count[source]:,}" for kind, count in changes.by_kind() if count[source])
            show(f"    {source:<22}{', '.join(counts)}")
    for row in found.rows:
        why = f" ({', '.join(row.columns)})" if row.columns else ""
        show(f"{_SIGNS[row.change]} {row.config}/{row.split} {row.id} {row.source}{why}".rstrip())


def _sides(a: str | None, b: str | None, config: Path, database: str | None) -> tuple[Copy, Copy, int | None]:
    """Both copies and, if the study says what B is, how far its log goes. Two that are named need no study."""
    if a is not None and b is not None and config == DEFAULT_CONFIG:
        return _copy_of(a), _copy_of(b), None
    study = study_of(config, database)
    old = _published(study) if a is None else _copy_of(a)
    if b is not None:
        return old, _copy_of(b), None
    new = _made(study)
    return old, new, _log_position(study, new)


def _copy_of(target: str) -> Copy:
    """A package here, if there is a folder of this name, else one on the Hub."""
    from labeler.export.copies import LocalCopy  # noqa: PLC0415 - as every room
    from labeler.hub import PublishedCopy, repo_and_revision, repo_here  # noqa: PLC0415 - huggingface_hub takes a second

    if Path(target).is_dir():
        return LocalCopy.of(Path(target))
    found = repo_and_revision(target)
    if found is None:
        raise HubError(f"'{target}' is neither a folder nor a repo; name a package, or OWNER/NAME[@REVISION]")
    repo_id, revision = found
    return PublishedCopy.at(repo_here(repo_id, os.environ), revision)


def _published(study: Study) -> Copy:
    """What the study's repo holds."""
    from labeler.hub import PublishedCopy  # noqa: PLC0415 - as every room

    if study.dataset.repo is None:
        raise HubError("the study names no repo to begin with: say labeler diff A, or set dataset.repo")
    return PublishedCopy.at(repo_of(study, None))


def _made(study: Study) -> Copy:
    """The study's own package."""
    from labeler.export.copies import LocalCopy  # noqa: PLC0415 - as every room

    if not study.package_folder.is_dir():
        raise PackageError(f"{study.package_folder}: there is no package here; labeler export makes it")
    return LocalCopy.of(study.package_folder)


def _log_position(study: Study, package: Copy) -> int | None:
    """How far the log of the study's package goes; none without it."""
    if not log_begun(study):
        return None
    with log_of(study) as store:
        return store.position() if store.source_id == package.manifest.source_id else None


def _notes(old: Manifest, new: Manifest, log_position: int | None) -> Iterator[str]:
    """What explains that many rows differ at once, or that none does."""
    if log_position is not None and log_position > new.position:
        yield f"the log goes on to {log_position:,}; labeler export takes that in"
    if old.source_id != new.source_id:
        yield "they come from different logs"
    if old.rules_version != new.rules_version:
        yield f"their rules differ: version {old.rules_version} and {new.rules_version}"
    if old.options_digest != new.options_digest:
        yield "their options differ: the study's rules, licence, consent or redaction, the pseudonym key or the columns"
