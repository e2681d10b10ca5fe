"""The HTTP face of the Hub: real sockets on the loopback address, one thread a connection."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.hub_server import xet
from tests.hub_server.api import Api, Route, find_route
from tests.hub_server.faults import Answer, Fault, Faults, Hold, Kill, Lost, Reset, Slow, Stall, Zombie
from tests.hub_server.state import Account, Commit, Refused, State
from tests.hub_server.wire import Request, Response, refusal

STORAGE_KINDS = frozenset({"xorb", "xet_shard", "xet_shard_v1", "xet_chunk", "telemetry", "unknown"})


@dataclass(frozen=True)
class Seen:
    """One request as it was met: ``received`` counts the bytes of its body, ``status`` is 0 when none was answered."""

    kind: str
    method: str
    path: str
    received: int
    status: int
    fault: Fault | None


class HubServer:
    """A Hub on a free loopback port, as a context manager.

    with HubServer() as hub:
        HfApi(endpoint=hub.endpoint, token="hf_test").create_repo("tester/votes", repo_type="dataset")
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        accounts: Mapping[str, Account] | None = None,
        faults: Faults | None = None,
        offers_xet: bool = True,
        multipart_from: int | None = None,
    ) -> None:
        self.state = State(directory, accounts)
        self.api = Api(self.state, offers_xet=offers_xet, multipart_from=multipart_from)
        self.faults = faults or Faults()
        self.closing = threading.Event()
        self.seen: list[Seen] = []
        self.killers: dict[str, Callable[[], None]] = {}
        """How to kill a client, by the name that it calls this server (the host of its requests)."""
        self._http = _Listener(("127.0.0.1", port), _Connection)
        self._http.hub = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._later: list[threading.Thread] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self.settle()

    # ── what a test asks ──

    def received(self, *kinds: str) -> int:
        """Bytes of request bodies, of all kinds or of these."""
        return sum(seen.received for seen in self.seen if not kinds or seen.kind in kinds)

    def count(self, kind: str) -> int:
        return sum(seen.kind == kind for seen in self.seen)

    def commits(self, repo_id: str) -> list[Commit]:
        """The main branch, newest first."""
        return self.state.repo(repo_id).history("main")

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """Every file of a revision."""
        tree = self.state.repo(repo_id).resolve(revision).tree
        return {path: self.state.content(entry.sha256) for path, entry in tree.items()}

    def settle(self) -> None:
        """Wait until what was to be applied later has been."""
        for thread in self._later:
            thread.join()
        self._later.clear()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        with contextlib.suppress(KeyboardInterrupt):
            self.closing.wait()

    # ── one request ──

    def answer(self, route: Route, request: Request) -> Response:
        """Apply a request. Refusals and malformed bodies become the answers a Hub gives."""
        try:
            with self.state.lock:
                return route.endpoint(self.api, request)
        except Refused as refused:
            return refusal(refused.status, refused.message, refused.code)
        except (KeyError, TypeError, ValueError, xet.Malformed) as error:
            return refusal(400, f"bad request: {error!r}", None)

    def apply_later(self, delay: float, route: Route, request: Request) -> None:
        """The request lives on without its connection."""

        def apply() -> None:
            self.closing.wait(delay)
            self.answer(route, request)

        thread = threading.Thread(target=apply, daemon=True)
        self._later.append(thread)
        thread.start()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    hub: HubServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell."""


class _Dropped(Exception):
    """The connection ends here, without an answer."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Answers are small and written in two steps; without this, delayed acknowledgements cost 40 ms each.
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at ``HubServer.seen`` instead."""

    def _serve(self) -> None:
        hub, split = self.server.hub, urlsplit(self.path)
        found = find_route(self.command, split.path)
        kind = found[0].kind if found else "unknown"
        fault = hub.faults.take(kind)
        request = None
        try:
            if isinstance(fault, Reset) and fault.early:
                raise _Dropped
            request, stranger = self._read(kind, found[1] if found else {})
            response = self._refused(found, stranger) or self._meet(fault, found[0], request)  # type: ignore[index]
        except _Dropped:
            response = None
        # Noted before it is sent: whoever has the answer finds the request among those seen.
        received, status = len(request.body) if request else 0, response.status if response else 0
        hub.seen.append(Seen(kind, self.command, self.path, received, status, fault))
        try:
            if response is None:
                self._reset()
            else:
                self._send(response)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _read(self, kind: str, groups: Mapping[str, str]) -> tuple[Request, bool]:
        """The whole request, and whether its token is nobody's."""
        split, body = urlsplit(self.path), self._body()
        account, stranger = self._account(kind)
        query, headers = dict(parse_qsl(split.query)), {name.lower(): value for name, value in self.headers.items()}
        base = f"http://{self.headers.get('Host', '127.0.0.1')}"
        return Request(self.command, split.path, query, headers, body, base, account, groups), stranger

    def _refused(self, found: object, stranger: bool) -> Response | None:
        if stranger:
            return refusal(401, "Invalid credentials in Authorization header", None)
        return None if found else refusal(404, "no such page", None)

    def _account(self, kind: str) -> tuple[Account | None, bool]:
        """Whose token this is, and whether it is nobody's. Storage has tokens of its own."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not token or kind in STORAGE_KINDS:
            return None, False
        account = self.server.hub.state.accounts.get(token)
        return account, account is None

    def _meet(self, fault: Fault | None, route: Route, request: Request) -> Response:
        """The answer, with whatever goes wrong on its way."""
        hub = self.server.hub
        match fault:
            case Answer():
                return refusal(fault.status, fault.message, fault.code, fault.headers)
            case Lost():
                return self._lose(fault, route, request)
            case Hold():
                return self._hold(fault, route, request)
            case Kill():
                return self._kill(fault, route, request)
            case Zombie():
                hub.apply_later(fault.delay, route, request)
            case Stall() | Slow():
                hub.closing.wait(fault.seconds)
        if isinstance(fault, Reset | Zombie | Stall):
            raise _Dropped
        return hub.answer(route, request)

    def _lose(self, fault: Lost, route: Route, request: Request) -> Response:
        self.server.hub.answer(route, request)
        if fault.status is None:
            raise _Dropped
        return Response(fault.status, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})

    def _hold(self, fault: Hold, route: Route, request: Request) -> Response:
        response = self.server.hub.answer(route, request) if fault.after else None
        fault.gate.arrived.set()
        fault.gate.opened.wait(60)
        if response is None and fault.gate.applies:
            response = self.server.hub.answer(route, request)
        if response is None:
            raise _Dropped
        return response

    def _kill(self, fault: Kill, route: Route, request: Request) -> Response:
        if fault.after:
            self.server.hub.answer(route, request)
        self.server.hub.killers[urlsplit(request.base).hostname or ""]()
        raise _Dropped

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) != length:
            raise _Dropped
        return body

    def _chunks(self) -> Any:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close with a TCP reset, as a crashed peer or a middlebox does."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
