"""Gradio apps of our own docs, really served in this process, and a program that calls them as a browser does."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from uvicorn import Config, Server

from labeler.core.events import Event
from labeler.core.folding import replay
from labeler.core.following import shown
from labeler.page.toolkit import gr
from labeler.store import Store
from tests.house import ROOT

PAGE = ROOT / "docs" / "attach.md"
INTERFACE, BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
READY_SECONDS = 60.0

Serve = Callable[..., "App"]


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
        self._server = Server(Config(page, log_level="error", timeout_graceful_shutdown=1))
        await self._server.serve([listener])

    def close(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(READY_SECONDS)

    def events(self) -> list[Event]:
        """All that was recorded, but for the log's own beginning."""
        with closing(Store.open(self.database)) as store:
            return list(store.scan(after=1))

    def kinds(self) -> list[str]:
        return [event.payload.kind for event in self.events()]

    def conversations(self) -> list[str]:
        return list(dict.fromkeys(event.conversation_id for event in self.events()))

    def texts(self, conversation_id: str | None = None) -> list[str]:
        """What shows in a conversation, the last one unless told otherwise."""
        named = conversation_id or self.conversations()[-1]
        events = [event for event in self.events() if event.conversation_id == named]
        return [message.content for message in shown(replay(named, events))]


class Browser:
    """One tab of a browser, without the browser: it has a chat to show, and sends it along."""

    def __init__(self, app: App, **cookies: str) -> None:
        self.app = app
        self.http = httpx.Client(base_url=app.address, timeout=20, cookies=cookies)
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

    def listener(self, name: str, **wanted: Any) -> int:
        found = (
            one["id"]
            for one in self.listeners
            if re.fullmatch(rf"{name}(_\d+)?", str(one["api_name"]))
            and all(one[key] == value for key, value in wanted.items())
        )
        return int(next(found))

    def call(self, name: str | int, data: list[Any], facts: object = None) -> dict[str, Any]:
        number = self.listener(name) if isinstance(name, str) else name
        body = {"data": data, "fn_index": number, "session_hash": self.tab, "event_data": facts, "trigger_id": None}
        answer = self.http.post("/gradio_api/run/predict", json=body)
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
        said = self.call(f"labeler_{event}", [self.chat, None, at], facts or None)
        return bool(said["changed_state_ids"])

    def like(self, index: int = 1, liked: object = True, **more: Any) -> bool:
        return self.tell("like", index=index, value=["whatever"], liked=liked, **more)


def demo_of(source: str) -> Any:
    """What a piece of Python calls ``demo``. Gradio leaves event loops open unless one runs."""
    space: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "docs/attach.md", "exec"), space)
    return space["demo"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the default study file."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Serves the page that a piece of Python calls ``demo``."""
    apps: list[App] = []

    def served(source: str, **mounted: Any) -> App:
        apps.append(App(source, folder, **mounted))
        return apps[-1]

    yield served
    for app in apps:
        app.close()


@pytest.fixture
def interface(serve: Serve) -> App:
    """The guide's ChatInterface, attached."""
    return serve(INTERFACE)


@pytest.fixture
def browser_tab(interface: App) -> Iterator[Browser]:
    browser = Browser(interface).welcomed()
    yield browser
    browser.http.close()
