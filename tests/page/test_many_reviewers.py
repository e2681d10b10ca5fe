"""Two hundred reviewers at once against a real server, over HTTP as their browsers speak it."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from labeler.accounts import Accounts
from labeler.ids import new_id
from labeler.store import Store
from labeler.store.verify import verify_log
from tests.export import tell
from tests.model_server import ModelServer
from tests.nursery import QuickServed
from tests.page.conftest import study_of
from tests.served import Served
from tests.stories import told

REVIEWERS, ITEMS, OVERLAP = 200, 60, 3
HANDLER = re.compile(r"window\.gradio_config = (\{.*?\});</script>", re.DOTALL)


class Remote:
    """A reviewer without a browser, whom a proxy has signed in."""

    def __init__(self, served: Served, name: str, handler: int) -> None:
        self.http = httpx.Client(base_url=served.address, timeout=120, headers={"x-user": name})
        self.handler = handler

    def task(self) -> dict[str, Any] | None:
        """What the page would show, asked for as the page does."""
        session = new_id()[-12:]
        body = {"data": [{"kind": "open"}, None], "fn_index": self.handler, "session_hash": session, "event_data": None}
        assert self.http.post("/review/gradio_api/queue/join", json=body).status_code == 200
        with self.http.stream("GET", f"/review/gradio_api/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    held = re.search(r'data-view="([^"]*)"', message["output"]["data"][-1])
                    assert held, message
                    task: dict[str, Any] | None = json.loads(html.unescape(held[1]))["view"]["task"]
                    return task
        raise AssertionError("the server hung up")

    def say(self, lease: str) -> int:
        """Hand the same review in twice, as a browser does that did not hear the first answer."""
        gesture = {"kind": "review", "nonce": new_id(), "lease": lease, "choice": "a"}
        first, again = (self.http.post("/api/gesture", json=gesture) for _ in range(2))
        assert first.json() == again.json(), (first.text, again.text)
        return first.status_code


@pytest.mark.timeout(600)
def test_two_hundred_reviewers_never_exceed_what_is_wanted_lose_nothing_and_store_nothing_twice(
    model: ModelServer, tmp_path: Path
) -> None:
    with closing(Store.open(f"sqlite:///{tmp_path}/log.db")) as store:
        for number in range(ITEMS):
            tell(store, told("owner", f"c{number}").asks(f"Why {number}?").answers("One.").retries("Two.").better())
    auth = {"kind": "header", "header": "X-User", "proxies": ["127.0.0.1"], "sign_up": False}
    study = study_of(model, auth=auth, modes=["review"], review={"overlap": OVERLAP})
    names = [f"reviewer{number}" for number in range(REVIEWERS)]
    with QuickServed(tmp_path, study) as served:
        with closing(Store.open(served.database)) as store:
            for name in names:
                Accounts(store).add(name, "reviewer")
        page = httpx.get(f"{served.address}/review/", headers={"x-user": names[0]}, timeout=60).text
        config = json.loads(HANDLER.search(page)[1])  # type: ignore[index]
        handler = next(each["id"] for each in config["dependencies"] if each["targets"][0][1] == "load")
        barrier = threading.Barrier(REVIEWERS)
        accepted: Counter[int] = Counter()
        lock = threading.Lock()

        def work(name: str) -> None:
            remote = Remote(served, name, handler)
            barrier.wait()
            for _ in range(3):
                task = remote.task()
                if task is None:
                    time.sleep(0.5)
                    continue
                status = remote.say(task["lease"])
                with lock:
                    accepted[status] += 1

        with ThreadPoolExecutor(REVIEWERS) as pool:
            list(pool.map(work, names))
    with closing(Store.open(served.database)) as store:
        reviews = [
            event for event in store.scan() if event.payload.kind == "compared" and event.annotator_id != "owner"
        ]
        per_item = Counter(event.conversation_id for event in reviews)
        assert per_item == {f"c{number}": OVERLAP for number in range(ITEMS)}
        assert len({(event.conversation_id, event.annotator_id) for event in reviews}) == len(reviews)
        assert accepted == {200: len(reviews)}
        assert verify_log(store).problems == ()
