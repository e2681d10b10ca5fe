"""Votes per second through the page's own route, beside two ways that Gradio offers, in the same run.

* page: the page as it is served; a signed cookie, ownership, a fold and a durable commit for each vote.
* bare: a Gradio handler without queue, chatbot neither in nor out, that does one durable insert through the same writer
  and checks nothing.
* flagging: what ``gr.ChatInterface(flagging_mode="manual")`` does with a thumb: a row in a CSV file, not synced.

Each server is a process of its own; the annotators are one more process with a connection each, who wait for an answer
before they vote again. Votes go to and fro, so that every one of them is stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI

from labeler.chat import Count, Overseer, Recorder, Writing
from labeler.core.events import (
    ConversationStarted,
    MessageSent,
    NewEvent,
    Payload,
    ReplyFinished,
    ReplyStarted,
    VoteCast,
)
from labeler.ids import event_id, uuid7
from labeler.metrics import Metrics, Standing
from labeler.page import Browsers, Cases, Identity, Instance, build_page
from labeler.page.toolkit import gr
from labeler.store import Store
from labeler.study import Study, parse_study

AT = "2026-11-22T10:00:00.000000Z"
KEY = b"measured, not secret"
ANNOTATORS = 64
FLOOR_BARE = 2.0
FLOOR_FLAGGING = 10.0
WAYS = ("page", "bare", "flagging")


def id_of(kind: int, number: int) -> str:
    """The id of the ``number``-th annotator (0), conversation (1), question (2) or answer (3)."""
    return uuid7(1_700_000_000_000 + kind, number.to_bytes(10, "big"))


# ── the servers ──


def study() -> Study:
    model = {"name": "none", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "none"}
    limits = {
        "gestures_per_minute": 100_000_000,
        "address_requests_per_minute": 100_000_000,
        "conversation_events": 1_000_000,
    }  # counted as for everybody, and never refused
    return parse_study({"name": "bench", "models": [model], "limits": limits})


def history(number: int) -> list[NewEvent]:
    """A conversation with one complete answer."""
    question, answer = id_of(2, number), id_of(3, number)
    started = ReplyStarted(
        message_id=answer,
        parent_id=question,
        model="none",
        model_id="none",
        model_revision=None,
        sampling={},
        system_prompt_sha256=None,
    )
    payloads: list[Payload] = [
        ConversationStarted(study="bench", mode="chat", model="none"),
        MessageSent(message_id=question, parent_id=None, content="Why?"),
        started,
        ReplyFinished(message_id=answer, content="Because.", status="complete"),
    ]
    return [event(number, seq, payload) for seq, payload in enumerate(payloads, 1)]


def event(number: int, seq: int, payload: Payload) -> NewEvent:
    annotator_id = id_of(0, number)
    return NewEvent(
        event_id=event_id(annotator_id, str(seq), 0),
        conversation_id=id_of(1, number),
        seq=seq,
        at=AT,
        annotator_id=annotator_id,
        payload=payload,
    )


def page_app(store: Store) -> FastAPI:
    for number in range(ANNOTATORS):
        store.append(history(number))
    store.watch = Metrics({}, lambda: Standing(store.position()))  # counted as a served page is
    recorder = Recorder(Writing(study(), store, {}, clock=lambda: AT))
    instance = Instance(store.source_id, "bench", lambda: {"position": store.position()}, store.watch)
    cases = Cases(recorder, Overseer(store, lambda: AT, lambda wishes: Count(), dict))
    return build_page(cases, study(), instance, Browsers(Identity(KEY, store.source_id), "annotator"))


def bare_app(store: Store) -> FastAPI:
    seqs = [0] * ANNOTATORS

    async def insert(number: str) -> None:
        place = int(number)
        seqs[place] += 1
        vote = VoteCast(message_id=id_of(3, place), vote=1)
        await asyncio.wrap_future(store.submit([event(place, seqs[place], vote)]))

    for number in range(ANNOTATORS):
        seqs[number] = len(store.append(history(number)))
    with gr.Blocks() as blocks:
        who = gr.Textbox()
        gr.Button().click(insert, [who], None, queue=False, api_name="insert", trigger_mode="multiple")
    return gr.mount_gradio_app(FastAPI(), blocks, path="/")


def flagging_app(folder: Path) -> FastAPI:
    chat = gr.ChatInterface(
        lambda message, history: "Because.", flagging_mode="manual", flagging_dir=str(folder / "flagged")
    )
    return gr.mount_gradio_app(FastAPI(), chat, path="/")


def serve(way: str, folder: Path) -> None:
    """Serve one way; says its port, and what the client must know, on one line."""
    with Store.open(f"sqlite:///{folder}/{way}.db", clock=lambda: AT) as store:
        app = {"page": page_app, "bare": bare_app}[way](store) if way != "flagging" else flagging_app(folder)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
        listener = bound()
        print(json.dumps({"port": listener.getsockname()[1], "source": store.source_id}), flush=True)
        server.run(sockets=[listener])


def bound() -> socket.socket:
    """A free port on loopback; named as TCP, as the page's is, or asyncio would leave Nagle's delays on."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener


