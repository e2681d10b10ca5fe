"""From a view to what Gradio draws and what the browser script knows."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labeler.chat import Shown, View
from labeler.page.toolkit import gr
from labeler.study import Consent


@dataclass(frozen=True, slots=True)
class Echo:
    """What became of one gesture: told once, recognised by its nonce.

    ``line`` is for people; ``text`` goes back into the message box; ``again`` says that the very same gesture may be
    made again, because only the store refused it.
    """

    nonce: str = ""
    kind: str = "open"
    ok: bool = True
    again: bool = False
    line: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything one render shows. ``boot`` names the server process, ``annotator`` the one who looks.

    Without a ``view`` the page keeps what it shows: the conversation cannot be read now.
    """

    boot: str
    annotator: str
    view: Any
    echo: Echo
    consent: Consent | None = None


def chat_value(frame: Frame) -> Any:
    """What the Chatbot shows now: messages and no other property. The browser paints the thumbs.

    For another property Gradio would make the component anew with every step of an answer, and keep the old ones.
    """
    return gr.skip() if frame.view is None else chat_messages(frame.view.shown)


def chat_messages(shown: Sequence[Shown]) -> list[dict[str, Any]]:
    """Messages as the Chatbot takes them.

    Text goes in as a list of parts: Gradio strips the indentation of plain strings, which would break code blocks.
    """
    return [text_message(message.id, message.role, message.text) for message in shown]


def text_message(message_id: str, role: str, text: str) -> dict[str, Any]:
    """One message, found again in the browser by its id."""
    return {"role": role, "content": [{"type": "text", "text": text}], "metadata": {"id": message_id}}


def facts(frame: Frame, stamp: int, view: dict[str, Any] | None) -> dict[str, Any]:
    """What the browser script needs to know. ``stamp`` grows with every render of a server process."""
    return {
        "boot": frame.boot,
        "stamp": stamp,
        "annotator": frame.annotator,
        "consent": frame.consent.version if frame.consent else None,
        "echo": asdict(frame.echo),
        "view": view,
    }


def view_facts(view: View) -> dict[str, Any]:
    """The same of a conversation in the chat."""
    return {
        "conversation": view.conversation_id,
        "turn_seq": view.turn_seq,
        "running": view.running,
        "messages": [_message_facts(message) for message in view.shown],
    }


def _message_facts(message: Shown) -> dict[str, Any]:
    return {
        "id": message.id,
        "role": message.role,
        "status": message.status,
        "empty": not message.text.strip(),
        "origin": message.origin,
        "error": message.error,
        "vote": message.vote,
        "reasons": list(message.reasons),
        "comment": message.comment,
        "place": message.place,
        "of": message.of,
        "previous": message.previous_id,
        "next": message.next_id,
        "question": message.question,
        "compared": message.compared,
    }


def hidden_element(known: dict[str, Any]) -> str:
    """Facts as an element that nobody sees, inert whatever the texts hold."""
    return f'<i hidden data-view="{html.escape(json.dumps(known))}"></i>'
