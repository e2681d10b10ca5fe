"""The page about monitoring, the alerts and the dashboard name what there is, and all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from labeler.core.events import ReplyFinished, VoteCast
from labeler.metrics import COUNTED, TIMED, Metrics, PushStanding, Standing
from labeler.reloading import RENEWED
from labeler.study import Study
from labeler.watching import Answered
from tests.house import ROOT
from tests.monitoring.test_metrics import stored

PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
ALERTS = ROOT / "deploy" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "dashboard.json"
OURS = re.compile(r"\blabeler_[a-z_]+")


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[str, frozenset[str]]]:
    """Every family of ours that a page tells once something of every kind has happened: its kind and labels."""
    metrics = Metrics(
        {"version": "1", "study": "s", "gradio": "6"},
        lambda: Standing(7, [PushStanding("r", 1.0, 1, 0)], {"open": 1}),
    )
    metrics.answered(Answered("r", "GET", "/", 200, 0.1))
    metrics.submitted()
    metrics.appended(stored(1))
    metrics.reply_began("m")
    metrics.reply_ended(
        "m", ReplyFinished(message_id="a", content="x", status="complete", latency_ms=1, first_token_ms=1)
    )
    metrics.reloaded(True)
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        if not family.name.startswith("labeler_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = frozenset(label for one in family.samples for label in one.labels) - {"le"}
        found[name] = (family.type, labels)
    return found


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(r"^\| `(labeler_[a-z_]+)` \| (\w+) \|([^|]*)\|", PAGE, re.M)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_page_has_every_metric_with_its_kind_and_labels(told: dict[str, Any]) -> None:
    assert documented() == told
    assert {*COUNTED, *TIMED} <= {name.removesuffix("_total") for name in told}


def samples_of(told: dict[str, Any]) -> set[str]:
    """What an expression may name."""
    parts = {name: ("_bucket", "_count", "_sum") if kind == "histogram" else ("",) for name, (kind, _) in told.items()}
    return {f"{name}{part}" for name, suffixes in parts.items() for part in suffixes}


def expressions() -> Iterator[str]:
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("expression", list(expressions()))
def test_alerts_and_dashboard_ask_for_what_is_told(expression: str, told: dict[str, Any]) -> None:
    assert set(OURS.findall(expression)) <= samples_of(told)
    assert expression.count("(") == expression.count(")")
    for name, values in re.findall(r"(labeler_\w+)\{([^}]*)\}", expression):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        assert set(re.findall(r"(\w+)=", values)) - {"job"} <= told[base][1]


def test_every_alert_says_what_to_do() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "do"}
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)


def test_every_panel_of_the_dashboard_has_a_place_of_its_own() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(taken)) == len(taken)


def test_the_page_names_every_key_that_is_taken_at_once() -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith("`system_prompt`")]
    assert set(re.findall(r"`([a-z_.]+)`", line)) == RENEWED


@pytest.mark.parametrize("key", ["metrics"])
def test_the_page_has_every_value_of_a_study_key(key: str) -> None:
    (table,) = re.findall(rf"^\| `{key}` \|.*?\n\n", PAGE, re.M | re.S)
    values = Study.model_json_schema()["properties"][key]["enum"]
    assert re.findall(r"^\| `(\w+)` \| \w+:? ?", table.split("\n", 2)[2], re.M) == values


def test_the_lines_shown_of_the_journal_are_json_with_the_documented_keys() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    gesture, request = map(json.loads, block.splitlines())
    assert gesture["request"] == request["request"]
    assert gesture["kinds"] == [VoteCast.kind]
    for key in ("request", "conversation", "annotator", "ms", "event"):
        assert f"`{key}`" in PAGE