@contextmanager
def served(way: str, folder: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "scripts.benchmarks.votes", "--serve", way, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = (line for line in process.stdout if line.startswith("{"))
            yield json.loads(next(lines))
        finally:
            process.kill()


# ── the annotators ──


class Wire:
    """One kept-alive connection that speaks just enough HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", cookie: str = "", until: bytes = b"") -> bytes:
        """The body of the answer; with ``until``, whatever came when that was seen. Anything but 200 is an error."""
        reader, writer = self.streams or await asyncio.open_connection("127.0.0.1", self.port)
        self.streams = (reader, writer)
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}cookie: {cookie}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {answer.decode()} {await reader.read(500)!r}")
        if until:
            await self._read_until(reader, until)
            self.close()
            return b""
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return await reader.readexactly(length)

    async def _read_until(self, reader: asyncio.StreamReader, mark: bytes) -> None:
        seen = b""
        while mark not in seen:
            part = await reader.read(65536)
            if not part:
                raise RuntimeError("the stream ended too early")
            seen = seen[-100:] + part

    def close(self) -> None:
        if self.streams:
            self.streams[1].close()
        self.streams = None


Vote = Callable[[int, int], Awaitable[None]]


def voting(way: str, number: int, wire: Wire, known: dict[str, Any]) -> Vote:
    """How the ``number``-th annotator votes: a function of how many votes came before, and the value."""

    async def page(count: int, value: int) -> None:
        gesture = {
            "kind": "vote",
            "nonce": f"{number:08}{count:08}",
            "conversation": id_of(1, number),
            "message": id_of(3, number),
            "value": value,
        }
        await wire.ask("POST", "/api/gesture", json.dumps(gesture).encode(), cookie)

    async def bare(count: int, value: int) -> None:
        body = {"data": [str(number)], "fn_index": 0, "session_hash": session, "event_data": None}
        await wire.ask("POST", "/gradio_api/run/predict", json.dumps(body).encode())

    async def flagging(count: int, value: int) -> None:
        liked = {"index": 1, "value": ["Because."], "liked": value == 1}
        body = {"data": [CHAT], "fn_index": known["fn_index"], "session_hash": session, "event_data": liked}
        await wire.ask("POST", "/gradio_api/queue/join", json.dumps(body).encode())
        await Wire(wire.port).ask(
            "GET", f"/gradio_api/queue/data?session_hash={session}", until=b'"msg":"process_completed"'
        )

    identity = Identity(KEY, known["source"])
    cookie = identity.set_cookie(id_of(0, number), scheme="http").partition(";")[0]
    session = f"bench{number:06}"
    return {"page": page, "bare": bare, "flagging": flagging}[way]


CHAT = [
    {"role": "user", "content": [{"type": "text", "text": "Why?"}], "metadata": None, "options": None},
    {"role": "assistant", "content": [{"type": "text", "text": "Because."}], "metadata": None, "options": None},
]


class Figures(NamedTuple):
    """Votes a second, and the time that 99 of 100 did not exceed, in milliseconds."""

    rate: float
    p99: float


async def measure(way: str, annotators: int, seconds: float, known: dict[str, Any], begin: int) -> Figures:
    took: list[float] = []
    ends = time.perf_counter() + seconds

    async def annotate(number: int) -> None:
        wire = Wire(known["port"])
        vote = voting(way, number, wire, known)
        for count, value in enumerate(cycle((1, -1)), begin):
            start = time.perf_counter()
            if start > ends:
                return wire.close()
            await vote(count, value)
            took.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(annotate(number) for number in range(annotators)))
    spent = time.perf_counter() - start
    took.sort()
    return Figures(len(took) / spent, took[math.ceil(len(took) * 0.99) - 1] * 1000)


async def flag_index(port: int) -> int:
    """The place of the like listener among ChatInterface's functions."""
    config = json.loads(await Wire(port).ask("GET", "/config"))
    return next(int(each["id"]) for each in config["dependencies"] if each["targets"][0][1] == "like")


# ── the run ──


async def rounds(annotators: int, count: int, seconds: float, servers: dict[str, dict[str, Any]]) -> bool:
    """Measure all ways in turn, ``count`` times; says and returns whether the floors hold."""
    runs: dict[str, list[Figures]] = {way: [] for way in WAYS}
    for number in range(count):
        for way in WAYS:
            begin = (annotators * 100 + number) * 100_000
            runs[way].append(await measure(way, annotators, seconds, servers[way], begin))
    for way in WAYS:
        rate, p99 = (median(values) for values in zip(*runs[way], strict=True))
        print(f"{annotators} annotators, {way}: {rate:,.0f} votes/s, p99 {p99:.0f} ms")
    pairs = list(zip(runs["page"], runs["bare"], runs["flagging"], strict=True))
    over_bare = median(page.rate / bare.rate for page, bare, _ in pairs)
    over_flagging = median(page.rate / flagging.rate for page, _, flagging in pairs)
    slowest = median(page.p99 / bare.p99 for page, bare, _ in pairs)
    print(
        f"{annotators} annotators: page / bare {over_bare:.2f} (floor {FLOOR_BARE}), page / flagging"
        f" {over_flagging:.1f} (floor {FLOOR_FLAGGING}), p99 page / bare {slowest:.2f} (at most 1)"
    )
    return over_bare >= FLOOR_BARE and over_flagging >= FLOOR_FLAGGING and slowest <= 1


async def run(folder: Path, seconds: float, count: int, crowds: list[int]) -> bool:
    with served("page", folder) as page, served("bare", folder) as bare, served("flagging", folder) as flagging:
        servers = {"page": page, "bare": bare, "flagging": flagging}
        for way in WAYS:
            await until_it_answers(servers[way]["port"])
        flagging["fn_index"] = await flag_index(flagging["port"])
        held = [await rounds(annotators, count, seconds, servers) for annotators in crowds]
    return all(held)


async def until_it_answers(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return void(await Wire(port).ask("GET", "/"))
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


def void(_: object) -> None:
    """Forget a value."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench votes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each way is measured in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--annotators", type=int, nargs="+", default=[16, ANNOTATORS])
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where the logs go: a folder on the disk in question"
    )
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.serve:
        serve(chosen.serve, chosen.folder)
        return 0
    with TemporaryDirectory(dir=chosen.folder) as fresh:
        held = asyncio.run(run(Path(fresh), chosen.seconds, chosen.rounds, chosen.annotators))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
