"""A scripted model: an OpenAI-compatible HTTP server on loopback that answers, paces and fails as told.

It speaks ``GET /v1/models`` and ``POST …/chat/completions`` (streamed as server-sent events or in one piece), honours
``max_tokens``, ``stop``, ``seed``, ``model`` and ``stream_options.include_usage``, and notices when a client hangs up.

In one process::

    with ModelServer() as server:                      # server.base_url == "http://127.0.0.1:PORT/v1"
        server.plan(Answer(say="Hello"), Answer(fault="die-after 2"))   # the next two requests, in order
        ...
        server.requests[-1].seed, .body, .headers, .sent, .outcome

From another process (a browser test, a load script) the last user message itself carries the script, one directive a
line anywhere in it; other lines are ordinary text. ``Answer.parse`` reads them, and a planned Answer wins over them::

    say: TEXT           answer exactly TEXT; ``\\n`` and ``\\t`` are unescaped, {attempt} and {seed} filled in
    words: N            answer N words of the default text (default 12 to 20)
    pace: R             R tokens a second (a token is a word with the white space before it); default: no pause
    wait: S             seconds before the first token
    gate: NAME [N]      hold before token N (default 0, the first) until release(NAME) or POST /_release/NAME
    times: N            the fault hits only the first N requests with these very messages; later ones succeed
    fault: KIND         one of
        401 403 404 429 500 …   that HTTP status with an OpenAI-style error body (any 300 to 599; 3xx with a Location);
                                its message is what say says
        refuse                  the connection is reset before any answer
        hang                    no answer at all, for ever
        hang-after N            N tokens, then silence for ever
        ping-after N            N tokens, then comments that keep the connection warm, for ever
        die-after N             N tokens, then the connection is closed in the middle of the body
        reset-after N           N tokens, then the connection is reset (RST)
        cut-after N             N tokens, then a well-formed end of body without finish_reason or [DONE]
        error-after N           N tokens, then a chunk {"error": {...}} inside the stream
        invalid-after N         N tokens, then a line that is not JSON
        length-after N          N tokens, then finish_reason "length"
        empty                   no text at all, finish_reason "stop"
        endless                 tokens for ever, whatever max_tokens says (use with pace)
        html                    200 with a web page: not a model server

Without ``say`` the text is a function of the last user message and the seed alone: the same seed repeats it, another
seed changes it, so a caller that forgets to draw a fresh seed is seen. It begins with ``Answer <8 hex digits>:``.
``{attempt}`` counts requests with the same messages from 1, so ``say: Take {attempt}`` tells a retry from the first.

A record in ``requests`` has outcome ``running`` until the answer is ``done``, the fault was played (``fault``), or the
client hung up first (``client-gone``); ``sent`` is the text that was written so far.

Over HTTP: ``GET /_requests`` (the records as JSON), ``POST /_release/NAME``, ``POST /_reset`` (forget records, plans
and gates). As a program it prints its base URL on one line, and serves until it is ended or its stdin closes with
``--until-eof``::

    python -m tests.model_server --port 0 [--key KEY] [--pace R] [--strict]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import re
import selectors
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

VOCABULARY = (
    *("amber", "bridge", "candle", "delta", "ember", "forest", "garden", "harbor", "island", "juniper", "kettle"),
    *("lantern", "meadow", "north", "orchard", "pepper", "quiet", "river", "silver", "timber", "umbrella", "violet"),
    *("window", "yellow", "zephyr", "anchor", "basket", "copper", "dawn", "engine"),
)
KNOWN_FIELDS = {
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens"),
    *("seed", "stop", "n", "user", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs"),
    *("top_logprobs", "tools", "tool_choice", "response_format"),
}
DIRECTIVE = re.compile(r"^\s*(say|words|pace|wait|gate|times|fault):[ \t]*(.*?)\s*$", re.MULTILINE)
LAST_WORDS = {
    "cut-after": b": that was all\n\n",
    "error-after": b'data: {"error": {"message": "scripted failure in the stream", "code": 500}}\n\n',
    "invalid-after": b'data: {"choices": [{"delta"\n\n',
}
FAULT = re.compile(r"[345]\d\d|refuse|hang|empty|endless|html|(hang|ping|die|reset|cut|error|invalid|length)-after \d+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets; every field but ``raw`` is also a directive (see the module's docstring).

    ``raw`` is sent as the whole body of the stream, instead of everything else.
    """

    say: str | None = None
    words: int | None = None
    pace: float | None = None
    wait: float = 0.0
    gate: str | None = None
    gate_at: int = 0
    times: int | None = None
    fault: str | None = None
    raw: bytes | None = None

    def __post_init__(self) -> None:
        if self.fault is not None and not FAULT.fullmatch(self.fault):
            raise ValueError(f"unknown fault {self.fault!r}; see tests/model_server.py")

    @classmethod
    def parse(cls, message: str) -> Answer:
        """Read the directives in a user message. Raises ValueError for one that makes no sense."""
        found: dict[str, Any] = {}
        for name, value in DIRECTIVE.findall(message):
            if name == "say":
                found["say"] = value.replace("\\n", "\n").replace("\\t", "\t")
            elif name == "gate":
                gate, _, at = value.partition(" ")
                found |= {"gate": gate, "gate_at": int(at or 0)}
            elif name == "fault":
                found["fault"] = value
            else:
                found[name] = float(value) if name in ("pace", "wait") else int(value)
        return cls(**found)

    def fault_for(self, attempt: int) -> tuple[str | None, int]:
        """The fault of this attempt and the token after which it strikes."""
        if self.fault is None or (self.times is not None and attempt > self.times):
            return None, 0
        kind, _, after = self.fault.partition(" ")
        return kind, int(after or 0)


