"""Two servers on one log behind a sticky proxy: what people see and what is stored when one of them goes away."""

from __future__ import annotations

import html
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from labeler.core.events import ReplyFinished
from labeler.ids import event_id, new_id
from labeler.store import Store
from labeler.store.answering import answering_by, answering_in, replicas_seen
from labeler.store.verify import verify_log
from tests.model_server import ModelServer
from tests.page.conftest import NewChat
from tests.page.visitor import Visitor
from tests.replicas.conftest import Set, eventually
from tests.served import Served

GOES_ON_MS = 40_000


@pytest.fixture
def visitor(replicas: Set) -> Iterator[Visitor]:
    """An annotator without a browser, through the proxy."""
    with closing(Visitor(replicas)) as visitor:  # type: ignore[arg-type]
        yield visitor


def own_cookie(visitor: Visitor) -> tuple[str, str]:
    """Labeler's own, not the proxy's."""
    [own] = [(one.name, str(one.value)) for one in visitor.http.cookies.jar if one.name != "labeler_route"]
    return own


def at(visitor: Visitor, served: Served) -> Visitor:
    """The same annotator, at a replica without the proxy."""
    other = Visitor(served)
    other.http.cookies.clear()
    other.http.cookies.set(*own_cookie(visitor))
    other.conversation, other.answer = visitor.conversation, visitor.answer
    return other


def view_in(output: dict[str, Any]) -> dict[str, Any]:
    """What the page is told of the conversation."""
    facts = json.loads(html.unescape(re.search(r'data-view="([^"]*)"', output["data"][1])[1]))  # type: ignore[index]
    view: dict[str, Any] = facts["view"]
    return view


def ends(replicas: Set, conversation: str) -> list[ReplyFinished]:
    with closing(Store.open(replicas.database)) as store:
        return [one.payload for one in store.load(conversation) if isinstance(one.payload, ReplyFinished)]


def writer(replicas: Set, conversation: str) -> Served:
    """The replica that writes there."""
    with closing(Store.open(replicas.database)) as store:
        found = answering_in(store, conversation)
    assert found is not None
    return replicas.serving(found.replica)


def answering_now(replicas: Set) -> list[str]:
    """The conversations in which anybody writes."""
    with closing(Store.open(replicas.database)) as store:
        return [one.conversation_id for replica in replicas_seen(store) for one in answering_by(store, replica.id)]


def sound(replicas: Set) -> None:
    with closing(Store.open(replicas.database)) as store:
        assert verify_log(store).problems == ()


# ── the proxy ──


def test_a_browser_stays_with_one_replica_and_browsers_are_spread(replicas: Set) -> None:
    boots = Counter()
    for _ in range(16):
        with closing(Visitor(replicas)) as visitor:  # type: ignore[arg-type]
            seen = {visitor.http.get("/api/alive").json()["boot"] for _ in range(5)}
            assert len(seen) == 1
            boots.update(seen)
    assert len(boots) == 2


def test_a_cookie_of_one_replica_is_good_at_the_other(replicas: Set, visitor: Visitor) -> None:
    known = [
        httpx.get(f"{one.address}/api/alive", headers={"cookie": "=".join(own_cookie(visitor))}).json()["annotator"]
        for one in replicas.replicas
    ]
    assert known[0]
    assert known[0] == known[1]


def test_any_replica_shows_any_conversation(replicas: Set, visitor: Visitor) -> None:
    visitor.say("say: One")
    for one in replicas.replicas:
        with closing(at(visitor, one)) as there:
            there.say("say: Another")
            opened = there.call({"kind": "open", "nonce": new_id(), "conversation": visitor.conversation})
            assert view_in(opened)["conversation"] == visitor.conversation
            assert (
                len(view_in(opened)["messages"]) == view_in(opened)["turn_seq"] - len(view_in(opened)["messages"]) // 2
            )
    sound(replicas)


# ── death ──


@pytest.mark.databases("sqlite", "postgresql")
def test_a_replica_dies_in_mid_answer_and_the_browser_goes_on_at_the_other(
    replicas: Set, new_chat: NewChat, model: ModelServer
) -> None:
    chat = new_chat(replicas)
    chat.send("say: One")
    chat.vote("Like")
    gate = f"killed-{new_id()}"
    chat.send(f"say: Two three four five\ngate: {gate} 2", wait=False)
    expect(chat.answers.last).to_contain_text("Two three")
    dying = writer(replicas, chat.conversation_id())
    time.sleep(1.5)  # what was written is told once a second
    dying.kill()
    expect(chat.answers.last).to_contain_text(
        "The server stopped while this answer was being written", timeout=GOES_ON_MS
    )
    expect(chat.answers.last).to_contain_text("Two three")
    model.release(gate)
    chat.ready().expect_thumbs("Like", None)
    chat.vote("Dislike", place=0)
    chat.press("Retry")
    chat.answered()
    expect(chat.answers.last).to_contain_text("Two three four five")
    assert [end.status for end in ends(replicas, chat.conversation_id())] == ["complete", "failed", "complete"]
    sound(replicas)


