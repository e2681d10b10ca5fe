"""A program that does nothing but append, and says what was acknowledged: made to be killed, or to meet another one.

    python -m tests.store.writing URL NAME STREAMS EVENTS

So many streams are appended to at once, so many events to each. A line is written for every acknowledged event.
"""

from __future__ import annotations

import os
import sys
import threading

from labeler.store import Store
from tests.store.made import made


def append_to(store: Store, stream: str, events: int) -> None:
    seq = len(store.load(stream))
    for number in range(seq + 1, seq + events + 1):
        (stored,) = store.append([made(f"{stream}-{number}", stream, number)])
        # One system call a line: what a killed process has written stays written, and whole.
        os.write(1, f"{stored.event_id} {stored.position}\n".encode())


def main(url: str, name: str, streams: int, events: int) -> None:
    with Store.open(url) as store:
        threads = [
            threading.Thread(target=append_to, args=(store, f"{name}{number}", events)) for number in range(streams)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
