"""A wire between two programs on this machine that can be cut, stalled and mended: a small TCP proxy.

flow      bytes go through
stall     nothing goes through, and nobody is told; what was sent arrives when it is mended
cut       everything open is reset, and whoever connects is reset as well
vanish    as cut for whoever called; whoever was called is told nothing, as after a power cut, and waits for ever
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field

PIECE = 1 << 16
GOODBYE_SECONDS = 0.2  # until the loop has let go of what was closed
RESET = struct.pack("ii", 1, 0)  # close by RST, not by FIN


@dataclass(eq=False)
class Cut:
    """Entered within an event loop; ``port`` leads to ``target`` on loopback."""

    target: int
    port: int = 0
    state: str = "flow"
    _server: asyncio.Server | None = None
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _callers: set[asyncio.StreamWriter] = field(default_factory=set)
    _called: set[asyncio.StreamWriter] = field(default_factory=set)
    _lost: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Cut:
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in (*self._callers, *self._called, *self._lost):
            _reset(writer)
        await asyncio.sleep(GOODBYE_SECONDS)

    def become(self, state: str) -> None:
        """``flow``, ``stall``, ``cut`` or ``vanish``; the first mends."""
        self.state = state
        if state == "stall":
            self._flowing.clear()
            return
        self._flowing.set()
        if state in ("cut", "vanish"):
            self._break(silently=state == "vanish")

    def _break(self, *, silently: bool) -> None:
        callers, called = list(self._callers), list(self._called)
        self._callers.clear()
        self._called.clear()
        for task in list(self._tasks):
            task.cancel()
        for writer in callers:
            _reset(writer)
        if silently:
            self._lost += called
        else:
            for writer in called:
                _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            pass  # broken, on purpose
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            if self.state != "flow":
                raise ConnectionResetError
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return _reset(writer)
        self._callers.add(writer)
        self._called.add(back)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, back))
                both.create_task(self._pump(there, writer))
        except* OSError:
            for end in (writer, back):
                _reset(end)
        finally:
            if back in self._called:  # else it was broken, and who did it sees to both ends
                for end in (writer, back):
                    end.close()
            self._callers.discard(writer)
            self._called.discard(back)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(PIECE):
            await self._flowing.wait()
            sink.write(piece)
            await sink.drain()
        await self._flowing.wait()
        if sink.can_write_eof():
            sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
