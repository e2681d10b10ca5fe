"""Gradio apps of our own docs, really served in this process, and a program that calls them as a browser does."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount
from uvicorn import Config, Server

from labeler.core.events import Event, Payload
from labeler.core.folding import replay
from labeler.core.following import shown
from labeler.page.toolkit import gr
from labeler.store import Store
from tests.house import ROOT

PAGE = ROOT / "docs" / "attach.md"
INTERFACE, BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
READY_SECONDS = 60.0

P = TypeVar("P", bound=Payload)
Serve = Callable[..., "App"]
NewTab = Callable[..., "Browser"]


class App:
    """An app that is served, and the log of what was done in it."""

    def __init__(self, source: str, folder: Path, **mounted: Any) -> None:
        self.database = f"sqlite:///{folder}/.labeler/local.db"
        self._ended: Future[None] = Future()
        self._server: Server | None = None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._thread = threading.Thread(target=self._run, args=(source, listener.dup(), mounted))
            self._thread.start()
        deadline = time.monotonic() + READY_SECONDS
        while self._server is None or not self._server.started:
            if self._ended.done():
                self._ended.result()
            assert time.monotonic() < deadline, "the app does not start"
            time.sleep(0.01)

    def _run(self, source: str, listener: socket.socket, mounted: dict[str, Any]) -> None:
        try:
            with listener:
                asyncio.run(self._serve(source, listener, mounted))
            self._ended.set_result(None)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the test
            self._ended.set_exception(error)

    async def _serve(self, source: str, listener: socket.socket, mounted: dict[str, Any]) -> None:
        page = gr.mount_gradio_app(FastAPI(), demo_of(source), path="/", show_error=False, **mounted)
        self._states = next(route.app for route in page.routes if isinstance(route, Mount)).state_holder
        self._server = Server(Config(page, log_level="error", timeout_graceful_shutdown=1))
        await self._server.serve([listener])

    def close(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(READY_SECONDS)

    def has_named_a_chat(self) -> bool:
        """Whether a page was opened and its uuid is drawn."""
        states = [state for session in self._states.session_data.values() for state in session.state_data.values()]
        return any(isinstance(state, UUID) for state in states)

    def events(self, *annotators: str) -> list[Event]:
        """What was recorded of these annotators, of all if none is named."""
        with closing(Store.open(self.database)) as store:
            return [event for event in store.scan(after=1) if not annotators or event.annotator_id in annotators]


class Browser:
    """One tab of a browser, without the browser: it has a chat to show, and sends it along."""

    def __init__(self, app: App, **options: Any) -> None:
        self.app = app
        self.http = httpx.Client(base_url=app.address, timeout=20, **options)
        self.tab = f"tab{id(self):x}"
        self.chat: list[dict[str, Any]] = []
        self.moment = 0.0
        config = self.http.get("/config").json()
        self.listeners: list[dict[str, Any]] = config["dependencies"]

    def welcomed(self) -> Browser:
        """Open the page, and keep the cookie."""
        cookie = self.call("labeler_welcome", [])["data"][0]
        name, _, value = cookie.partition(";")[0].partition("=")
        if name:
            self.http.cookies.set(name, value)
        return self

    def listener(self, name: str) -> int:
        return int(next(one["id"] for one in self.listeners if one["api_name"] == name))

    # ── what was recorded ──

    @property
    def annotator(self) -> str:
        """Who the cookie says this is."""
        return next((str(value).partition(".")[0] for value in self.http.cookies.values()), "nobody")

    def events(self) -> list[Event]:
        return self.app.events(self.annotator)

    def payloads(self, kind: type[P]) -> list[P]:
        return [event.payload for event in self.events() if isinstance(event.payload, kind)]

    def kinds(self) -> list[str]:
        return [event.payload.kind for event in self.events()]

    def conversations(self) -> list[str]:
        return list(dict.fromkeys(event.conversation_id for event in self.events()))

    def texts(self, number: int = -1) -> list[str]:
        """What shows in a conversation, the last one unless told otherwise."""
        named = self.conversations()[number]
        events = [event for event in self.events() if event.conversation_id == named]
        return [message.content for message in shown(replay(named, events))]

    # ── calling ──

    def call(self, name: str | int, data: list[Any], facts: object = None) -> dict[str, Any]:
        number = self.listener(name) if isinstance(name, str) else name
        body = {"data": data, "fn_index": number, "session_hash": self.tab, "event_data": facts, "trigger_id": None}
        as_sent = {"content": json.dumps(body), "headers": {"content-type": "application/json"}}
        answer = self.http.post("/gradio_api/run/predict", **as_sent)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    # ── what our listeners are called with ──

    def shows(self, *texts: str) -> Browser:
        """Show a chat in which both sides speak in turn."""
        self.chat = [
            {"role": role, "content": [{"type": "text", "text": text}], "metadata": None, "options": None}
            for role, text in zip(("user", "assistant") * len(texts), texts, strict=False)
        ]
        return self

    def tell(self, event: str, moment: float | None = None, **facts: Any) -> bool:
        """Tell of a gesture, or of an end. Returns whether the person is told that it was not recorded."""
        self.moment += 1
        at = self.moment if moment is None else moment
        said = self.call(f"labeler_{event}", [None, None, at, self.chat], facts or None)
        return bool(said["data"] and said["data"][0])

    def like(self, index: int = 1, liked: object = True, **more: Any) -> bool:
        return self.tell("like", index=index, value=["whatever"], liked=liked, **more)


def demo_of(source: str) -> Any:
    """What a piece of Python calls ``demo``. Gradio leaves event loops open unless one runs."""
    space: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "docs/attach.md", "exec"), space)
    return space["demo"]


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """A working directory with the default study file."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@contextmanager
def serving(source: str, folder: Path, **mounted: Any) -> Iterator[App]:
    app = App(source, folder, **mounted)
    try:
        yield app
    finally:
        app.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with working_in(tmp_path / "here") as folder:
        yield folder


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Serves the page that a piece of Python calls ``demo``."""
    with ExitStack() as apps:
        yield lambda source, **mounted: apps.enter_context(serving(source, folder, **mounted))


@pytest.fixture(scope="package")
def interface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The guide's ChatInterface, attached: one for all tests, each of which is another annotator."""
    folder = tmp_path_factory.mktemp("interface") / "here"
    with working_in(folder), serving(INTERFACE, folder) as app:
        yield app


@pytest.fixture
def new_tab() -> Iterator[NewTab]:
    """Opens an app in a browser that was never there before: ``new_tab(app)``."""
    tabs: list[Browser] = []

    def opened(app: App, **options: Any) -> Browser:
        tabs.append(Browser(app, **options))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.http.close()


@pytest.fixture
def tab(interface: App, new_tab: NewTab) -> Browser:
    return new_tab(interface).welcomed()
