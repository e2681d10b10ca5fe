"""How the server listens, what a connection may cost before anybody has looked at what it says, and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from h11 import LocalProtocolError
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from labeler.errors import LabelerError

HEADER_BYTES = 32 * 1024
OPEN_FILES = 65_536
FAREWELL_SECONDS = 1


class Protocol(H11Protocol):
    """uvicorn's own, which answers what is no HTTP by itself and then forgets to tell the application.

    The rest of a request may be no HTTP while the application works on its beginning; what that then answers has
    nowhere to go, and would be reported as a failure for every such request.
    """

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, if there is still something to be answered, and let go of the connection."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        try:
            super().send_400_response(msg)
        except LocalProtocolError:  # an answer is under way already
            self.transport.close()


# uvicorn's own options. h11 alone bounds the head of a request; nobody speaks over web sockets here.
LISTENING: dict[str, Any] = {
    "http": Protocol,
    "ws": "none",
    "h11_max_incomplete_event_size": HEADER_BYTES,
    "timeout_keep_alive": 75,  # longer than proxies keep an idle connection, or they would meet a closed one
    "backlog": 2048,
    "server_header": False,
}


def allow_many_connections(most: int = OPEN_FILES) -> int:
    """Use as many open files, and with them connections, as the system lets this process have. Returns how many.

    Most systems begin with 1,024, which is five hundred pages.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class DrainingServer(Server):
    """uvicorn, ended by a signal without passing the signal on: a served page that drained exits with 0."""

    def __init__(
        self,
        config: Config,
        *,
        on_started: Callable[[], None],
        before_exit: Callable[[], None],
        on_hangup: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._before_exit = before_exit
        self._on_hangup = on_hangup
        self._on_terminal = _has_terminal()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._before_exit)
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, self._hang_up)
        await super().shutdown(sockets)

    def _hang_up(self) -> None:
        """End the streams that pages keep open for as long as they are shown: by now they have said all there is.

        Left open they would be cancelled when the drain is over, and each be reported as a failure.
        """
        for connection in self.server_state.connections:
            connection.transport.close()

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        """Somebody asks for the study file to be read again; or the terminal it was started from was closed."""
        if self._on_terminal and not _has_terminal():
            self.handle_exit(number, frame)
        elif self._on_hangup is not None:
            self._on_hangup()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread only; whoever runs us elsewhere sets should_exit
            return
        handled: dict[signal.Signals, Callable[[int, FrameType | None], None]]
        handled = {signal.SIGINT: self.handle_exit, signal.SIGTERM: self.handle_exit}
        if self._on_hangup is not None:
            handled[signal.SIGHUP] = self._hung_up
        before = {number: signal.signal(number, handler) for number, handler in handled.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _has_terminal() -> bool:
    """Whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. Raises LabelerError: it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on: an answer is written in two parts, and the second one would
    # wait 40 ms for the acknowledgement of the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise LabelerError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with --host and --port"
        ) from error
    try:
        yield listener
    finally:
        listener.close()


def bracketed(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host
