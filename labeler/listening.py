"""How the server listens: what a connection may cost before anybody has looked at what it says."""

from __future__ import annotations

import resource
from typing import Any

from h11 import LocalProtocolError
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEADER_BYTES = 32 * 1024
OPEN_FILES = 65_536


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
