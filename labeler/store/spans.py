"""What finders found in which text: a memory beside the log, which can be lost and made anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, select

from labeler.core.redaction import Span
from labeler.store.dialects import insertion
from labeler.store.schema import spans
from labeler.store.store import Store

_AT_ONCE = 500


def known_spans(store: Store, finder: str, digests: Iterable[str]) -> dict[str, tuple[Span, ...]]:
    """What a finder of this version found, by the SHA-256 of the text; texts that it has not seen are left out."""
    found: dict[str, tuple[Span, ...]] = {}
    wanted = list(dict.fromkeys(digests))
    with store.database.reading() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            batch = wanted[start : start + _AT_ONCE]
            query = select(spans.c.text_sha256, spans.c.found)
            query = query.where(spans.c.finder == finder, spans.c.text_sha256.in_(batch))
            for digest, text in connection.execute(query):
                found[digest] = tuple(Span(*one) for one in json.loads(text))
    return found


def remember_spans(store: Store, finder: str, found: Mapping[str, Sequence[Span]]) -> None:
    """Keep what a finder of this version found, by the SHA-256 of the text."""
    if not found:
        return
    rows = [
        {"text_sha256": digest, "finder": finder, "found": json.dumps(hits, separators=(",", ":"))}
        for digest, hits in sorted(found.items())
    ]
    with store.database.writing() as connection:
        connection.execute(insertion(connection, spans).on_conflict_do_nothing(), rows)


def forget_spans(connection: Connection, digests: Iterable[str]) -> None:
    """Drop what is known of these texts, whoever found it."""
    wanted = list(digests)
    for start in range(0, len(wanted), _AT_ONCE):
        connection.execute(delete(spans).where(spans.c.text_sha256.in_(wanted[start : start + _AT_ONCE])))
