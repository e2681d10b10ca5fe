"""``labeler.attach``: one line that has a Gradio app's chat recorded in the log of a study."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labeler.accounts.keys import VARIABLE
from labeler.app import cookie_secret
from labeler.attached import Attachment, Pace, People
from labeler.attached.wiring import chatbot_of
from labeler.chat import Follower
from labeler.page import Identity
from labeler.page.toolkit import gr
from labeler.store import Store, utc_now
from labeler.study import Study, load_study

STUDY = Path("configs/local.yaml")

_LOCK = threading.Lock()
_LOGS: dict[tuple[str, Path], Store] = {}


def attach(
    chat: gr.Chatbot | gr.ChatInterface,
    *,
    session: Any = None,
    annotator: Callable[[gr.Request], str | None] | None = None,
    study: Study | Path | str = STUDY,
    database: str | None = None,
    model: str = "attached",
) -> None:
    """Record what people do in a chat of a Gradio app: likes, edits, retries, undos and clears, and what was said.

    Call it when the app's own listeners are wired, inside its ``gr.Blocks`` or after. The app works as before; its
    thumbs appear. What is recorded is the client's copy, and the log says so.

    Args:
        session: the app's own component or state that names a chat, such as a uuid: when its value changes, a new
            conversation begins. None: every opened page is a conversation.
        annotator: tells from a request who somebody is. None: the name with which they signed in to the app, or else
            a signed cookie.
        study: the study, or its file.
        database: where the log is. None: where the study has it.
        model: what the answers are said to be by.

    Raises:
        AttachRefused: the chat cannot be listened to before the app's own listeners.
        StudyError, StoreError, LabelerError: what is needed cannot be read.
    """
    read = (study if isinstance(study, Study) else load_study(Path(study))).with_database(database)
    chatbot = chatbot_of(chat)
    store = _log(read.database_url)
    people = People(Identity(cookie_secret(stated=os.environ.get(VARIABLE, "")), store.source_id), annotator)
    Attachment(chatbot, Follower(read, store, model, clock=utc_now), people, Pace(read.limits), session)


def _log(url: str) -> Store:
    """A log, opened once in a process and closed at its end."""
    with _LOCK:
        key = url, Path.cwd()  # a URL may name a file from here
        store = _LOGS.get(key)
        if store is None:
            store = _LOGS[key] = Store.open(url)
            atexit.register(store.close)
        return store
