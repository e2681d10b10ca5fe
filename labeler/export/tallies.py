"""Counts over the rows of a shard: what the card says, kept beside the package so that no row is read twice.

A tally is a flat counter whose keys are paths (``rule/dpo/train/R1``), so that the package's tally is the sum of its
shards'. It is taken from the very rows that are written. A free text (a model, a reason) stands last in its path.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from labeler.core.agreement import Units
from labeler.core.records import (
    PLACES,
    Candidate,
    ComparisonRow,
    Demonstration,
    Exclusion,
    MessageRow,
    PreferencePair,
    UnpairedPreference,
    VoteRow,
)
from labeler.export.columns import Record
from labeler.export.pseudonyms import Names

STATISTICS_PATH = "_export/statistics.json"
FORMAT = 2
PERSON = "a person"
LIKED, DISLIKED, TIED = "liked", "disliked", "tied"
MILLION = 10**6

Tally = Counter[str]


def of_records(config: str, split: str, rows: Sequence[Record], annotators: Names) -> Tally:
    """Which rule made the rows, who judged, and which consents they rest on."""
    grounds = [row.grounds for row in rows]
    judges = chain.from_iterable([one.annotator_ids for one in grounds])
    consents = [one.consent for one in grounds if one.consent is not None]
    tally = _under(f"rule/{config}/{split}", [one.source for one in grounds])
    tally.update(_under(f"annotator/{config}", [annotators[one] for one in judges]))
    tally.update(_under(f"consent/{config}", consents))
    shared = [one.agreement for one in grounds if one.n_annotators > 1]
    tally[f"several/{config}"] = len(shared)
    tally[f"agreement/{config}"] = round(MILLION * sum(shared))
    return tally


def of_pairs(rows: Sequence[PreferencePair]) -> Tally:
    """Whose answers were chosen and rejected, and how much longer the chosen ones are."""
    tally = _under("model/chosen", [author(row.chosen) for row in rows])
    tally.update(_under("model/rejected", [author(row.rejected) for row in rows]))
    lengths = [(len(row.chosen.content), len(row.rejected.content)) for row in rows]
    tally["length/chosen"] = sum(chosen for chosen, _ in lengths)
    tally["length/rejected"] = sum(rejected for _, rejected in lengths)
    tally["length/longer"] = sum(chosen > rejected for chosen, rejected in lengths)
    return tally


def of_unpaired(split: str, rows: Sequence[UnpairedPreference]) -> Tally:
    """Whose answers were found good and bad."""
    tally = _under(f"label/{split}", ["good" if row.label else "bad" for row in rows])
    tally.update(_under("model/good", [author(row.completion) for row in rows if row.label]))
    tally.update(_under("model/bad", [author(row.completion) for row in rows if not row.label]))
    return tally


def of_demonstrations(rows: Sequence[Demonstration]) -> Tally:
    """Whose answers are worth imitating."""
    return _under("model/shown", [author(row.completion) for row in rows])


def of_votes(rows: Sequence[VoteRow]) -> Tally:
    """How the last words fell, and how often several annotators said the same of one answer."""
    tally = _under("vote", [str(row.vote) for row in rows])
    verdicts = [(row.message_id, LIKED if row.vote > 0 else DISLIKED) for row in rows if row.vote]
    return tally + _judged_together("votes", verdicts, (LIKED, DISLIKED))


def of_comparisons(rows: Sequence[ComparisonRow]) -> Tally:
    """Where the better answer stood, and how often several annotators said the same of two answers."""
    preferences = [row for row in rows if row.winner in ("a", "b")]
    tally = _under("place", [PLACES[row.position][row.winner == "b"] for row in preferences if row.position in PLACES])
    tally["preferences"], tally["ties"] = len(preferences), len(rows) - len(preferences)
    verdicts = [(" ".join(sorted((row.message_a, row.message_b))), _verdict(row)) for row in rows]
    return tally + _judged_together("comparisons", verdicts, ("lower", TIED, "higher"))


def _verdict(row: ComparisonRow) -> str:
    """Which answer was better, told in a way that does not depend on which of the two was called ``a``."""
    if row.winner not in ("a", "b"):
        return TIED
    return "lower" if (row.winner == "a") == (row.message_a < row.message_b) else "higher"


def _judged_together(what: str, verdicts: Iterable[tuple[str, str]], categories: Sequence[str]) -> Tally:
    """How many units have how many annotators in each category, of those that several judged (``.../2-1``)."""
    units: dict[str, Counter[str]] = {}
    for unit, verdict in verdicts:
        units.setdefault(unit, Counter())[verdict] += 1
    several = [counts for counts in units.values() if counts.total() > 1]
    return _under(f"together/{what}", ["-".join(str(counts[name]) for name in categories) for counts in several])


def judged_together(tally: Mapping[str, int], what: str) -> Units:
    """The units of ``votes`` (liked, disliked) or ``comparisons`` that several annotators judged."""
    return {tuple(map(int, name.split("-"))): times for name, times in below(tally, f"together/{what}").items()}


def of_messages(rows: Sequence[MessageRow]) -> Tally:
    """Who wrote, how it ended, and in how many conversations."""
    counts = Counter([(row.origin, row.status) for row in rows])
    tally: Tally = Counter({f"message/{origin}/{status}": count for (origin, status), count in counts.items()})
    tally["conversations"] = len({row.conversation_id for row in rows})
    return tally


def of_ledger(exclusions: Iterable[Exclusion]) -> Tally:
    """What might have become a record and did not, by reason."""
    return _under("excluded", [exclusion.reason for exclusion in exclusions])


def of_redacted(found: Counter[str]) -> Tally:
    """Personal data and secrets that were found, by kind."""
    return Counter({f"redacted/{kind}": count for kind, count in found.items()})


def _under(path: str, names: list[str]) -> Tally:
    """How often each name occurs, under a path."""
    return Counter({f"{path}/{name}": count for name, count in Counter(names).items()})


def author(answer: Candidate) -> str:
    """Who wrote an answer: a model by name, or a person."""
    return answer.model or PERSON


def below(tally: Mapping[str, int], prefix: str) -> dict[str, int]:
    """The counts under one path, by what follows it, in the order of their names."""
    start = f"{prefix}/"
    return {key.removeprefix(start): tally[key] for key in sorted(tally) if key.startswith(start) and tally[key]}


def statistics_json(shards: Mapping[int, Tally]) -> str:
    """The text of the file beside the manifest: one shard a line, keys sorted, zeros left out."""
    lines = ",\n".join(
        f'  "{shard}": ' + json.dumps({key: n for key, n in sorted(tally.items()) if n}, ensure_ascii=False)
        for shard, tally in sorted(shards.items())
    )
    block = f"{{\n{lines}\n }}" if lines else "{}"
    return f'{{\n "format": {FORMAT},\n "shards": {block}\n}}\n'


def parse_statistics(text: str) -> dict[int, Tally]:
    """Read it back; whatever cannot be used is as if it were not there, and its shards are counted again."""
    try:
        tree = json.loads(text)
        shards = tree["shards"] if tree["format"] == FORMAT else {}
        return {int(shard): Counter(counts) for shard, counts in shards.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
