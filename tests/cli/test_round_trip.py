"""From an empty folder to the Hub and back, with the real parts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset

from labeler.export.schemas import CONFIGS
from tests.cli.conftest import Run, environment, write_study
from tests.hub_server import HubServer


@pytest.fixture
def log(run: Run, place: Path) -> Path:
    assert run("simulate", "--conversations", "60", "--seed", "3").code == 0
    return place / ".labeler" / "tried.db"


# ── simulate ──


def test_the_same_seed_adds_nothing_a_larger_number_extends_another_seed_appends(run: Run, log: Path) -> None:
    added = [
        run("simulate", "--conversations", conversations, "--seed", seed).out
        for conversations, seed in (("60", "3"), ("20", "3"), ("61", "3"), ("60", "4"))
    ]
    counts = [int(re.match(r"([\d,]+) new events", line)[1].replace(",", "")) for line in added]
    assert counts[:2] == [0, 0]
    assert 0 < counts[2] < counts[3]


def test_a_simulation_that_was_cut_off_is_completed_by_the_same_command(run: Run, log: Path) -> None:
    whole = ("simulate", "--conversations", "40", "--seed", "8", "--database")
    assert run(*whole, "sqlite:///whole.db").code == 0
    assert run("simulate", "--conversations", "25", "--seed", "8", "--database", "sqlite:///parts.db").code == 0
    assert run(*whole, "sqlite:///parts.db").code == 0
    events = [
        {line["event_id"]: (line["at"], line["seq"], line["body"]) for line in map(json.loads, dumped.splitlines()[1:])}
        for dumped in (run("log", "dump", "--database", f"sqlite:///{name}.db").out for name in ("whole", "parts"))
    ]
    assert events[0] == events[1]


# ── dump and load ──


def test_a_log_goes_from_one_database_into_another_through_a_pipe(run: Run, log: Path, place: Path) -> None:
    labeler = [sys.executable, "-m", "labeler", "log"]
    with subprocess.Popen([*labeler, "dump"], cwd=place, env=environment(), stdout=subprocess.PIPE) as dumping:
        command = [*labeler, "load", "/dev/stdin", "--database", "sqlite:///copy.db"]
        loaded = subprocess.run(
            command, cwd=place, env=environment(), stdin=dumping.stdout, capture_output=True, text=True, check=False
        )
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert run("log", "dump", "--database", "sqlite:///copy.db").out == run("log", "dump").out


def test_a_log_comes_back_byte_for_byte(run: Run, log: Path, place: Path) -> None:
    assert re.fullmatch(r"dump.jsonl: [\d,]+ events\n", run("log", "dump", "--out", "dump.jsonl").out)
    dumped = (place / "dump.jsonl").read_bytes()
    assert run("log", "load", "dump.jsonl", "--database", "sqlite:///copy.db").code == 0
    assert run("log", "dump", "--database", "sqlite:///copy.db").out.encode() == dumped
    assert run("log", "load", "dump.jsonl", "--database", "sqlite:///copy.db").out.startswith(
        "dump.jsonl: 0 events added"
    )


def test_a_loaded_log_gives_the_same_package(run: Run, log: Path, place: Path) -> None:
    run("log", "dump", "--out", "dump.jsonl")
    run("log", "load", "dump.jsonl", "--database", "sqlite:///copy.db")
    run("export")
    run("export", "--database", "sqlite:///copy.db", "--out", "exports/copy")
    packages = [
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (place / "exports" / "tried", place / "exports" / "copy")
    ]
    assert packages[0] == packages[1]


# ── export ──


def test_export_prints_exactly_the_documented_object(run: Run, log: Path, place: Path) -> None:
    document = json.loads(run("export", "--json").out)
    assert list(document) == ["package", "position", "rows", "excluded", "shards_written", "shards_unchanged"]
    assert document["package"] == str(place / "exports" / "tried")
    assert document["position"] == len(run("log", "dump").out.splitlines())
    assert set(document["rows"]) <= set(CONFIGS)
    assert all(set(splits) <= {"train", "test"} and all(splits.values()) for splits in document["rows"].values())
    assert (document["shards_written"], document["shards_unchanged"]) == (1, 0)
    again = json.loads(run("export", "--json").out)
    assert again == document | {"shards_written": 0, "shards_unchanged": 1}


def test_export_says_to_people_what_it_says_to_programs(run: Run, log: Path) -> None:
    document = json.loads(run("export", "--json").out)
    text = run("export").out
    for config, splits in document["rows"].items():
        assert re.search(
            rf"^  {config} +" + " +".join(f"{split} {n:,}" for split, n in splits.items()) + "$", text, re.M
        )


def test_every_config_of_the_package_loads(run: Run, log: Path, place: Path) -> None:
    document = json.loads(run("export", "--json").out)
    for config, splits in document["rows"].items():
        loaded = load_dataset(document["package"], config, cache_dir=place / "cache")
        assert {split: loaded[split].num_rows for split in loaded} == splits


def test_stats_rate_models_without_what_is_named(run: Run, log: Path) -> None:
    def controls(*options: str) -> list[str]:
        return list(json.loads(run("stats", "--json", *options).out)["trust"]["leaderboard"]["controls"])

    assert controls() == []
    assert controls("--without-style", "--without-length") == ["length", "style"]
    assert controls("--without-named") == []


def test_stats_and_export_count_the_same_records(run: Run, log: Path) -> None:
    exported = json.loads(run("export", "--json").out)
    counted = json.loads(run("stats", "--json").out)
    for config in ("dpo", "kto", "sft"):
        assert sum(counted["records"][config].values()) == sum(exported["rows"][config].values())
    assert counted["excluded"] == exported["excluded"]
    assert counted["position"] == exported["position"]
    assert sum(counted["events"].values()) == counted["position"]


def test_the_key_comes_from_the_environment_or_stays_beside_the_log(
    run: Run, log: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("export")
    key = place / ".labeler" / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    monkeypatch.setenv("LABELER_KEY", "a key that a team shares")
    assert json.loads(run("export", "--json").out)["shards_written"] == 1
    assert not key.exists()


# ── push and verify ──


def test_a_push_publishes_once_and_verify_proves_it(run: Run, hub: HubServer, log: Path) -> None:
    first = json.loads(run("push", "--repo", "tester/feedback", "--json").out)
    assert list(first)[-3:] == ["repo", "commit", "bytes_sent"]
    assert (first["repo"], first["commit"]) == ("tester/feedback", hub.commits("tester/feedback")[0].oid)
    second = json.loads(run("push", "--repo", "tester/feedback", "--json").out)
    assert (second["commit"], second["bytes_sent"]) == (None, 0)
    assert "up to date" in run("push", "--repo", "tester/feedback").out
    proven = run("verify", "--package", "exports/tried", "--repo", "tester/feedback")
    assert (proven.code, proven.out.count(": sound, ")) == (0, 3)


def test_a_dry_run_changes_nothing_there(run: Run, hub: HubServer, log: Path) -> None:
    said = run("push", "--repo", "tester/feedback", "--dry-run")
    assert said.code == 0
    assert "would create the private repo tester/feedback" in said.out
    assert "tester/feedback" not in {seen.path for seen in hub.seen if seen.method != "GET"}
    assert json.loads(run("push", "--repo", "tester/feedback", "--dry-run", "--json").out)["commit"] is None


def test_the_studys_repo_is_pushed_to_when_none_is_named(run: Run, hub: HubServer, log: Path, place: Path) -> None:
    write_study(place, dataset={"repo": "tester/from-the-study"})
    assert "tester/from-the-study: published" in run("push").out


def test_a_repo_whose_file_was_changed_does_not_pass_for_sound(run: Run, hub: HubServer, log: Path) -> None:
    from huggingface_hub import HfApi  # noqa: PLC0415 - a test's own visitor

    run("push", "--repo", "tester/feedback")
    api = HfApi(endpoint=hub.endpoint, token="hf_test")
    shard = next(path for path in hub.files("tester/feedback") if path.startswith("votes/"))
    api.upload_file(path_or_fileobj=b"spoilt", path_in_repo=shard, repo_id="tester/feedback", repo_type="dataset")
    assert shard in run("verify", "--repo", "tester/feedback").line


def test_a_package_can_be_proven_where_there_is_no_log(run: Run, log: Path) -> None:
    run("export")
    log.unlink()
    assert run("verify", "--package", "exports/tried").out.startswith("exports/tried: sound, ")


LOAD = """
import json, sys
from datasets import load_dataset
loaded = {config: load_dataset(sys.argv[1], config) for config in sys.argv[2:]}
print(json.dumps({config: {split: splits[split].num_rows for split in splits} for config, splits in loaded.items()}))
"""


def test_what_a_push_publishes_loads_from_the_hub_by_name(run: Run, hub: HubServer, log: Path, place: Path) -> None:
    document = json.loads(run("push", "--repo", "tester/feedback", "--json").out)
    # In a process of its own: the client reads HF_ENDPOINT when it is imported.
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, "tester/feedback", *document["rows"]],
        env=environment(HF_HUB_DISABLE_PROGRESS_BARS="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout) == document["rows"]
