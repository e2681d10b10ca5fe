"""The crowd's own HTTP: what it takes for an answer, and what for a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.load.crowd import quantile
from tests.load.wire import Browser, Lost

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Server:
    """Answers each request with the next of some bytes. None closes the connection, a number of seconds waits."""

    def __init__(self, *answers: bytes | float | None) -> None:
        self._answers: Sequence[bytes | float | None] = answers
        self.heads: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                answer = self._answers[len(self.heads)]
                self.heads.append(head.decode())
                if isinstance(answer, float):
                    await asyncio.sleep(answer)
                elif answer is None:
                    break
                else:
                    writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def browse(server: Server, work: Callable[[Browser], Awaitable[None]]) -> None:
    async def run() -> None:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        async with listener:
            browser = Browser(listener.sockets[0].getsockname()[1])
            await work(browser)
            browser.close()
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_connection_is_kept_and_so_are_cookies() -> None:
    server = Server(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: a=1; Path=/\r\nset-cookie: b=2\r\n\r\n", 1), OK)

    async def work(browser: Browser) -> None:
        assert (await browser.ask("GET", "/")).status == 200
        assert (await browser.ask("POST", "/x", {"y": 1})).json() == {}

    browse(server, work)
    assert server.connections == 1
    assert "cookie: a=1; b=2\r\n" in server.heads[1]


def test_a_kept_connection_that_was_closed_meanwhile_is_no_loss() -> None:
    server = Server(OK, None, OK)

    async def work(browser: Browser) -> None:
        for _ in range(2):
            assert (await browser.ask("GET", "/")).status == 200

    browse(server, work)
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer", [None, 1.0, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"], ids=["closed", "silent", "cut short"]
)
def test_a_new_connection_without_a_whole_answer_is_a_loss(answer: bytes | float | None) -> None:
    async def work(browser: Browser) -> None:
        with pytest.raises(Lost):
            await browser.ask("GET", "/", seconds=0.3)

    browse(Server(answer), work)


def test_a_closed_browser_asks_nothing_more() -> None:
    server = Server(OK, 1.0, OK)

    async def work(browser: Browser) -> None:
        await browser.ask("GET", "/")
        asked = asyncio.create_task(browser.ask("GET", "/"))
        await asyncio.sleep(0.1)
        browser.close()
        with pytest.raises(Lost):
            await asked
        with pytest.raises(Lost):
            await browser.ask("GET", "/")

    browse(server, work)
    assert (len(server.heads), server.connections) == (2, 1)


def test_messages_come_as_they_are_sent_and_a_stream_that_breaks_is_a_loss() -> None:
    events = b'data: {"n": 1}\n\ndata: {"n"', b": 2}\n\n: nothing\n\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in events)
    heard = []

    async def listen(browser: Browser, seconds: float) -> None:
        async for message in browser.messages("/", seconds=seconds):
            heard.append(message["n"])

    async def work(browser: Browser) -> None:
        await listen(browser, 5)
        with pytest.raises(Lost):
            await listen(browser, 0.3)

    browse(Server(CHUNKED + body + b"0\r\n\r\n", CHUNKED + body), work)
    assert heard == [1, 2, 1, 2]


def test_a_quantile_is_the_value_that_so_many_do_not_exceed() -> None:
    hundred = list(range(1, 101))
    assert (quantile(hundred, 0.5), quantile(hundred, 0.99), quantile([], 0.5)) == (50, 99, 0)
