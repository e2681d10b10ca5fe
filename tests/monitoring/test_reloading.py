"""The study file read again: all of what may change or nothing, and nobody who is at work notices."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labeler.errors import StudyError
from labeler.ids import text_sha256
from labeler.reloading import RENEWED, Reloader, renewal
from labeler.store import Store
from labeler.study import Study, parse_study
from tests.model_server import ModelServer
from tests.monitoring.conftest import Line, Monitored, study_of
from tests.page.visitor import Visitor

MODEL = {"kind": "openai", "name": "m", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
CONSENT = {"version": "1", "text": "First words."}
TREE: dict[str, Any] = {"name": "served", "models": [MODEL], "consent": CONSENT}
CHANGES: dict[str, Any] = {
    "guidelines": "Be fair.",
    "vote_reasons": ["Kind"],
    "prompts": ["Why?"],
    "system_prompt": "Be brief.",
    "limits": {"message_chars": 99},
    "consent": {"version": "2", "text": "Other words."},
    "name": "other",
    "title": "Other",
    "database": "sqlite:///elsewhere.db",
    "auth": "password",
    "modes": ["chat", "review"],
    "log": "json",
    "metrics": "off",
    "rules": {"implicit": True},
    "redaction": "replace",
}


def study(**changes: Any) -> Study:
    return parse_study(TREE | changes)


@given(st.sets(st.sampled_from(sorted(CHANGES))))
def test_what_may_change_is_taken_and_the_rest_is_named_and_stays(keys: set[str]) -> None:
    read = study(**{key: CHANGES[key] for key in keys})
    found = renewal(study(), read)
    for key in keys:
        names = {name for name in (*found.taken, *found.waiting) if name.partition(".")[0] == key}
        assert names, key
        assert names <= RENEWED or not names & RENEWED
        taken = names <= RENEWED
        assert getattr(found.study, key) == getattr(read if taken else study(), key)
        assert all(name in found.line for name in names)
    assert {name.partition(".")[0] for name in (*found.taken, *found.waiting)} == keys
    again = renewal(found.study, read)
    assert again.taken == ()
    assert again.waiting == found.waiting


@pytest.mark.parametrize("key", sorted(RENEWED))
def test_every_renewed_key_is_a_key_of_the_study(key: str) -> None:
    part: Any = study()
    for name in key.split("."):
        assert name in type(part).model_fields
        part = getattr(part, name)


def test_whether_consent_is_asked_for_at_all_needs_a_restart() -> None:
    for served, read in ((study(), study(consent=None)), (study(consent=None), study())):
        found = renewal(served, read)
        assert (found.taken, found.waiting, found.study) == ((), ("consent",), served)


def test_a_bad_file_changes_nothing_and_is_one_line() -> None:
    said: list[str] = []
    renewed: list[Study] = []

    def bad() -> Study:
        raise StudyError("study.yaml: unknown key 'guidlines'")

    assert not Reloader(study(), bad, renewed.append, said.append).reload()
    assert renewed == []
    assert said == ["study.yaml: unknown key 'guidlines'; the study stays as it was"]


def test_a_file_that_says_the_same_renews_nothing() -> None:
    said: list[str] = []
    renewed: list[Study] = []
    assert Reloader(study(), study, renewed.append, said.append).reload()
    assert renewed == []
    assert said == ["the study file says what it said before"]


# ── over a served page ──


OLD: dict[str, Any] = {"guidelines": "Old guidelines.", "prompts": ["Old opener?"], "system_prompt": "Old system."}
NEW: dict[str, Any] = {
    "guidelines": "New guidelines.",
    "prompts": ["New opener?", "Another?"],
    "system_prompt": "New system.",
    "vote_reasons": ["Clear"],
    "limits": {"message_chars": 30},
}


@pytest.fixture
def served(model: ModelServer, tmp_path: Path) -> Iterator[Monitored]:
    with Monitored(tmp_path, study_of(model, **OLD)) as served:
        yield served


def reload(served: Monitored, tree: dict[str, Any] | str) -> Line:
    """Write the study file, send SIGHUP, and wait for what is said of it."""
    served.config.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree), encoding="utf-8")
    before = len(_said(served))
    assert served.process is not None
    served.process.send_signal(signal.SIGHUP)
    served.line(lambda line: len(_said(served)) > before)
    return _said(served)[before]


def _said(served: Monitored) -> list[Line]:
    return [line for line in served.lines() if line["event"] == "said"]


def test_pages_loaded_after_a_sighup_have_the_new_words_and_open_ones_go_on(
    served: Monitored, model: ModelServer
) -> None:
    early = Visitor(served)
    assert "Old guidelines." in early.page
    assert "Old opener?" in early.page
    early.say("say: One")
    line = reload(served, study_of(model, **NEW))
    assert line["words"].startswith("taken from the study file: system_prompt, guidelines, vote_reasons, prompts")
    late = Visitor(served)
    for words in ("New guidelines.", "New opener?", "Another?", "Clear"):
        assert words in late.page
    for words in ("Old guidelines.", "Old opener?", "Helpful"):
        assert words not in late.page
    reason = {key: value for key, value in early.vote().items() if key != "value"} | {"kind": "reason"}
    assert early.post(early.vote()).status_code == 200
    assert early.post(reason | {"reasons": ["Helpful"]}).status_code == 200  # the open page offers the old ones
    assert early.post(reason | {"nonce": "n" * 16, "reasons": ["Clear"]}).status_code == 200
    late.say("say: Two")
    with Store.open(served.database) as store:
        begun = {event.conversation_id: event.payload.system_prompt for event in store.of_kind("conversation_started")}  # type: ignore[attr-defined]
    assert begun == {early.conversation: "Old system.", late.conversation: "New system."}
    told = late.call({"kind": "send", "nonce": "m" * 16, "conversation": None, "text": "x" * 31})
    assert "at most 30 fit" in str(told["data"])
    early.close()
    late.close()


def test_an_answer_that_is_being_written_goes_on_over_a_reload(served: Monitored, model: ModelServer) -> None:
    visitor = Visitor(served)
    nonce = "w" * 16
    body = {
        "data": [
            {"kind": "send", "nonce": nonce, "conversation": None, "text": "say: Whole answer\ngate: held 1"},
            None,
        ],
        "fn_index": visitor.handler(),
        "session_hash": "s" * 12,
        "event_data": None,
    }
    assert visitor.http.post("/gradio_api/queue/join", json=body).status_code == 200
    served.line(lambda line: "reply_started" in line.get("kinds", ()))
    reload(served, study_of(model, **NEW))
    model.release("held")
    served.line(lambda line: "reply_finished" in line.get("kinds", ()))
    with Store.open(served.database) as store:
        (ended,) = store.of_kind("reply_finished")
    assert (ended.payload.status, ended.payload.content) == ("complete", "Whole answer")  # type: ignore[attr-defined]
    visitor.close()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("name: [", "is not YAML"),
        ("name: watched\nguidlines: x\n", "key 'models' is missing"),
        ("- a list\n", "key: value"),
    ],
)
def test_a_bad_file_leaves_the_served_study_as_it_was(served: Monitored, bad: str, said: str) -> None:
    line = reload(served, bad)
    assert said in line["words"]
    assert line["words"].endswith("; the study stays as it was")
    visitor = Visitor(served)
    assert "Old guidelines." in visitor.page
    visitor.close()


def test_a_change_that_needs_a_restart_is_named(served: Monitored, model: ModelServer) -> None:
    line = reload(served, study_of(model, **OLD, name="renamed", auth="password"))
    assert line["words"] == "changed there, and needs a restart: name, auth.kind"
    assert served.health()["study"] == "watched"


def test_a_new_version_of_the_consent_text_asks_everybody_again(model: ModelServer, tmp_path: Path) -> None:
    def tree(version: str) -> dict[str, Any]:
        return study_of(model, consent={"version": version, "text": f"Words of {version}."})

    with Monitored(tmp_path, tree("first")) as served:
        visitor = Visitor(served)
        visitor.call({"kind": "accept_consent", "nonce": "a" * 16, "version": "first"})
        visitor.say("say: One")
        assert visitor.post(visitor.vote()).status_code == 200
        reload(served, tree("second"))
        assert visitor.post(visitor.vote()).status_code == 403
        stale = visitor.call({"kind": "accept_consent", "nonce": "b" * 16, "version": "first"})
        assert "The consent text has changed" in str(stale["data"])
        fresh = Visitor(served)
        assert "Words of second." in fresh.page
        assert re.search(r"data-version=\W+second\W", fresh.page)
        visitor.call({"kind": "accept_consent", "nonce": "c" * 16, "version": "second"})
        assert visitor.post(visitor.vote()).status_code == 200
        with Store.open(served.database) as store:
            given = [event.payload for event in store.of_kind("consent_given")]
        assert [one.text_sha256 for one in given] == [  # type: ignore[attr-defined]
            text_sha256("Words of first."),
            text_sha256("Words of second."),
        ]
        visitor.close()
        fresh.close()


def test_a_closed_terminal_ends_the_page_as_sigterm_does(model: ModelServer, tmp_path: Path) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study_of(model)), encoding="utf-8")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL, os.ttyname(theirs), "--config", str(config), "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    os.close(theirs)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline().startswith("labeler: serving")
        os.close(ours)  # the kernel sends SIGHUP to whoever has this terminal
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()


# A session of its own takes the terminal it opens first as its controlling one.
_ON_A_TERMINAL = """
import os, sys
os.open(sys.argv[1], os.O_RDWR)
sys.argv = ["labeler", "serve", *sys.argv[2:]]
from labeler.cli import main
main()
"""


def test_a_reload_is_counted(served: Monitored, model: ModelServer) -> None:
    reload(served, study_of(model, **NEW))
    reload(served, "no: [")
    visitor = Visitor(served)
    metrics = visitor.http.get("/metrics").text
    assert 'labeler_study_reloads_total{outcome="taken"} 1.0' in metrics
    assert 'labeler_study_reloads_total{outcome="refused"} 1.0' in metrics
    visitor.close()
