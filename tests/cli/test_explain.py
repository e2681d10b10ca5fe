"""labeler export --explain: why something is in the data set, or not, on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.export import rows_of


def test_a_record_is_explained_on_the_terminal_and_as_json(place: Path, run: Run) -> None:
    run("simulate", "--conversations", "20")
    run("export")
    row = rows_of(place / "exports" / "tried", "dpo")[0]
    said = run("export", "--explain", row["record_id"])
    assert said.code == 0
    assert (
        f"row of dpo/{json.loads(run('export', '--explain', row['record_id'], '--json').out)['decisions'][0]['split']}"
        in said.out
    )
    assert f"by {row['source']}" in said.out
    assert "reply_finished" in said.out


def test_explaining_writes_nothing(place: Path, run: Run) -> None:
    run("simulate", "--conversations", "5")
    assert "neither the log nor the data set has this id" in run("export", "--explain", "x").line
    assert not (place / "exports").exists()
