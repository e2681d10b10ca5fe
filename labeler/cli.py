"""The command line: each command parses, calls what a Python caller would call, and prints.

Every room is imported inside the command that needs it, so that ``labeler --version`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from labeler import __version__
from labeler.errors import HubError, LabelerError, LogError, StoreError
from labeler.terminal import progress, say, show, show_json, what_failed, whole_file

if TYPE_CHECKING:
    from labeler.export.exporter import ExportResult
    from labeler.export.manifest import Manifest
    from labeler.hub import DatasetRepo
    from labeler.store import Store
    from labeler.study import Study

PLAIN: Mapping[str, Any] = {"no_args_is_help": True, "add_completion": False, "rich_markup_mode": None}
app = typer.Typer(name="labeler", pretty_exceptions_enable=False, **PLAIN)
log = typer.Typer(help="Write the log to a file, or read one.", **PLAIN)
app.add_typer(log, name="log")

Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="The study file.")]
Database = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="Another log than the study's: sqlite:///FILE.", show_default=False),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="The package itself.", show_default="exports/<study>")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Repo = Annotated[
    str | None, typer.Option("--repo", metavar="ID", help="OWNER/NAME on the Hub.", show_default="dataset.repo")
]

DEFAULT_CONFIG = Path("configs/local.yaml")


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed with one line on stderr, 2 wrong usage, 130 interrupted."""
    try:
        app(prog_name="labeler")
    except LabelerError as error:
        say(str(error))
    except OSError as error:
        say(what_failed(error))
    except Exception as error:  # a fault of ours is one line too; whoever hunts it asks for the rest
        if "LABELER_DEBUG" in os.environ:
            raise
        say(f"unexpected {type(error).__name__}: {error}; LABELER_DEBUG=1 shows where it happened")
    sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"labeler {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Collect human feedback in a chat page and publish it as preference data that trainers take as it is."""
    _check_endpoint(os.environ.get("HF_ENDPOINT", ""))


def _check_endpoint(address: str) -> None:
    """``huggingface_hub`` parses HF_ENDPOINT when it is imported, and every command may import it."""
    try:
        urlsplit(address).port  # noqa: B018 - looking at it is what parses it
    except ValueError as error:
        raise HubError(f"'{address}' is not a Hub's address ({error}); check HF_ENDPOINT") from error


# ── what commands share ──


def _study(config: Path, database: str | None) -> Study:
    from labeler.study import load_study  # noqa: PLC0415 - pydantic takes longer than --version may

    return load_study(config).with_database(database)


def _log_file(study: Study) -> Path:
    from labeler.store.database import database_path  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    return database_path(study.database_url)


@contextmanager
def _log_of(study: Study, *, begin: bool = False) -> Iterator[Store]:
    """The study's log. One that is not there is begun only by commands that put something into it."""
    from labeler.store import Store  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    path = _log_file(study)
    if not begin and not path.exists():
        raise StoreError(f"{path}: there is no log here; labeler serve begins one, or name another with --database")
    with Store.open(study.database_url) as store:
        yield store


def _export(study: Study, out: Path | None) -> ExportResult:
    from labeler.export.exporter import export as export_log  # noqa: PLC0415 - pyarrow and datasets take a second
    from labeler.export.keys import pseudonym_key  # noqa: PLC0415

    with _log_of(study) as store, progress("deriving shards") as bar:
        return export_log(
            store,
            study,
            out or Path("exports") / study.name,
            key=pseudonym_key(os.environ, Path.cwd()),
            report=lambda done, total: bar.at("deriving shards", done, total),
        )


def _repo(study: Study, repo_id: str | None) -> DatasetRepo:
    from labeler.hub import DatasetRepo  # noqa: PLC0415 - huggingface_hub takes a second

    name = study.dataset.repo if repo_id is None else repo_id
    if name is None:
        raise HubError("no repo is named: say --repo OWNER/NAME, or set dataset.repo in the study file")
    if "/" not in name:
        raise HubError(f"'{name}' is not a repo name; write it as owner/name")
    return DatasetRepo(
        name,
        endpoint=os.environ.get("HF_ENDPOINT") or None,
        token=os.environ.get("HF_TOKEN") or None,
        private=study.dataset.private,
    )


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


# ── commands ──


@app.command()
def serve(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    host: Annotated[str, typer.Option(metavar="H", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0 takes a free one.")] = 7860,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Let people on other machines annotate without an account.")
    ] = False,
) -> None:
    """Serve the chat page.

    Ends with Ctrl-C or SIGTERM; answers that are being written then are stored as stopped.
    """
    study = _study(config, database)
    from labeler.app import serve as serve_page  # noqa: PLC0415 - Gradio takes seconds

    serve_page(study, host=host, port=port, allow_anonymous=allow_anonymous, announce=show)


