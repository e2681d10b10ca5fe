"""Votes per second through the API, beside a bare endpoint with group commit through the same writer, in the same run.

* api: ``/api/v1`` as it is served; token, key, shape, ownership, a fold and a durable commit for each vote.
* bare: a Starlette route that parses JSON, does one durable insert through the same writer, and checks nothing.

Each server is a process of its own; the front end is one more process with a connection for each client, who waits for
an answer before it votes again. Votes go to and fro, so that every one of them is stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from labeler.accounts import Tokens
from labeler.api import Api
from labeler.chat import Intake, Writing
from labeler.core.events import VoteCast
from labeler.store import Store
from scripts.benchmarks.votes import AT, Figures, bound, event, history, id_of, study

CLIENTS = 64
FLOOR = 0.7
WAYS = ("api", "bare")


# ── the servers ──


def api_app(store: Store) -> tuple[ASGIApp, dict[str, Any]]:
    tokens = Tokens(store, study().name)
    intake = Intake(Writing(study(), store, {}, clock=lambda: AT))
    return Api(Starlette(), intake=intake, tokens=tokens), {"token": tokens.add("bench")}


def bare_app(store: Store) -> tuple[ASGIApp, dict[str, Any]]:
    seqs = [len(store.append(history(number))) for number in range(CLIENTS)]

    async def insert(request: Request) -> JSONResponse:
        said = await request.json()
        place = said["number"]
        seqs[place] += 1
        vote = VoteCast(message_id=id_of(3, place), vote=said["value"])
        (stored,) = await asyncio.wrap_future(store.submit([event(place, seqs[place], vote)]))
        return JSONResponse({"seq": stored.seq})

    return Starlette(routes=[Route("/votes", insert, methods=["POST"])]), {}


def serve(way: str, folder: Path) -> None:
    """Serve one way; says its port, and what the clients must know, on one line."""
    with Store.open(f"sqlite:///{folder}/{way}.db", clock=lambda: AT) as store:
        app, known = {"api": api_app, "bare": bare_app}[way](store)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
        listener = bound()
        print(json.dumps({"port": listener.getsockname()[1], **known}), flush=True)
        server.run(sockets=[listener])


@contextmanager
def served(way: str, folder: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "scripts.benchmarks.api", "--serve", way, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


# ── the clients ──


class Client:
    """One kept-alive connection, and the conversation that its votes are for."""

    def __init__(self, way: str, number: int, known: dict[str, Any]) -> None:
        self.number = number
        self.port = known["port"]
        self.path = "/votes"
        self.message = ""
        self.token = known.get("token", "")
        self.way = way
        self.count = 0
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def prepare(self) -> None:
        """Tell a conversation with one answer, if that is the way here."""
        if self.way == "bare":
            return
        place = "/api/v1/conversations"
        conversation = (await self.tell(place, {"annotator": str(self.number)}))["conversation_id"]
        place = f"{place}/{conversation}"
        await self.tell(f"{place}/messages", {"content": "Why?"})
        reply = {"model": "none", "end": {"content": "Because."}}
        self.message = (await self.tell(f"{place}/replies", reply))["message_id"]
        self.path = f"{place}/votes"

    async def vote(self) -> None:
        value = 1 if self.count % 2 else -1
        bare = {"number": self.number, "value": value}
        told = await self.tell(self.path, {"message_id": self.message, "value": value} if self.message else bare)
        if told["seq"] is None:
            raise RuntimeError("a vote changed nothing")

    async def tell(self, path: str, said: dict[str, Any]) -> dict[str, Any]:
        """One call; both ways send the same headers. Anything but 200 is an error."""
        reader, writer = self.streams or await asyncio.open_connection("127.0.0.1", self.port)
        self.streams = (reader, writer)
        self.count += 1
        body = json.dumps(said).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {self.token}\r\nidempotency-key: {self.number:08}{self.count:08}\r\n"
        )
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        told = json.loads(await reader.readexactly(length))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {answer.decode()} {told}")
        return dict(told)


async def measure(clients: list[Client], seconds: float) -> Figures:
    took: list[float] = []
    start = time.perf_counter()

    async def go_on(client: Client) -> None:
        while (begun := time.perf_counter()) < start + seconds:
            await client.vote()
            took.append(time.perf_counter() - begun)

    await asyncio.gather(*(go_on(client) for client in clients))
    spent = time.perf_counter() - start
    took.sort()
    return Figures(len(took) / spent, took[math.ceil(len(took) * 0.99) - 1] * 1000)


# ── the run ──


async def run(folder: Path, seconds: float, count: int) -> bool:
    runs: dict[str, list[Figures]] = {way: [] for way in WAYS}
    with served("api", folder) as api, served("bare", folder) as bare:
        known = {"api": api, "bare": bare}
        clients = {way: [Client(way, number, known[way]) for number in range(CLIENTS)] for way in WAYS}
        for way in WAYS:
            await asyncio.gather(*(client.prepare() for client in clients[way]))
            await measure(clients[way], seconds / 4)  # nobody is measured while it warms up
        for _ in range(count):
            for way in WAYS:
                runs[way].append(await measure(clients[way], seconds))
    for way in WAYS:
        rate, p99 = (median(values) for values in zip(*runs[way], strict=True))
        print(f"{CLIENTS} clients, {way}: {rate:,.0f} votes/s, p99 {p99:.0f} ms")
    ratio = median(api.rate / bare.rate for api, bare in zip(runs["api"], runs["bare"], strict=True))
    print(f"{CLIENTS} clients: api / bare {ratio:.2f} (floor {FLOOR})")
    return ratio >= FLOOR


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each way is measured in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where the logs go: a folder on the disk in question"
    )
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.serve:
        serve(chosen.serve, chosen.folder)
        return 0
    with TemporaryDirectory(dir=chosen.folder) as fresh:
        held = asyncio.run(run(Path(fresh), chosen.seconds, chosen.rounds))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
