"""The client against a real API: it mirrors the routes, sends again under one key, and reads to the end."""

from __future__ import annotations

import inspect
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from labeler import client as module
from labeler.api import shapes
from labeler.client import ApiError, Client, Told
from tests.api.conftest import KEYS, Served, answering, api_over


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    token = served.tokens.add(f"theirs-{next(KEYS)}")
    with Client(served.address, token, sleep=lambda seconds: None) as client:
        yield client


def test_a_story_is_told_and_read_back(served: Served, client: Client) -> None:
    begun = client.begin("ada", system_prompt="Be brief.", language="en")
    chat = begun.conversation_id
    assert begun == Told(chat, "", begun.event_ids, 1)
    question = client.message(chat, "Why is the sky blue?").message_id
    first = client.reply(chat, None, model="small").message_id
    client.end(chat, first, "Because.", latency_ms=900)
    second = client.reply(chat, "Rayleigh.", model="small", retries=first, sampling={"seed": 7}).message_id
    client.vote(chat, first, -1)
    client.reason(chat, first, ["Too long"], "no")
    client.compare(chat, first, second, "b", strength=3)
    client.edit(chat, second, "Rayleigh scattering.")
    client.select(chat, first)
    client.undo(chat, question)
    client.clear(chat)
    assert served.kinds(chat) == [event.kind for event in client.events() if event.conversation_id == chat]
    read = client.conversation(chat)
    assert [message["content"] for message in read["messages"]] == [
        "Why is the sky blue?",
        "Because.",
        "Rayleigh.",
        "Rayleigh scattering.",
    ]
    assert (read["cleared"], read["language"]) == (True, "en")
    assert client.study()["name"] == "told"


def test_there_is_a_method_for_every_noun() -> None:
    source = inspect.getsource(module)
    assert [shape.noun for shape in shapes.GESTURES if f'"{shape.noun}"' not in source] == []


def test_consent_is_given_and_taken_back(tmp_path: Path) -> None:
    consent = {"version": "1", "text": "May we?"}
    with ExitStack() as stack:
        served = stack.enter_context(api_over(tmp_path, consent=consent))
        client = stack.enter_context(Client(served.address, served.tokens.add("theirs")))
        with pytest.raises(ApiError, match="consent") as refused:
            client.begin("ada")
        assert refused.value.status == 403
        client.consent("ada", "1")
        client.begin("ada")
        client.consent("ada", None)
        with pytest.raises(ApiError, match="consent"):
            client.begin("ada")


def test_events_are_read_to_their_end_and_gone_on_with(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    for number in range(5):
        client.message(client.begin(f"ann{number}").conversation_id, "Why?")
    seen = list(client.events())
    assert [event.kind for event in seen] == ["conversation_started", "message_sent"] * 5
    assert list(client.events(after=seen[-1].position)) == []
    assert list(client.events(after=seen[3].position)) == seen[4:]


def test_many_are_told_in_batches_each_with_its_outcome(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BULK", 3)
    chat = client.begin("ada").conversation_id
    gestures = [
        {"key": f"bulk-{number:04}", "kind": "messages", "conversation_id": chat, "body": {"content": text}}
        for number, text in enumerate(["One?", "Two?", " ", "Four?", "Five?", "Six?", "Seven?"])
    ]
    outcomes = list(client.bulk(gestures))
    assert [key for key, _ in outcomes] == [gesture["key"] for gesture in gestures]
    refused = [outcome for _, outcome in outcomes if isinstance(outcome, ApiError)]
    assert [error.status for error in refused] == [422]
    assert len(client.conversation(chat)["messages"]) == 6


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda client: client.conversation("absent"), 404),
        (lambda client: client.vote("absent", "absent", 1), 404),
        (lambda client: client.begin(""), 422),
        (lambda client: client.begin("ada", key="short"), 422),
    ],
    ids=["a conversation", "a vote", "a name", "a key"],
)
def test_a_refusal_is_an_error_with_the_apis_own_line(client: Client, call: object, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        call(client)  # type: ignore[operator]
    assert refused.value.status == status
    assert "\n" not in str(refused.value)


def test_a_token_that_opens_nothing_is_said_so(served: Served) -> None:
    with Client(served.address, "lbl_unknown") as client, pytest.raises(ApiError, match="opens nothing") as refused:
        client.study()
    assert refused.value.status == 401


# ── what is not answered is sent again ──


class LosesAnswers:
    """Before an API: every first delivery is done, and its answer lost: as an error of a proxy, or a cut line."""

    def __init__(self, app: ASGIApp, *, cut: bool) -> None:
        self.app = app
        self.cut = cut
        self.seen: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope["headers"]).get(b"idempotency-key", b"")
        if self.seen.count(key) or not key:
            return await self.app(scope, receive, send)
        self.seen.append(key)

        async def lose(message: object) -> None:
            return None

        await self.app(scope, receive, lose)
        headers = [(b"content-length", b"100")] if self.cut else []
        await send({"type": "http.response.start", "status": 200 if self.cut else 502, "headers": headers})
        await send({"type": "http.response.body", "body": b"<html>", "more_body": self.cut})


@pytest.mark.parametrize("cut", [False, True])
def test_what_was_stored_though_its_answer_was_lost_is_sent_again_and_stored_once(tmp_path: Path, cut: bool) -> None:
    with api_over(tmp_path) as served, answering(LosesAnswers(served.app, cut=cut)) as address:
        waits: list[float] = []
        with Client(address, served.tokens.add("theirs"), sleep=waits.append) as client:
            chat = client.begin("ada").conversation_id
            client.message(chat, "Why?")
            answer = client.reply(chat, "Because.", model="m").message_id
            assert client.vote(chat, answer, 1).event_ids
        assert served.kinds(chat) == [
            "conversation_started",
            "message_sent",
            "reply_started",
            "reply_finished",
            "vote_cast",
        ]
        assert waits == [0.5] * 4


def test_it_waits_as_long_as_the_server_says_and_gives_up_in_the_end(tmp_path: Path) -> None:
    with api_over(tmp_path) as served:
        token = served.tokens.add("theirs")
        waits: list[float] = []
        with Client(served.address, token, tries=3, sleep=waits.append) as client:
            chat = client.begin("ada").conversation_id
            shutil.move(tmp_path / "log.db", tmp_path / "away.db")
            with pytest.raises(ApiError, match="was deleted or moved") as refused:
                client.message(chat, "Why?")
            assert (refused.value.status, waits) == (503, [2.0, 2.0])


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    waits: list[float] = []
    client = Client(f"http://127.0.0.1:{port}", "lbl_any", tries=3, sleep=waits.append)
    with client, pytest.raises(ApiError, match="no answer") as refused:
        client.study()
    assert refused.value.status == 0
    assert waits == [0.5, 1.0]


def test_what_is_no_api_is_said_so(served: Served) -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>"})

    said = "this is not the API of a study"
    with answering(page) as address, Client(address, "lbl_any") as client, pytest.raises(ApiError, match=said):
        client.study()
