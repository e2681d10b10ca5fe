"""The layout: a sidebar, the chat, a message box, and which gesture each of them makes."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler.page.toolkit import gr
from labeler.page.turns import Tab, Turns
from labeler.study import Consent, Study

WELCOME = "## What would you like to ask?\nAsk something, then judge the answers."
# As models write formulas. A single dollar stays a dollar: prices are more common in chats than sums.
MATHS: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
BARE: dict[str, Any] = {"container": False, "padding": False, "apply_default_css": False}
BRIDGE = "window.labeler.connect((detail) => trigger('click', detail), () => trigger('submit'));"
# Watchers may run for minutes and many at once, and a gesture must never wait for another one's watcher.
WATCHING: dict[str, Any] = {
    "api_visibility": "private",
    "concurrency_limit": None,
    "trigger_mode": "multiple",
    "show_progress": "hidden",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The components that events need."""

    chat: Any
    bridge: Any
    buttons: dict[str, Any]


def build_blocks(study: Study, turns: Turns) -> gr.Blocks:
    """The page as Gradio blocks, wired to its handlers."""
    blocks = gr.Blocks(title=study.title, analytics_enabled=False, fill_height=True, fill_width=True)
    with blocks:
        sidebar(study)
        consent_screen(study)
        parts = _chat(study)
        _wire(blocks, parts, turns)
    return blocks


def openers(prompts: Sequence[str]) -> list[Any] | None:
    """The study's prompts as a chat offers them while it is empty."""
    return [{"text": prompt} for prompt in prompts] or None


def redraw(blocks: gr.Blocks, study: Study) -> None:
    """Put a study's texts in the place of those that the blocks were built with, for pages loaded from now on.

    The components stay who they are, so that pages which are open go on as before.
    """
    parts: dict[str | None, Any] = {
        block.elem_id: block for block in blocks.blocks.values() if getattr(block, "elem_id", None)
    }
    parts["guidelines"].visible = bool(study.guidelines)
    _say(parts["guidelines-text"], study.guidelines)
    if study.consent is not None and "consent-text" in parts:
        _say(parts["consent-text"], study.consent.text)
        _say(parts["consent-foot"], _asked(study.consent))
    chat = parts.get("chat")
    if chat is not None and chat.placeholder == WELCOME:
        chat.examples = openers(study.prompts)
    blocks.config = blocks.get_config_file()


def _say(part: Any, text: str) -> None:
    part.value = part.postprocess(text)


def theme() -> gr.Theme:
    """Quiet neutrals and one accent; fonts of the machine, so that nothing is fetched."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    )


def sidebar(study: Study) -> None:
    # It starts closed, and the script opens it where there is room: Gradio's own start would cover a phone's page.
    with gr.Sidebar(open=False, width=300, elem_id="sidebar"):
        gr.HTML('<div id="sidebar-top"></div>', elem_id="sidebar-head", **BARE)
        with gr.Accordion("Guidelines", open=True, elem_id="guidelines", visible=bool(study.guidelines)):
            gr.Markdown(study.guidelines, elem_id="guidelines-text")
        gr.HTML('<div id="sidebar-facts"></div>', elem_id="sidebar-rest", **BARE)


def consent_screen(study: Study) -> None:
    if study.consent is None:
        return
    with gr.Column(elem_id="consent"):
        gr.Markdown(study.consent.text, elem_id="consent-text")
        gr.HTML(_asked(study.consent), elem_id="consent-foot", **BARE)


def _asked(consent: Consent) -> str:
    """Where the answer is given: it says of which version, so that nobody accepts another than the one they see."""
    return f'<div id="consent-actions" data-version="{html.escape(consent.version)}"></div>'


def _chat(study: Study) -> Parts:
    avatars = (study.avatars.user, study.avatars.assistant)
    with gr.Column(elem_id="chat-screen", scale=1):
        top(study)
        chat = gr.Chatbot(
            elem_id="chat",
            show_label=False,
            container=False,
            height="100%",
            scale=1,
            layout="bubble",
            group_consecutive_messages=False,
            editable="all",
            buttons=["copy"],
            feedback_value=[],
            avatar_images=avatars if any(avatars) else None,
            placeholder=WELCOME,
            examples=openers(study.prompts),
            allow_file_downloads=False,
            latex_delimiters=MATHS,
        )
        buttons = composer()
        bridge = foot()
    return Parts(chat, bridge, buttons)


def top(study: Study) -> None:
    """The page's heading."""
    gr.HTML(f"<h1>{html.escape(study.title)}</h1>", elem_id="top", **BARE)


def foot() -> gr.HTML:
    """The status line, and below it the bridge between the page's script and its handlers."""
    gr.HTML('<div id="status-line"></div>', elem_id="status", **BARE)
    return gr.HTML("", elem_id="bridge", js_on_load=BRIDGE, **BARE)


def composer() -> dict[str, Any]:
    """The message box and its buttons."""
    with gr.Column(elem_id="composer"):
        gr.Textbox(
            label="Your message",
            show_label=False,
            container=False,
            lines=1,
            max_lines=12,
            placeholder="Write a message",
            elem_id="box",
        )
        with gr.Row(elem_id="actions"):
            buttons = {
                "new": gr.Button("New conversation", elem_id="new", size="sm"),
                "stop": gr.Button("Stop", elem_id="stop", size="sm"),
                "send": gr.Button("Send", elem_id="send", variant="primary", size="sm"),
            }
    return buttons


def _wire(blocks: gr.Blocks, parts: Parts, turns: Turns) -> None:
    events = {
        blocks.load: "load",
        parts.chat.retry: "retry",
        parts.chat.undo: "undo",
        parts.chat.edit: "edit",
        parts.chat.clear: "clear",
        parts.buttons["send"].click: "send",
        parts.buttons["stop"].click: "stop",
        parts.buttons["new"].click: "new",
        parts.bridge.click: "bridge",
    }
    wire(events, turns, [parts.chat, parts.bridge])
    # Thumbs are painted by the browser alone: answering them from a handler would cost most of the speed of a vote.
    for event in (parts.chat.like, parts.bridge.submit):
        event(None, None, [parts.chat], js="() => window.labeler.thumbs()", queue=False, trigger_mode="multiple")


def wire(events: Mapping[Any, str], turns: Turns, shown: Sequence[Any]) -> None:
    """Every event takes its gesture from the script, which knows what the annotator saw; Gradio's copy is not read."""
    claims = gr.JSON(visible=False)
    tab = gr.State(Tab())
    for event, source in events.items():
        event(turns.act, [claims, tab], list(shown), js=f"() => window.labeler.gesture('{source}')", **WATCHING)
