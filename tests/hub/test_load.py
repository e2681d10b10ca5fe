"""``datasets.load_dataset`` reads every config of a package, from its folder and from the Hub it was pushed to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labeler.hub import push
from tests.export import exported, judged, manifest_of, open_store, study_of, tell
from tests.hub.conftest import REPO, repo_on
from tests.hub_server import HubServer

# In a process of its own: the Hub's address is read when the library is imported.
LOADING = """
import json, sys
from datasets import load_dataset, disable_progress_bars
disable_progress_bars()
found = {}
for place in sys.argv[2:]:
    for config in json.loads(sys.argv[1]):
        found[f"{place} {config}"] = {split: len(rows) for split, rows in load_dataset(place, config).items()}
print(json.dumps(found))
"""
CONFIGS = ["dpo", "reward", "kto", "sft", "votes", "comparisons", "messages"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("load")
    with open_store(folder) as store:
        tell(store, *(judged(number) for number in range(8)))
        exported(store, study_of(), folder / "package")
    return folder / "package"


@pytest.mark.timeout(300)
def test_every_config_loads_from_the_folder_and_from_the_hub(hub: HubServer, package: Path, tmp_path: Path) -> None:
    push(package, repo_on(hub))
    home = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", LOADING, json.dumps(CONFIGS), str(package), REPO]
    done = subprocess.run(command, env={**os.environ, **home}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    totals = {config: dict(splits) for config, splits in manifest_of(package).totals.items()}
    assert sorted(totals) == sorted(CONFIGS)
    for place in (str(package), REPO):
        assert {config: loaded[f"{place} {config}"] for config in CONFIGS} == totals


def test_after_a_later_push_only_the_later_rows_load(hub: HubServer, package: Path, tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        tell(store, judged(0))
        exported(store, study_of(), tmp_path / "package")
        push(tmp_path / "package", repo_on(hub))
        tell(store, judged(1), judged(2))
        exported(store, study_of(), tmp_path / "package")
    push(tmp_path / "package", repo_on(hub))
    home = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", LOADING, '["messages"]', REPO]
    done = subprocess.run(command, env={**os.environ, **home}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert loaded[f"{REPO} messages"] == manifest_of(tmp_path / "package").totals["messages"]
