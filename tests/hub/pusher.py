"""A push in a process of its own, to be killed: ``python -m tests.hub.pusher PACKAGE``; HF_ENDPOINT names the Hub."""

from __future__ import annotations

import sys
from pathlib import Path

from labeler.hub import DatasetRepo, push
from tests.hub.conftest import QUICK, REPO

if __name__ == "__main__":
    done = push(Path(sys.argv[1]), DatasetRepo(REPO, timeout=30.0), patience=QUICK)
    sys.stdout.write(f"{done.note}\n")
