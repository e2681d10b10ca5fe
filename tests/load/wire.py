"""Just enough HTTP for hundreds of browsers in one process: kept connections, bounded answers, event streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

LONGEST_HEAD = 1 << 16
KEPT = 6  # connections that a browser keeps to one place


class Lost(Exception):
    """The connection broke, or nothing came in time."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


@dataclass(eq=False)
class _Connection:
    """One connection. ``used``: it has carried an answer already, so the other side may have closed it meanwhile."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False

    def close(self) -> None:
        self.writer.close()

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), [(name.lower(), value.strip()) for name, _, value in pairs]

    async def parts(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        """The body as it comes."""
        if "content-length" in headers:
            yield await self.reader.readexactly(int(headers["content-length"]))
            return
        if headers.get("transfer-encoding") != "chunked":
            raise Lost("an answer without a length")
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")


@dataclass(eq=False)
class Browser:
    """What one browser has open to one place. Its ``cookies`` go with everything; ``asked`` counts requests."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    _closed: bool = False
    _idle: list[_Connection] = field(default_factory=list)
    _open: set[_Connection] = field(default_factory=set)

    async def ask(self, method: str, path: str, body: object = None, *, seconds: float = 20.0) -> Answer:
        """Ask and wait for all of the answer. Raises Lost."""
        try:
            async with asyncio.timeout(seconds):
                connection, status, headers = await self._begun(method, path, body)
                with self._closing_unless_done(connection) as done:
                    whole = b"".join([part async for part in connection.parts(headers)])
                    done.append(headers.get("connection", "").lower() != "close")
                return Answer(status, headers, whole)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            raise Lost(f"{path}: {type(error).__name__} {error}") from error

    async def messages(self, path: str, *, seconds: float) -> AsyncIterator[dict[str, Any]]:
        """The messages of an event stream; each has to come within so many seconds. Raises Lost."""
        try:
            async with asyncio.timeout(seconds) as bound:
                connection, status, headers = await self._begun("GET", path, None)
                with self._closing_unless_done(connection):
                    if status != 200:
                        raise Lost(f"{path}: {status}")
                    waiting = b""
                    async for part in connection.parts(headers):
                        bound.reschedule(asyncio.get_running_loop().time() + seconds)
                        *whole, waiting = (waiting + part).split(b"\n\n")
                        for event in whole:
                            if event.startswith(b"data: "):
                                yield json.loads(event[6:])
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            raise Lost(f"{path}: {type(error).__name__} {error}") from error

    def close(self) -> None:
        """What is under way is lost; nothing more is asked."""
        self._closed = True
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._idle.clear()

    async def _begun(self, method: str, path: str, body: object) -> tuple[_Connection, int, dict[str, str]]:
        """Send, and read the answer's head. A kept connection that was closed meanwhile is no news to a browser."""
        self.asked += 1
        while True:
            connection = self._idle.pop() if self._idle else await self._connected()
            used, done = connection.used, False
            try:
                connection.writer.write(self._request(method, path, body))
                status, headers = await connection.head()
                connection.used = done = True
                self._take([value for name, value in headers if name == "set-cookie"])
                return connection, status, dict(headers)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                if not used or getattr(error, "partial", b""):
                    raise
            finally:
                if not done:
                    self._drop(connection)

    def _take(self, cookies: list[str]) -> None:
        for name, _, value in (cookie.partition(";")[0].partition("=") for cookie in cookies):
            self.cookies[name] = value

    async def _connected(self) -> _Connection:
        if self._closed:
            raise ConnectionAbortedError("this browser is closed")
        connection = _Connection(*await asyncio.open_connection("127.0.0.1", self.port, limit=LONGEST_HEAD))
        self._open.add(connection)
        if self._closed:
            self._drop(connection)
            raise ConnectionAbortedError("this browser is closed")
        return connection

    def _request(self, method: str, path: str, body: object) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", f"cookie: {cookie}"]
        if body is not None:
            head += ["content-type: application/json", f"content-length: {len(content)}"]
        return "\r\n".join([*head, "", ""]).encode() + content

    def _drop(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.close()

    def _closing_unless_done(self, connection: _Connection) -> _Lease:
        return _Lease(self, connection)


class _Lease:
    """Gives a connection back where its answer was read to the end (say so by appending True), and closes it if not."""

    def __init__(self, browser: Browser, connection: _Connection) -> None:
        self._browser, self._connection = browser, connection
        self._done: list[bool] = []

    def __enter__(self) -> list[bool]:
        return self._done

    def __exit__(self, *_: object) -> None:
        if self._done == [True] and len(self._browser._idle) < KEPT:
            self._browser._idle.append(self._connection)
        else:
            with suppress(RuntimeError):  # the loop is closed already
                self._browser._drop(self._connection)
