"""The commands that write the log to a file and read one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labeler.cli.opening import log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database
from labeler.errors import LogError
from labeler.terminal import progress, show, whole_file


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

    with log_of(study_of(config, database)) as store:
        if out is None:
            dump_log(store, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with whole_file(out) as file, progress("writing the log"):
            lines = dump_log(store, file)
    show(f"{out}: {lines:,} events")


def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What log dump wrote.", show_default=False)],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
) -> None:
    """Read a dumped log.

    All of it or nothing; what is stored already is passed over. An empty log takes over positions and source.
    """
    from labeler.store.transfer import load as load_log  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    study = study_of(config, database)
    if not file.exists() or file.is_dir():  # before a log is begun for nothing
        raise LogError(f"{file}: there is no such file; name what labeler log dump wrote")
    with log_of(study, begin=True) as store, progress("reading the log"):
        loaded = load_log(store, file)
    show(f"{file}: {loaded.added:,} events added, {loaded.known:,} stored before")