def test_a_replica_that_is_ended_hands_its_answer_over_as_stopped(
    replicas: Set, new_chat: NewChat, model: ModelServer
) -> None:
    chat = new_chat(replicas)
    chat.send("say: One two three\ngate: ended 2", wait=False)
    expect(chat.answers.last).to_contain_text("One two")
    chat.page.evaluate("window.shownBefore = true")
    assert writer(replicas, chat.conversation_id()).terminate() == 0
    chat.page.wait_for_function("!window.shownBefore", timeout=GOES_ON_MS)  # the page is another replica's now
    chat.ready()
    expect(chat.answers.last).to_contain_text("Stopped", timeout=GOES_ON_MS)
    model.release("ended")
    chat.send("say: Four")
    chat.expect_answers("One two", "Four")
    assert [end.status for end in ends(replicas, chat.conversation_id())] == ["stopped", "complete"]


@pytest.mark.databases("sqlite", "postgresql")
def test_no_acknowledged_vote_is_lost_or_doubled_while_replicas_die(replicas: Set, visitor: Visitor) -> None:
    visitor.say("say: One")
    acknowledged: list[tuple[str, int]] = []
    over = False

    def vote_on() -> None:
        value = 1
        while not over:
            gesture = visitor.vote() | {"value": value}
            while not posted(visitor, gesture):
                time.sleep(0.05)
            acknowledged.append((gesture["nonce"], value))
            value = {1: -1, -1: 0, 0: 1}[value]

    with ThreadPoolExecutor(1) as pool:
        voting = pool.submit(vote_on)
        for number in range(4):
            dying = replicas.replicas[number % 2]
            before = len(acknowledged)
            eventually(lambda before=before: len(acknowledged) > before + 20)  # type: ignore[misc]
            dying.kill()
            before = len(acknowledged)
            eventually(lambda before=before: len(acknowledged) > before + 20)  # type: ignore[misc]
            dying.start()
        over = True
        voting.result()
    me = str(visitor.http.get("/api/alive").json()["annotator"])
    with closing(Store.open(replicas.database)) as store:
        stored = [one for one in store.load(visitor.conversation) if one.payload.kind.startswith("vote_")]
    assert [one.event_id for one in stored] == [event_id(me, nonce, 0) for nonce, _ in acknowledged]
    assert [getattr(one.payload, "vote", 0) for one in stored] == [value for _, value in acknowledged]
    sound(replicas)


def posted(visitor: Visitor, gesture: dict[str, Any]) -> bool:
    """Deliver a gesture as the page's outbox does: again under the same nonce unless it is acknowledged."""
    try:
        answer = visitor.post(gesture)
    except httpx.TransportError:
        return False
    assert answer.status_code == 200 or answer.status_code >= 500, answer.text
    return answer.status_code == 200


def test_a_replica_that_hangs_is_left_and_ends_nothing_twice_when_it_wakes(
    replicas: Set, new_chat: NewChat, model: ModelServer
) -> None:
    chat = new_chat(replicas)
    chat.send("say: One two three\ngate: hung 2", wait=False)
    expect(chat.answers.last).to_contain_text("One two")
    time.sleep(1.5)
    hanging = writer(replicas, chat.conversation_id())
    assert hanging.process is not None
    hanging.process.send_signal(signal.SIGSTOP)
    try:
        # Whether the page said meanwhile that nobody answers depends on which of its requests were under way.
        expect(chat.answers.last).to_contain_text("The server stopped while", timeout=GOES_ON_MS)
    finally:
        hanging.process.send_signal(signal.SIGCONT)
    model.release("hung")
    eventually(lambda: answering_now(replicas) == [])
    [end] = ends(replicas, chat.conversation_id())
    assert (end.status, end.content) == ("failed", "One two")
    chat.ready().send("say: Four")
    expect(chat.answers.last).to_contain_text("Four")
    sound(replicas)


def test_stop_reaches_the_replica_that_writes(replicas: Set, visitor: Visitor, model: ModelServer) -> None:
    first, second = replicas.replicas
    with closing(at(visitor, first)) as here, closing(at(visitor, second)) as there, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(here.say, "say: One two three\ngate: stopped 2")
        eventually(lambda: bool(there.http.get("/api/me").json()["conversations"]))
        conversation = there.http.get("/api/me").json()["conversations"][0]["id"]
        shown = there.call({"kind": "stop", "nonce": new_id(), "conversation": conversation})
        assert not view_in(shown)["running"]
        writing.result(20)
        model.release("stopped")
    assert [end.status for end in ends(replicas, conversation)] == ["stopped"]
