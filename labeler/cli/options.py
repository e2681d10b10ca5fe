"""The options that commands share, each with its one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def seconds(written: str) -> float:
    """A length of time as people write it."""
    from labeler.durations import seconds_of  # noqa: PLC0415 - as every room

    try:
        return seconds_of(written)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="The study file.")]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="Another log than the study's: sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The package itself.", show_default="exports/<study>[-<view>]"),
]
View = Annotated[
    Literal["trl", "implicit", "llamafactory", "text"] | None,
    typer.Option("--view", help="The shape of the rows, for another trainer.", show_default="dataset.view"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, help="Build shards in N processes at once.", show_default="1"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="Build shards on a Dask cluster: tcp://HOST:PORT.", show_default=False
    ),
]
Every = Annotated[
    float | None,
    typer.Option(
        "--every",
        metavar="TIME",
        parser=seconds,
        help="Push again and again, that often (10m, 1h), until Ctrl-C or SIGTERM, and a last time then.",
        show_default=False,
    ),
]
Repo = Annotated[
    str | None, typer.Option("--repo", metavar="ID", help="OWNER/NAME on the Hub.", show_default="dataset.repo")
]
SourceName = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="What the log calls it.", show_default="the file's or repo's"),
]
Split = Annotated[str, typer.Option("--split", metavar="SPLIT", help="Of a data set on the Hub.")]
Subset = Annotated[
    str | None, typer.Option("--subset", metavar="CONFIG", help="Of a data set on the Hub.", show_default=False)
]

DEFAULT_CONFIG = Path("configs/local.yaml")