@dataclass(slots=True)
class Received:
    """One chat request as it arrived (header names in lower case), and what became of it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    attempt: int
    at: float = field(default_factory=time.time)
    sent: str = ""
    tokens: int = 0
    outcome: str = "running"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages", []))

    @property
    def seed(self) -> int | None:
        return self.body.get("seed")

    @property
    def last_user_message(self) -> str:
        return last_user_message(self.messages)


def last_user_message(messages: list[dict[str, Any]]) -> str:
    """The text of the newest user turn, whether it is a string or a list of parts; empty if there is none."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content") or ""
            return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return ""


def default_text(message: str, seed: int | None, words: int | None = None) -> str:
    """The answer nobody scripted: a function of the last user message and the seed alone."""
    digest = hashlib.sha256(f"{seed}\n{message}".encode()).hexdigest()
    draw = random.Random(digest)
    count = words if words is not None else draw.randint(12, 20)
    return " ".join([f"Answer {digest[:8]}:", *(draw.choice(VOCABULARY) for _ in range(max(count - 2, 0)))])


def tokens_of(text: str) -> list[str]:
    """Words, each with the white space before it; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+\Z", text)


class ClientGone(Exception):
    """The client closed its side before the answer had ended."""


class ModelServer:
    """The server as a context manager; it listens as soon as it is made, and serves once entered.

    Args:
        port: 0 takes a free one.
        key: if given, a request without ``Authorization: Bearer <key>`` gets 401.
        pace: tokens per second for answers that do not say; ``None`` does not pause.
        strict: refuse body fields that OpenAI does not know with 400, as some endpoints do.
    """

    def __init__(
        self, *, port: int = 0, key: str | None = None, pace: float | None = None, strict: bool = False
    ) -> None:
        self.key, self.pace, self.strict = key, pace, strict
        self._records: list[Received] = []
        self._plans: deque[Answer] = deque()
        self._gates: dict[str, threading.Event] = {}
        self._attempts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._http = _Listener(("127.0.0.1", port), self)
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True, name="model-server"
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[Received]:
        """Every chat request so far, oldest first; the records go on changing while answers run."""
        with self._lock:
            return list(self._records)

    def plan(self, *answers: Answer) -> None:
        """Script the next requests, in order; requests beyond them go by their directives."""
        with self._lock:
            self._plans.extend(answers)

    def release(self, gate: str) -> None:
        """Open a gate, now and for every later request that names it."""
        self._gate(gate).set()

    def reset(self) -> None:
        """Forget records, plans, attempts and gates; whoever waits at a gate is let through."""
        with self._lock:
            for gate in self._gates.values():
                gate.set()
            for forgotten in (self._records, self._plans, self._attempts, self._gates):
                forgotten.clear()

    def wait_for(self, count: int = 1, *, outcome: str | None = None, timeout: float = 10.0) -> list[Received]:
        """Wait until at least ``count`` requests arrived (and have that outcome). Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            found = [record for record in self.requests if outcome in (None, record.outcome)]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                seen = [(record.outcome, record.tokens) for record in self.requests]
                raise TimeoutError(f"{len(found)} of {count} requests after {timeout} s; all: {seen}")
            time.sleep(0.005)

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port (the next connection is refused) and cut every running answer."""
        self.stopping.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self._http.cut_all()

    def _gate(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def record(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Received:
        """Note a request and count how often these very messages came."""
        digest = json.dumps(body.get("messages"), sort_keys=True)
        with self._lock:
            self._attempts[digest] += 1
            received = Received(path, headers, body, self._attempts[digest])
            self._records.append(received)
        return received

    def answer_to(self, received: Received) -> Answer:
        """The planned answer if there is one, else what the message's directives say."""
        with self._lock:
            planned = self._plans.popleft() if self._plans else None
        answer = planned or Answer.parse(received.last_user_message)
        return replace(answer, pace=self.pace) if answer.pace is None else answer


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], owner: ModelServer) -> None:
        self.owner = owner
        self.open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        """Hang up on everybody: a kept-alive connection must not outlive the server."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is a bug in a test and should be seen."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the records tell what happened."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/_requests":
            self._json(200, [asdict(record) for record in self.server.owner.requests])
        elif path.endswith("/models"):
            self._json(200, {"object": "list", "data": [{"id": "scripted", "object": "model"}]})
        elif path.startswith("/api/models/"):
            self._json(200, self._mapping(path.removeprefix("/api/models/")))
        else:
            self.refuse(404, "no such route")

    def _mapping(self, model: str) -> dict[str, Any]:
        """What the Hub says of a model that the provider ``together`` serves, under a name of its own."""
        served = {"status": "live", "providerId": f"{model.replace('/', '-')}-turbo", "task": "conversational"}
        return {"id": model, "inferenceProviderMapping": {"together": served}}

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.startswith("/_release/"):
            self.server.owner.release(path.removeprefix("/_release/"))
            self._json(200, {})
        elif path == "/_reset":
            self.server.owner.reset()
            self._json(200, {})
        elif path.endswith("/chat/completions"):
            self._chat(json.loads(raw))
        else:
            self.refuse(404, "no such route")

    def _chat(self, body: dict[str, Any]) -> None:
        owner = self.server.owner
        received = owner.record(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        if owner.key is not None and received.headers.get("authorization") != f"Bearer {owner.key}":
            received.outcome = "fault"
            return self.refuse(401, "Incorrect API key provided.")
        unknown = sorted(set(body) - KNOWN_FIELDS) if owner.strict else []
        if unknown:
            received.outcome = "fault"
            return self.refuse(400, f"Unrecognized request argument supplied: {', '.join(unknown)}")
        try:
            answer = owner.answer_to(received)
        except ValueError as error:
            received.outcome = "fault"
            return self.refuse(400, str(error))
        try:
            _Reply(self, received, answer).play()
        except _Struck:
            received.outcome = "fault"
            self.close_connection = True
        except (ClientGone, ConnectionError):
            received.outcome = "client-gone"
            self.close_connection = True

    def _json(self, status: int, body: Any, **headers: str) -> None:
        self.send_body(status, "application/json", json.dumps(body).encode(), **headers)

    def refuse(self, status: int, message: str) -> None:
        """An OpenAI-style error."""
        extra = {"Retry-After": "1"} if status == 429 else {}
        if 300 <= status < 400:
            extra = {"Location": "http://elsewhere.example/v1/chat/completions"}
        self._json(status, {"error": {"message": message, "type": "scripted", "code": status}}, **extra)

    def send_body(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        """A whole answer with its length."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Reply:
    """One answer being played on one connection."""

    def __init__(self, handler: _Handler, received: Received, answer: Answer) -> None:
        self.handler, self.received, self.answer = handler, received, answer
        self.owner = handler.server.owner
        self.fault, self.after = answer.fault_for(received.attempt)

    def play(self) -> None:
        """Answer, or fail before, in or after the stream as the script says."""
        kind = self.fault or ""
        if kind.isdigit():
            return self._refuse(int(kind))
        if kind == "refuse":
            self._reset()
        elif kind == "hang":
            self._pause(None)
        elif kind == "html":
            self.handler.send_body(200, "text/html", b"<!doctype html><title>Welcome</title><p>It works!")
        elif self.received.body.get("stream"):
            return self._stream()
        else:
            return self._whole()
        self.received.outcome = "fault"
        self.handler.close_connection = True

    def _refuse(self, status: int) -> None:
        self.received.outcome = "fault"
        self.handler.refuse(status, self.answer.say or f"scripted failure {status}")

    # ── the text ──

    def _tokens(self) -> Iterator[str]:
        """The tokens of the answer; ``endless`` has no end."""
        if self.fault == "empty":
            return
        text, seed = self.answer.say, self.received.seed
        if text is None:
            text = default_text(self.received.last_user_message, seed, self.answer.words)
        text = text.replace("{attempt}", str(self.received.attempt)).replace("{seed}", str(seed))
        yield from tokens_of(self._until_stop(text))
        while self.fault == "endless":
            yield " and"

    def _until_stop(self, text: str) -> str:
        stops = self.received.body.get("stop") or []
        for stop in [stops] if isinstance(stops, str) else stops:
            text = text.split(stop, 1)[0]
        return text

    def _limit(self) -> int | None:
        if self.fault == "length-after":
            return self.after
        return None if self.fault == "endless" else self.received.body.get("max_tokens")

    # ── in one piece ──

    def _whole(self) -> None:
        tokens = list(self._tokens())
        limit = self._limit()
        cut = limit is not None and len(tokens) > limit
        text = "".join(tokens[:limit])
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length" if cut else "stop",
        }
        body = {**self._envelope("chat.completion"), "choices": [choice], "usage": self._usage(len(tokens))}
        self.handler.send_body(200, "application/json", json.dumps(body).encode())
        self.received.sent, self.received.tokens, self.received.outcome = text, len(tokens), "done"

    # ── streamed ──

    def _stream(self) -> None:
        self._open()
        if self.answer.raw is not None:
            return self._raw(self.answer.raw)
        if self.answer.wait:
            self._pause(self.answer.wait)
        self._event(self._chunk({"role": "assistant", "content": ""}))
        reason, limit = "stop", self._limit()
        for place, token in enumerate(self._tokens()):
            self._strike(place)
            if limit is not None and place >= limit:
                reason = "length"
                break
            self._hold(place)
            self._say(token)
        else:
            self._strike(None)
        self._finish(reason)

    def _raw(self, body: bytes) -> None:
        self._write(body)
        self._write(b"")
        self.received.outcome = "done"

    def _say(self, token: str) -> None:
        self._event(self._chunk({"content": token}))
        self.received.sent += token
        self.received.tokens += 1
        self._pause(1.0 / self.answer.pace if self.answer.pace else 0.0)

    def _finish(self, reason: str) -> None:
        self._event(self._chunk({}, reason))
        if (self.received.body.get("stream_options") or {}).get("include_usage"):
            usage = {**self._envelope("chat.completion.chunk"), "choices": []}
            self._event({**usage, "usage": self._usage(self.received.tokens)})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")
        self.received.outcome = "done"

    def _strike(self, place: int | None) -> None:
        """Play the fault if this is its place; at the end (None) a fault that asked for more tokens plays too."""
        if not (self.fault or "").endswith("-after") or self.fault == "length-after":
            return
        if place is None or place >= self.after:
            self._play_in_stream(self.fault or "")
            raise _Struck

    def _play_in_stream(self, fault: str) -> None:
        if fault == "hang-after":
            self._pause(None)
        elif fault == "ping-after":
            self._ping()
        elif fault == "reset-after":
            self._reset()
        elif fault != "die-after":
            self._write(LAST_WORDS[fault])
            self._write(b"")

    def _ping(self) -> None:
        while True:
            self._write(b": still here\n\n")
            self._pause(0.02)

    def _hold(self, place: int) -> None:
        if self.answer.gate is None or place != self.answer.gate_at:
            return
        while not self.owner._gate(self.answer.gate).is_set():
            self._pause(0.01)

    # ── the wire ──

    def _open(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.handler.send_header("Cache-Control", "no-cache")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def _event(self, body: dict[str, Any]) -> None:
        self._write(b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n")

    def _write(self, body: bytes) -> None:
        """One HTTP chunk; the empty one ends the body."""
        self._pause(0.0)
        self.handler.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))

    def _pause(self, seconds: float | None) -> None:
        """Wait, for ever if None, and raise ClientGone as soon as the client or this server hangs up."""
        with selectors.DefaultSelector() as selector:  # select() itself refuses descriptors above 1023
            selector.register(self.handler.connection, selectors.EVENT_READ)
            self._pause_on(selector, None if seconds is None else time.monotonic() + seconds)

    def _pause_on(self, selector: selectors.BaseSelector, deadline: float | None) -> None:
        while True:
            left = 0.1 if deadline is None else max(0.0, min(0.1, deadline - time.monotonic()))
            readable = selector.select(left)
            if self.owner.stopping.is_set() or (readable and self._hung_up()):
                raise ClientGone
            if deadline is not None and time.monotonic() >= deadline:
                return
            if readable:
                time.sleep(left)

    def _hung_up(self) -> bool:
        return not self.handler.connection.recv(1, socket.MSG_PEEK)

    def _reset(self) -> None:
        """Close at once with RST; the reading file shares the socket and would keep it open."""
        linger = struct.pack("ii", 1, 0)
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.handler.rfile.close()
        self.handler.connection.close()

    # ── the bodies ──

    def _envelope(self, kind: str) -> dict[str, Any]:
        model = str(self.received.body.get("model") or "scripted")
        return {
            "id": f"chatcmpl-{id(self)}",
            "object": kind,
            "created": int(self.received.at),
            "model": model,
        }

    def _chunk(self, delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {**self._envelope("chat.completion.chunk"), "choices": [choice]}

    def _usage(self, completion: int) -> dict[str, int]:
        prompt = sum(len(tokens_of(str(message.get("content") or ""))) for message in self.received.messages)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class _Struck(Exception):
    """The fault was played: nothing more is said on this connection."""


def main() -> None:
    """Serve until ended; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.model_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key")
    parser.add_argument("--pace", type=float)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--until-eof", action="store_true")
    options = parser.parse_args()
    server = ModelServer(port=options.port, key=options.key, pace=options.pace, strict=options.strict)
    with server:
        print(server.base_url, flush=True)  # noqa: T201  # whoever started the program waits for this line
        try:
            if options.until_eof:
                sys.stdin.read()
            else:
                threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