@app.command()
def export(config: Config = DEFAULT_CONFIG, database: Database = None, out: Out = None, as_json: Json = False) -> None:
    """Turn the log into a package.

    Only shards with something new are written. A folder that is neither empty nor a package is refused.
    """
    result = _export(_study(config, database), out)
    if as_json:
        show_json(_facts(result))
    else:
        _show_package(result)


@app.command()
def push(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    out: Out = None,
    repo: Repo = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Export and compare, but change nothing there.")] = False,
    as_json: Json = False,
) -> None:
    """Export, then publish on the Hub.

    One commit, or none when the rows are there already. HF_TOKEN is the token, HF_ENDPOINT another Hub.
    """
    from labeler.hub import Step  # noqa: PLC0415 - huggingface_hub takes a second
    from labeler.hub import push as push_package  # noqa: PLC0415

    study = _study(config, database)
    target = _repo(study, repo)
    result = _export(study, out)
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


@app.command()
def stats(config: Config = DEFAULT_CONFIG, database: Database = None, as_json: Json = False) -> None:
    """Say what the log holds.

    Votes, comparisons, reasons; models, annotators and days; and what the rules make of them.
    """
    study = _study(config, database)
    with _log_of(study) as store:
        from labeler.stats import statistics, tables  # noqa: PLC0415 - pandas takes half a second

        with progress("reading conversations", store.conversation_count(store.position())) as bar:
            document = statistics(store, study, report=bar.advance)
    if as_json:
        show_json(document)
        return
    for text in tables(document):
        show(text)


@app.command()
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
    study = _study(config, database)
    problems: list[str] = []
    proven = manifest = None
    if _log_file(study).exists() or (package is None and repo is None):
        proven = _prove_log(study, problems)
    if package is not None:
        manifest = _prove_package(package, proven, problems)
    if repo is not None:
        _prove_repo(_repo(study, repo), manifest, problems)
    for problem in problems:
        show(problem)
    if problems:
        more = f" (and {len(problems) - 1} more, on stdout)" if len(problems) > 1 else ""
        raise LogError(f"{problems[0]}{more}")


def _prove_log(study: Study, problems: list[str]) -> tuple[str, int]:
    """The log's source id and the position up to which it was read."""
    from labeler.store.verify import verify_log  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    with _log_of(study) as store:
        with progress("replaying the log", 2 * store.position()) as bar:
            proven = verify_log(store, report=bar.advance)
        where = _log_file(study)
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


@log.command()
def dump(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The file; none: stdout.", show_default=False)
    ] = None,
) -> None:
    """Write the log as JSON Lines.

    One event a line, in the order of positions. A file appears when it is whole, or not at all.
    """
    from labeler.store.transfer import dump as dump_log  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    with _log_of(_study(config, database)) as store:
        if out is None:
            dump_log(store, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with whole_file(out) as file, progress("writing the log"):
            lines = dump_log(store, file)
    show(f"{out}: {lines:,} events")


@log.command()
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What log dump wrote.", show_default=False)],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
) -> None:
    """Read a dumped log.

    All of it or nothing; what is stored already is passed over. An empty log takes over positions and source.
    """
    from labeler.store.transfer import load as load_log  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    study = _study(config, database)
    if not file.exists() or file.is_dir():  # before a log is begun for nothing
        raise LogError(f"{file}: there is no such file; name what labeler log dump wrote")
    with _log_of(study, begin=True) as store, progress("reading the log"):
        loaded = load_log(store, file)
    show(f"{file}: {loaded.added:,} events added, {loaded.known:,} stored before")


@app.command()
def simulate(
    conversations: Annotated[int, typer.Option(metavar="N", min=0, help="How many conversations.", show_default=False)],
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed adds nothing, another one appends.")] = 0,
    annotators: Annotated[int, typer.Option(metavar="K", min=1, help="How many people annotate.")] = 8,
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
) -> None:
    """Append conversations that nobody had.

    For demonstrations, tests and benchmarks: models and annotators are invented, and how good they are is known.
    """
    study = _study(config, database)
    with _log_of(study, begin=True) as store, progress("simulating conversations", conversations) as bar:
        from labeler.simulate import simulate as simulated  # noqa: PLC0415 - it is named like this command

        before = store.position()
        gestures = simulated(
            conversations,
            study=study,
            seed=seed,
            annotators=annotators,
            known=lambda event_id: store.find(event_id) is not None,
            report=bar.advance,
        )
        store.extend(gestures)
        after = store.position()
    show(f"{after - before:,} new events; the log holds {after:,}")


if __name__ == "__main__":
    main()
