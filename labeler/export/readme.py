"""The three parts of a README: front matter, what a person wrote, and what is generated between two markers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from labeler.errors import PackageError

START = "<!-- labeler:generated:start -->"
END = "<!-- labeler:generated:end -->"
_FENCE = "---\n"
# The parser in C takes a tenth of the time; PyYAML may have been built without it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# As the Hub reads it: blank lines may stand before, spaces behind the second fence, and nothing at all after it.
_FRONT = re.compile(r"\s*---\n(?:(.*?)\n)??---[ \t]*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Readme:
    """A card taken apart. ``before`` and ``after`` the generated part stands what a person wrote, as they wrote it."""

    front: dict[str, Any]
    before: str
    generated: str
    after: str

    def __str__(self) -> str:
        front = yaml.safe_dump(self.front, sort_keys=False, allow_unicode=True, width=120)
        return f"{_FENCE}{front}{_FENCE}{self.before}{START}\n{self.generated}{END}{self.after}"


def parse(text: str) -> Readme:
    """Take a card apart; without markers all of it is a person's, and the generated part will follow it.

    Raises:
        PackageError: the front matter is not YAML.
    """
    front, body = _front(text.replace("\r\n", "\n"))
    before, start, rest = body.partition(START)
    generated, end, after = rest.partition(END)
    if not start or not end:
        return Readme(front, f"{body.rstrip()}\n\n" if body.strip() else "\n", "", "\n")
    return Readme(front, before, generated.removeprefix("\n"), after)


def with_words_of(generated: str, written: str) -> str:
    """The card ``generated`` with a person's part taken from the card ``written``: what a push sends.

    Front matter keys that only the written card has are kept, and tags join; of the others the generated ones stand.
    """
    new, old = parse(generated), parse(written)
    front = {**new.front, **{key: value for key, value in old.front.items() if key not in new.front}}
    if "tags" in new.front:
        front["tags"] = joined_tags(new.front["tags"], old.front)
    return str(Readme(front, old.before, new.generated, old.after))


def joined_tags(ours: Sequence[str], written: Mapping[str, Any]) -> list[str]:
    """Our tags, and behind them those that a person has added to the front matter of a card."""
    tags = written.get("tags")
    return [*ours, *(tag for tag in tags if tag not in ours)] if isinstance(tags, list) else [*ours]


def _front(text: str) -> tuple[dict[str, Any], str]:
    found = _FRONT.match(text)
    if found is None:
        return {}, text
    try:
        front = yaml.load(found[1] or "", _LOADER) or {}
    except yaml.YAMLError as error:
        raise PackageError("README.md: the front matter is not YAML; mend it or delete the file") from error
    if not isinstance(front, dict):
        raise PackageError("README.md: the front matter must be 'key: value' lines; mend it or delete the file")
    return front, text[found.end() :]
