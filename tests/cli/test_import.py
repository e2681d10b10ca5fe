"""``labeler import``: other people's data sets, taken in to be reviewed."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeler.store import Store
from labeler.store.projections import follow
from labeler.store.reviews import Rules, counts
from labeler.store.verify import verify_log
from tests.cli.conftest import Run, command, environment, write_study
from tests.hub_server import HubServer

ROWS = [{"prompt": f"Why {n}?", "chosen": f"Good {n}.", "rejected": f"Bad {n}."} for n in range(5)]


def jsonl(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def items(place: Path) -> dict[str, int]:
    with closing(Store.open(f"sqlite:///{place}/.labeler/tried.db")) as store:
        assert verify_log(store).problems == ()
        follow(store, Rules(overlap=1).projection)
        return counts(store, Rules(overlap=1))


def test_json_lines_become_items_and_a_second_time_nothing(run: Run, place: Path) -> None:
    source = jsonl(place / "pairs.jsonl", [*ROWS, ROWS[0]])
    assert run("import", source).out == "5 rows taken, 1 known before, 0 refused\n"
    assert run("import", source).out == "0 rows taken, 6 known before, 0 refused\n"
    assert items(place) == {"open": 5}
    grown = jsonl(place / "pairs.jsonl", [*ROWS, {"prompt": "New?", "completion": "Yes.", "label": True}])
    assert run("import", grown).out == "1 rows taken, 5 known before, 0 refused\n"


def test_parquet_is_read_as_well(run: Run, place: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), place / "pairs.parquet")
    said = json.loads(run("import", "pairs.parquet", "--json").out)
    assert said == {"source": "pairs", "taken": 5, "known": 0, "refused": {}, "examples": []}


def test_a_row_with_a_system_message_makes_a_sound_log(run: Run, place: Path) -> None:
    messages = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user")]
    source = jsonl(place / "pairs.jsonl", [{"prompt": messages, "chosen": "Good.", "rejected": "Bad."}])
    assert run("import", source).out == "1 rows taken, 0 known before, 0 refused\n"
    assert items(place) == {"open": 1}


def test_what_is_refused_is_named_with_its_place_and_the_rest_is_taken(run: Run, place: Path) -> None:
    source = jsonl(place / "pairs.jsonl", [ROWS[0], {"text": "x"}, {"prompt": "", "chosen": "x", "rejected": "y"}])
    said = run("import", source)
    assert said.code == 0
    assert said.out.splitlines() == [
        "1 rows taken, 0 known before, 2 refused",
        "  line 2: no columns that are known: chosen and rejected, completion and label, or two conversations",
        "  line 3: a message or an answer is empty",
    ]


def test_a_file_of_which_nothing_can_be_taken_is_a_failure(run: Run, place: Path) -> None:
    assert "no row could be taken" in run("import", jsonl(place / "x.jsonl", [{"text": "x"}])).line


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.jsonl", b'{"prompt": "Why?"}\n{', "x.jsonl, line 2: this is not JSON"),
        ("x.jsonl", b"[1]\n", "x.jsonl, line 1: this is no JSON object"),
        ("x.parquet", b"PAR1 not really", "x.parquet: this is not a parquet file"),
        (None, b"", "missing.jsonl: no such file"),
    ],
)
def test_what_cannot_be_read_is_one_line(run: Run, place: Path, name: str | None, content: bytes, line: str) -> None:
    if name:
        (place / name).write_bytes(content)
    assert line in run("import", name or "missing.jsonl").line


def test_gold_rows_are_gold_items_and_no_export_has_them(run: Run, place: Path) -> None:
    run("import", jsonl(place / "gold.jsonl", ROWS), "--gold")
    run("import", jsonl(place / "pairs.jsonl", [ROWS[0] | {"gold": True}, *ROWS[1:3]]), "--name", "mixed")
    assert items(place) == {"gold": 6, "open": 2}
    exported = json.loads(run("export", "--json").out)
    assert sum(exported["rows"]["dpo"].values()) == 2
    assert exported["excluded"]["gold"] == 12


def test_nobody_has_to_consent_for_rows_that_were_imported(run: Run, place: Path) -> None:
    write_study(place, consent={"version": "1", "text": "May we?"})
    run("import", jsonl(place / "pairs.jsonl", ROWS))
    assert sum(json.loads(run("export", "--json").out)["rows"]["dpo"].values()) == 5


@pytest.mark.timeout(300)
def test_a_data_set_of_the_hub_is_read_from_there(run: Run, place: Path, hub: HubServer) -> None:
    """What one study has published another one can review."""
    write_study(place, dataset={"test_percent": 0})
    run("import", jsonl(place / "pairs.jsonl", ROWS))
    assert run("push", "--repo", "tester/pairs").code == 0
    home = environment(HF_HOME=str(place / "home"), HF_ENDPOINT=hub.endpoint, HF_TOKEN="hf_test")
    taking = command("import", "tester/pairs", "--subset", "dpo", "--database", f"sqlite:///{place}/other.db")
    took, again = (subprocess.run(taking, env=home, capture_output=True, text=True, check=False) for _ in range(2))
    assert (took.returncode, took.stderr) == (0, "")
    assert took.stdout == "5 rows taken, 0 known before, 0 refused\n"
    assert again.stdout == "0 rows taken, 5 known before, 0 refused\n"
    missing = subprocess.run(command("import", "tester/none"), env=home, capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert missing.stderr.startswith("labeler: tester/none: cannot be read from the Hub")
    assert missing.stderr.count("\n") == 1
