"""Run the Hub by itself: ``python -m tests.hub_server --port 8100 --state DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.hub_server import Account, HubServer


def main() -> None:
    """Serve until interrupted. Prints one line, the address, when it can be used."""
    parser = argparse.ArgumentParser(prog="python -m tests.hub_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="keep repos and files in this directory")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN:USER:ROLE", help="hf_test:tester:write")
    parser.add_argument("--no-xet", action="store_true", help="offer plain large file uploads only")
    asked = parser.parse_args()
    accounts = {token: Account(user, role) for token, user, role in (each.split(":") for each in asked.token)}
    with HubServer(asked.state, port=asked.port, accounts=accounts or None, offers_xet=not asked.no_xet) as hub:
        sys.stdout.write(f"hub at {hub.endpoint}\n")
        sys.stdout.flush()
        hub.wait()


if __name__ == "__main__":
    main()
