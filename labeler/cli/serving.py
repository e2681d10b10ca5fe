"""The command that people annotate with, and the one that stands in for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labeler.cli.opening import log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database
from labeler.terminal import progress, show

if TYPE_CHECKING:
    from labeler.study import Study


def serve(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    host: Annotated[str, typer.Option(metavar="H", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0 takes a free one.")] = 7860,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Let people on other machines annotate without an account.")
    ] = False,
    new_key: Annotated[
        bool,
        typer.Option("--new-key", help="Go on with other keys than the log was begun with: the old ones are lost."),
    ] = False,
    log: Annotated[
        Literal["quiet", "text", "json"] | None,
        typer.Option(
            "--log",
            help="What to write on stderr: faults, or a line a request and gesture.",
            show_default="the study's",
        ),
    ] = None,
) -> None:
    """Serve the chat page.

    Any number of these may serve one log, if they have the same keys. Ends with Ctrl-C or SIGTERM; answers that are
    being written then are stored as stopped. SIGHUP reads the study file again.
    """

    def read() -> Study:
        return study_of(config, database).with_log(log)

    study = read()
    from labeler.app import Serving  # noqa: PLC0415 - Gradio takes seconds
    from labeler.app import serve as serve_page  # noqa: PLC0415

    how = Serving(host, port, allow_anonymous=allow_anonymous, new_key=new_key)
    serve_page(study, how, announce=show, read_again=read)


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
    study = study_of(config, database)
    with log_of(study, begin=True) as store, progress("simulating conversations", conversations) as bar:
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
