"""The commands of whoever reviews what was found in texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler.cli.opening import log_of, study_of
from labeler.cli.options import DEFAULT_CONFIG, Config, Database, Json
from labeler.terminal import progress, show, show_json

if TYPE_CHECKING:
    from labeler.redaction.reviewing import FoundHit


def list_hits(
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only this kind, EMAIL for one.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what was found in texts.

    Each hit with its id, its placeholder and a little of what stands around it: personal data is on your screen then.
    """
    from labeler.redaction.reviewing import found_hits  # noqa: PLC0415 - SQLAlchemy takes longer than --version may

    study = study_of(config, database)
    with log_of(study) as store, progress("looking through texts"):
        hits = [found for found in found_hits(store, study) if kind in (None, found.hit.span.kind)]
    if as_json:
        show_json({"hits": [_facts(found) for found in hits]})
        return
    for found in hits:
        before, value, after = found.context
        state = "  restored" if found.hit.restored else ""
        show(f"{found.id}  {found.hit.placeholder}{state}  …{before}[{value}]{after}…")
    show(f"{len(hits):,} hits, {sum(found.hit.restored for found in hits):,} of them restored")


def restore(
    hits: Annotated[list[str], typer.Argument(metavar="HIT...", help="Ids, as redaction list names them.")],
    config: Config = DEFAULT_CONFIG,
    database: Database = None,
    undo: Annotated[bool, typer.Option("--undo", help="Redact them again.")] = False,
) -> None:
    """Say that a hit is none.

    Its text is published as it is, wherever it stands in the conversation, from the next export on. The log keeps who
    was overruled where, not the text.
    """
    from labeler.redaction.reviewing import review  # noqa: PLC0415 - SQLAlchemy takes longer than --version may
    from labeler.store import utc_now  # noqa: PLC0415

    study = study_of(config, database)
    with log_of(study) as store:
        for hit_id in hits:
            found = review(store, study, hit_id, restored=not undo, at=utc_now())
            becomes = f"redacted as {found.hit.placeholder}" if undo else "published as it is"
            show(f"{hit_id}: {becomes} from the next export on")


def _facts(found: FoundHit) -> dict[str, Any]:
    span = found.hit.span
    return {
        "id": found.id,
        "conversation": found.conversation_id,
        "kind": span.kind,
        "placeholder": found.hit.placeholder,
        "restored": found.hit.restored,
        "value": found.hit.value,
        "start": span.start,
        "end": span.end,
    }
