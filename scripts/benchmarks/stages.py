"""Where the time of an export goes: each stage of one shard by itself, the best of some runs, as a share of all.

Encoding runs beside the other stages in a thread of its own; it is listed for its share of the work.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from labeler.core.folding import replay
from labeler.core.laws import Preflight
from labeler.core.rules import derive
from labeler.core.standing import standing_of
from labeler.export import tallies
from labeler.export.columns import Terms, kto_order, reward_table, table_of
from labeler.export.recipe import Recipe, recipe_of
from labeler.export.row_groups import batches, row_groups
from labeler.export.schemas import TRAINER_CONFIGS
from labeler.export.shards import ShardRows, _extra, _File, _learn_names
from labeler.store import Store, event_of
from labeler.study import Study, load_study
from scripts.benchmarks.export import KEY, STUDY, grow, url_of

T = TypeVar("T")
_STUDY = load_study(STUDY)
CONVERSATIONS = _STUDY.dataset.conversations_per_shard


class Stages:
    """Seconds by stage."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.seconds: Counter[str] = Counter()

    def time(self, stage: str, work: Callable[[], T]) -> T:
        """Do the work several times, and count the quickest."""
        best, done = float("inf"), None
        for _ in range(self.runs):
            begun = time.perf_counter()
            done = work()
            best = min(best, time.perf_counter() - begun)
        self.seconds[stage] += best  # type: ignore[assignment]
        assert done is not None
        return done


def measure(store: Store, study: Study, stages: Stages) -> int:
    """Every stage on the first shard of the log. Returns its rows."""
    position = store.position()
    standing = standing_of(store.annotator_events(position), consent_needed=study.consent is not None)
    recipe = recipe_of(study, KEY, standing)
    rows = _derived(store, position, recipe, stages)
    terms = recipe.terms()
    stages.time("names of ids", lambda: (_learn_names(rows, recipe.terms()), 1))
    _learn_names(rows, terms)
    return sum(_written(config, split, found, terms, stages) for (config, split), found in rows.rows.items())


def _derived(store: Store, position: int, recipe: Recipe, stages: Stages) -> ShardRows:
    found = stages.time(
        "read rows", lambda: [(one, list(of)) for one, of in store.shard_rows(0, CONVERSATIONS, position)]
    )
    events = stages.time("parse events", lambda: [(one, [event_of(one, row) for row in of]) for one, of in found])
    trees = stages.time("fold conversations", lambda: [replay(one, of) for one, of in events])
    derived = stages.time("derive records", lambda: [derive(one, recipe.standing, recipe.options) for one in trees])
    stages.time("preflight", lambda: [Preflight().check(one) for one in derived])
    rows = ShardRows()
    for one in derived:
        rows.add(one)
    return rows


def _written(config: str, split: str, found: list[object], terms: Terms, stages: Stages) -> int:
    rows = stages.time("order of kto", lambda: kto_order(found, terms.names)) if config == "kto" else found  # type: ignore[arg-type]
    stages.time("row groups", lambda: list(batches(config, rows)))
    table = stages.time("build columns", lambda: table_of(config, rows, terms))
    tables = {config: table}
    if config == "dpo":
        tables["reward"] = stages.time("build columns", lambda: reward_table(table, rows, terms))  # type: ignore[arg-type]
    if config in TRAINER_CONFIGS:
        stages.time("count for the card", lambda: tallies.of_records(config, split, rows, terms.names.annotators))  # type: ignore[arg-type]
    stages.time("count for the card", lambda: _extra(config, split, rows))
    for name, one in tables.items():
        stages.time("digest rows", lambda name=name, one=one: _File(name, split, 0, terms.view).take(one))
        sizes = stages.time("row groups", lambda one=one: row_groups(one))
        stages.time(
            "encode parquet",
            lambda name=name, one=one, sizes=sizes: (_File(name, split, 0, terms.view).encode(one, sizes), 1),
        )
    return len(rows) * len(tables)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench stages", description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    chosen = parser.parse_args(argv)
    gc.disable()
    stages = Stages(chosen.runs)
    with TemporaryDirectory() as scratch:
        grow(Path(scratch), 6 * CONVERSATIONS)
        with Store.open(url_of(Path(scratch))) as store:
            rows = measure(store, _STUDY, stages)
    total = sum(stages.seconds.values())
    for stage, seconds in stages.seconds.most_common():
        print(f"{stage:20} {seconds * 1000:5.0f} ms  {seconds / total:5.1%}")
    print(f"one shard of {CONVERSATIONS:,} conversations, {rows:,} rows: {total * 1000:,.0f} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
