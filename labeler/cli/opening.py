"""What commands open: the study, its log, a package brought up to date, a repo.

Every room is imported inside the function that needs it, so that ``labeler --version`` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labeler.errors import HubError, StoreError
from labeler.terminal import progress

if TYPE_CHECKING:
    from labeler.export.exporter import ExportResult
    from labeler.hub import DatasetRepo
    from labeler.importing import Source
    from labeler.store import Store
    from labeler.study import Study


def study_of(config: Path, database: str | None) -> Study:
    from labeler.study import load_study  # noqa: PLC0415 - pydantic takes longer than --version may

    return load_study(config).with_database(database)


def log_begun(study: Study) -> bool:
    """Whether the study has a log."""
    from labeler.store import Store  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    return Store.begun(study.database_url)


@contextmanager
def log_of(study: Study, *, begin: bool = False) -> Iterator[Store]:
    """The study's log. One that is not there is begun only by commands that put something into it."""
    from labeler.store import Store, named  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    if not begin and not Store.begun(study.database_url):
        where = named(study.database_url)
        raise StoreError(f"{where}: there is no log here; labeler serve begins one, or name another with --database")
    with Store.open(study.database_url) as store:
        yield store


def annotator_named(store: Store, named: str) -> str:
    """The annotator of an account's name, or the id as it was given."""
    from labeler.store.accounts import account_named  # noqa: PLC0415 - as every room

    account = account_named(store, named.casefold())
    return named if account is None else account.annotator_id


def source_of(place: str, name: str | None, subset: str | None, split: str) -> Source:
    """Where rows come from; without a name it is called after its file or repo."""
    from labeler.importing import Source  # noqa: PLC0415 - pyarrow and datasets take a second

    return Source(place, name or (Path(place).stem if Path(place).exists() else place), subset, split)


def package_of(study: Study, out: Path | None) -> Path:
    """Where the study's package is."""
    return out or study.package_folder


def key_here() -> bytes:
    """The pseudonym key of this environment and working directory."""
    from labeler.export.keys import pseudonym_key  # noqa: PLC0415 - as every room

    return pseudonym_key(os.environ, Path.cwd())


def exported(study: Study, out: Path | None, workers: int | None, scheduler: str | None) -> ExportResult:
    from labeler.export.crews import crew_of  # noqa: PLC0415 - pyarrow and datasets take a second
    from labeler.export.exporter import export as export_log  # noqa: PLC0415

    crew = crew_of(workers, scheduler)
    with log_of(study) as store, progress("deriving shards") as bar:
        return export_log(
            store,
            study,
            package_of(study, out),
            key=key_here(),
            crew=crew,
            report=lambda done, total: bar.at("deriving shards", done, total),
        )


def repo_of(study: Study, repo_id: str | None) -> DatasetRepo:
    """The repo that is named, else the study's."""
    name = study.dataset.repo if repo_id is None else repo_id
    if name is None:
        raise HubError("no repo is named: say --repo OWNER/NAME, or set dataset.repo in the study file")
    from labeler.hub import repo_here  # noqa: PLC0415 - huggingface_hub takes a second

    return repo_here(name, os.environ, private=study.dataset.private)
