"""Our listeners come first, wherever the chat is put; an app in which they would not does not start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.attached.order import prove_first, put_first
from labeler.errors import AttachRefused, LabelerError
from tests.attach.conftest import BLOCKS, INTERFACE, demo_of
from tests.house import ROOT
from tests.loops import run

GESTURES = ("like", "retry", "undo", "edit", "clear")
BEFORE = "import gradio as gr\nimport labeler\n"
PLAIN = BEFORE + "demo = gr.ChatInterface(lambda message, history: message)\n"
ANNOTATED = "labeler.attach(demo, annotator=lambda request: 'ann')\n"
OVERTAKEN = "demo.default_config.fns = dict(sorted(demo.fns.items()))\n"


def config_of(source: str) -> dict[str, Any]:
    """What browsers are told of the page that a piece of Python calls ``demo``."""

    async def told() -> dict[str, Any]:
        config: dict[str, Any] = demo_of(source).get_config_file()
        return config

    return run(told())


def first_at(config: dict[str, Any], event: str) -> list[str]:
    """Who hears an event of a chatbot first, of each chatbot."""
    chats = [one["id"] for one in config["components"] if one["type"] == "chatbot"]
    heard = [
        [
            one["api_name"]
            for one in config["dependencies"]
            if [chat, event] in [list(target) for target in one["targets"]]
        ]
        for chat in chats
    ]
    return [names[0] for names in heard if names]


# ── putting and proving ──


@given(st.lists(st.booleans(), max_size=12))
def test_those_put_first_come_first_and_everybody_keeps_their_order(ours: list[bool]) -> None:
    listeners: dict[int, Any] = {number: [number] for number in range(len(ours))}
    first = [listeners[number] for number, mine in enumerate(ours) if mine]
    others = [one for one in listeners.values() if one not in first]
    put_first(listeners, first)
    assert list(listeners.values()) == [*first, *others]
    assert all(listeners[one[0]] is one for one in listeners.values())


def heard(number: int, name: str, *targets: tuple[int, str]) -> dict[str, Any]:
    return {"id": number, "api_name": name, "targets": targets}


def test_whoever_hears_first_instead_is_named() -> None:
    told = [heard(1, "handle_retry", (5, "retry")), heard(2, "ours", (5, "retry"))]
    with pytest.raises(AttachRefused, match=r"'handle_retry' hears 'retry' before labeler does") as refused:
        prove_first(told, {(5, "retry"): 2})
    assert "\n" not in str(refused.value)


def test_listeners_of_other_events_and_other_chats_may_come_before() -> None:
    told = [heard(1, "other", (5, "copy"), (6, "retry")), heard(2, "ours", (5, "retry"))]
    prove_first(told, {(5, "retry"): 2})


def test_a_listener_that_is_gone_is_missed() -> None:
    with pytest.raises(AttachRefused, match="nobody hears 'like' any more"):
        prove_first([heard(1, "other", (5, "copy"))], {(5, "like"): 2})


# ── in a page ──


@pytest.mark.parametrize("source", [INTERFACE, BLOCKS], ids=["interface", "blocks"])
def test_in_both_examples_we_hear_every_gesture_first(folder: Path, source: str) -> None:
    config = config_of(source)
    assert [first_at(config, event) for event in GESTURES] == [[f"labeler_{event}"] for event in GESTURES]


def test_an_app_without_retry_undo_and_edit_gets_no_buttons_that_do_nothing(folder: Path) -> None:
    source = BEFORE + "with gr.Blocks() as demo:\n    chat = gr.Chatbot()\n    labeler.attach(chat)\n"
    config = config_of(source)
    (chat,) = (one["props"] for one in config["components"] if one["type"] == "chatbot")
    assert (chat["likeable"], chat["_retryable"], chat["_undoable"], chat.get("editable")) == (True, False, False, None)


def test_listeners_that_are_wired_later_come_later(folder: Path) -> None:
    later = "with demo:\n    demo.chatbot.retry(lambda: None)\n"
    assert first_at(config_of(PLAIN + ANNOTATED + later), "retry") == ["labeler_retry"]


def test_an_app_that_somebody_else_hears_first_does_not_start(folder: Path) -> None:
    with pytest.raises(AttachRefused, match="hears 'retry' before labeler does"):
        config_of(PLAIN + ANNOTATED + OVERTAKEN)


def test_an_app_whose_own_listener_overtook_ours_says_so_in_its_last_line(folder: Path) -> None:
    launched = "demo.launch(prevent_thread_lock=True, quiet=True, server_name='127.0.0.1')\n"
    run = subprocess.run(
        [sys.executable, "-c", PLAIN + ANNOTATED + OVERTAKEN + launched],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("labeler.errors.AttachRefused: labeler.attach: the listener '")


TABS = "demo = gr.TabbedInterface([demo, gr.ChatInterface(lambda message, history: message)])\n"


@pytest.mark.parametrize("attached", ["before", "after"])
def test_a_chat_that_is_put_into_tabs_is_heard_there(folder: Path, attached: str) -> None:
    attach = ANNOTATED.replace("demo", "chat")
    source = PLAIN.replace("demo =", "chat = demo =") + (attach + TABS if attached == "before" else TABS + attach)
    config = config_of(source)
    offered = ("like", "retry", "undo", "clear")
    assert [first_at(config, event)[0] for event in offered] == [f"labeler_{event}" for event in offered]


def test_only_the_end_of_a_chain_is_the_end_of_an_answer(folder: Path) -> None:
    chain = BEFORE + (
        "with gr.Blocks() as demo:\n"
        "    chat, box = gr.Chatbot(), gr.Textbox()\n"
        "    said = box.submit(lambda: [], None, chat, api_name='said')\n"
        "    labeler.attach(chat)\n"
        "    said.then(lambda: [], None, chat, api_name='answered')\n"
    )
    config = config_of(chain)
    names = {one["id"]: one["api_name"] for one in config["dependencies"]}
    after = [names[one["trigger_after"]] for one in config["dependencies"] if "labeler_success" in one["api_name"]]
    assert after == ["answered"]


def test_opening_a_page_is_no_answer(folder: Path) -> None:
    opened = BEFORE + (
        "with gr.Blocks() as demo:\n"
        "    chat = gr.Chatbot()\n"
        "    demo.load(lambda: [], None, chat).then(lambda: [], None, chat)\n"
        "    labeler.attach(chat)\n"
    )
    assert not any("labeler_success" in one["api_name"] for one in config_of(opened)["dependencies"])


# ── what cannot be attached to ──

REFUSED = {
    "no chat": ("demo = gr.Blocks()\nlabeler.attach(demo)", "Blocks is no chat"),
    "twice": (PLAIN + ANNOTATED + ANNOTATED, "attached already"),
    "in no page": ("labeler.attach(gr.Chatbot())", "in no gr.Blocks"),
    "a foreign session": (PLAIN + "labeler.attach(demo, session=gr.State(1))", "session is no component of this page"),
    "a name for a session": (PLAIN + "labeler.attach(demo, session='uuid')", "session is no component of this page"),
    "no study": (PLAIN + "labeler.attach(demo, study='nowhere.yaml')", "nowhere.yaml: cannot read the study file"),
    "no database": (PLAIN + "labeler.attach(demo, database='mysql://x')", "mysql"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_attached_is_refused_in_one_line(folder: Path, case: str) -> None:
    source, line = REFUSED[case]
    with pytest.raises(LabelerError, match=line) as refused:
        config_of(BEFORE + source)
    assert "\n" not in str(refused.value)
