"""The card of a published data set: what is computed is replaced, what people wrote stays.

A card is front matter, then a body. In the body, everything between two marker comments is computed; text outside them
belongs to whoever writes it on the Hub, and survives every push.
"""

from __future__ import annotations

import re

from labeler.export.manifest import Manifest

START = "<!-- labeler:generated:start -->"
END = "<!-- labeler:generated:end -->"

_FRONT = re.compile(r"\A---\r?\n.*?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def merged(local: str, published: str, since: str = "") -> str:
    """The card to publish: the local front matter and computed part, and the published text around it.

    A published card without markers (written by hand before the first push) keeps its whole body, below the computed
    part. ``since`` joins the end of the computed part.
    """
    front, body = split(local)
    before, computed, after = parts(body)
    _, published_body = split(published)
    if published_body.strip():
        before, _, after = parts(published_body) if _marked(published_body) else ("", "", published_body)
    block = "\n\n".join(text.strip() for text in (START, computed, since, END) if text.strip())
    texts = [front.strip(), before.strip(), block, after.strip()]
    return "\n\n".join(text for text in texts if text) + "\n"


def split(card: str) -> tuple[str, str]:
    """Front matter (with its dashes, or empty) and body."""
    found = _FRONT.match(card)
    return (card[: found.end()], card[found.end() :]) if found else ("", card)


def parts(body: str) -> tuple[str, str, str]:
    """Text before, between and after the markers; without markers all of it counts as computed.

    If one marker was lost, what would follow it counts as computed too: better a lost line than an old table that
    stays for ever.
    """
    if not _marked(body):
        return "", body, ""
    before, start, rest = body.partition(START)
    if not start:
        before, rest = "", body
    computed, end, after = rest.partition(END)
    return before, computed, after if end else ""


def since_last_push(published: Manifest | None, now: Manifest) -> str:
    """What this push changes, as a section of the card; empty for the first one."""
    if published is None:
        return ""
    rows = [f"| {name} | {was:,} | {is_:,} | {is_ - was:+,} |" for name, was, is_ in _changes(published, now)]
    table = ["| rows | before | now | change |", "| --- | --: | --: | --: |", *rows] if rows else []
    moved = f"The log moved from position {published.position:,} to {now.position:,}."
    return "\n".join(["## Since the last push", "", moved, *(["", *table] if table else [])])


def _changes(published: Manifest, now: Manifest) -> list[tuple[str, int, int]]:
    old, new = _rows(published), _rows(now)
    names = sorted(old.keys() | new.keys())
    return [(name, old.get(name, 0), new.get(name, 0)) for name in names if old.get(name) != new.get(name)]


def _rows(manifest: Manifest) -> dict[str, int]:
    return {f"{config}/{split}": n for config, splits in manifest.totals.items() for split, n in splits.items()}


def _marked(body: str) -> bool:
    return START in body or END in body
