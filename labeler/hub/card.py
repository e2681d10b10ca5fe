"""The card of a published data set: what is computed is replaced, what people wrote on the Hub stays.

How a card is taken apart is told in ``labeler.export.readme``. A push adds one thing that no export can know: what has
changed since the last push.
"""

from __future__ import annotations

from labeler.export.manifest import Manifest
from labeler.export.readme import END, START, with_words_of


def merged(local: str, published: str, since: str = "") -> str:
    """The card to publish: the local front matter and computed part, and the published text around it.

    A published card without markers (written by hand before the first push) keeps its whole body. ``since`` joins the
    end of the computed part.

    Raises:
        PackageError: the front matter of one of them is not YAML.
    """
    card = with_words_of(local, published) if published.strip() else local
    if not since:
        return card
    above, start, rest = card.partition(START)
    computed, end, below = rest.partition(END)
    return f"{above}{start}{computed.rstrip()}\n\n{since}\n\n{end}{below}" if end else f"{card.rstrip()}\n\n{since}\n"


def since_last_push(published: Manifest | None, now: Manifest) -> str:
    """What this push changes, as a section of the card; empty for the first one."""
    if published is None:
        return ""
    rows = [f"| {name} | {was:,} | {is_:,} | {is_ - was:+,} |" for name, was, is_ in _changes(published, now)]
    table = ["", "| rows | before | now | change |", "| --- | --: | --: | --: |", *rows] if rows else []
    moved = f"The log moved from position {published.position:,} to {now.position:,}."
    return "\n".join(["## Since the last push", "", moved, *table])


def _changes(published: Manifest, now: Manifest) -> list[tuple[str, int, int]]:
    old, new = _rows(published), _rows(now)
    names = sorted(old.keys() | new.keys())
    return [(name, old.get(name, 0), new.get(name, 0)) for name in names if old.get(name) != new.get(name)]


def _rows(manifest: Manifest) -> dict[str, int]:
    return {f"{config}/{split}": n for config, splits in manifest.totals.items() for split, n in splits.items()}
