"""The wire that is cut, stalled and mended does to a connection what networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.load.cut import Cut

SOON = 0.3
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[Cut, list[Streams]]]:
    """A wire to a server that says everything again, and the server's side of every connection."""
    accepted: list[Streams] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append((reader, writer))
        while piece := await reader.read(100):
            writer.write(piece.upper())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Cut(server.sockets[0].getsockname()[1]) as cut:
        yield cut, accepted


async def said(streams: Streams, words: bytes) -> bytes:
    reader, writer = streams
    writer.write(words)
    return await asyncio.wait_for(reader.readexactly(len(words)), 10)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 30))  # type: ignore[arg-type]


def test_what_is_said_goes_through_and_so_does_the_end() -> None:
    async def work() -> None:
        async with wired() as (cut, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", cut.port)
            assert await said((reader, writer), b"hello") == b"HELLO"
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()

    run(work)


def test_what_is_said_on_a_stalled_wire_arrives_when_it_is_mended() -> None:
    async def work() -> None:
        async with wired() as (cut, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", cut.port)
            await said((reader, writer), b"one")
            cut.become("stall")
            writer.write(b"two")
            late = await asyncio.open_connection("127.0.0.1", cut.port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(3), SOON)
            cut.become("flow")
            assert await asyncio.wait_for(reader.readexactly(3), 10) == b"TWO"
            assert await said(late, b"three") == b"THREE"
            for one in (writer, late[1]):
                one.close()

    run(work)


@pytest.mark.parametrize(("state", "told"), [("cut", True), ("vanish", False)])
def test_a_cut_wire_resets_whoever_calls_and_tells_the_other_side_or_not(state: str, told: bool) -> None:
    async def work() -> None:
        async with wired() as (cut, accepted):
            streams = await asyncio.open_connection("127.0.0.1", cut.port)
            await said(streams, b"one")
            cut.become(state)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await said(streams, b"two")
            new = await asyncio.open_connection("127.0.0.1", cut.port)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await said(new, b"three")
            await asyncio.sleep(SOON)
            assert (accepted[0][1].is_closing() or accepted[0][0].exception() is not None) is told
            cut.become("flow")
            mended = await asyncio.open_connection("127.0.0.1", cut.port)
            assert await said(mended, b"four") == b"FOUR"
            for one in (streams, new, mended):
                one[1].close()

    run(work)
