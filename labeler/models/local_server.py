"""The process that runs llama.cpp's own server on loopback, apart from the page, so that its crash is not the page's.

Started as a plain script by ``labeler.models.local``. The first line of its standard input is a JSON object with
``path``, ``name``, ``key``, ``context``, ``streams`` and ``threads``; its standard output is one JSON line,
``{"url": …}`` when it serves or ``{"error": …}`` when it cannot. Everything llama.cpp says goes to standard error.
It ends when its standard input does, or when its parent has gone.
"""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any

PARENT_CHECK_SECONDS = 1.0
ERRORS_ONLY = 1


def main() -> None:
    """Serve until the parent lets go."""
    parent = os.getppid()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp prints to standard output too; that line is ours
    with open(0, "rb", buffering=0, closefd=False) as first_line:  # unbuffered: what follows is for select
        wanted = json.loads(first_line.readline())
    try:
        server = start(wanted)
    except ImportError:
        report = {"error": "missing"}
    except RuntimeError as error:
        report = {"error": str(error)}
    else:
        report = {"url": server.listening_address}
    print(json.dumps(report), file=answers, flush=True)
    if "url" not in report:
        sys.exit(1)  # with the destructors of llama.cpp: a thread of its own still writes what it has to say
    wait_for_end(parent)
    os._exit(0)  # without them: they wait for running answers, and nobody reads those any more


def start(wanted: dict[str, Any]) -> Any:
    """Load the model and listen on a free port of 127.0.0.1.

    Raises:
        ImportError: xllamacpp is not installed, or not for this machine.
        RuntimeError: llama.cpp cannot use the file; it says why on standard error.
    """
    import xllamacpp  # noqa: PLC0415  # its absence is to be reported, not to be a traceback

    params = xllamacpp.CommonParams()
    params.model.path = wanted["path"]
    params.model_alias = {wanted["name"]}
    params.hostnames, params.port = ["127.0.0.1"], 0
    # Every page in a browser can reach loopback: nothing is served without the key, and nothing but the API at all.
    params.api_keys = [wanted["key"]]
    params.ui = params.endpoint_slots = False
    params.n_parallel, params.n_ctx = wanted["streams"], wanted["context"] * wanted["streams"]
    # The same seed is to give the same answer: no state of earlier answers is used. (The default would also keep up
    # to 8 GiB of them.)
    params.cache_prompt = params.cache_idle_slots = False
    params.cache_ram_mib = 0
    params.verbosity = ERRORS_ONLY
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads, pool.poll = wanted["threads"], 0
    return xllamacpp.Server(params)


def wait_for_end(parent: int) -> None:
    """Return when standard input ends, or when the parent is gone though somebody else still holds its pipe."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], PARENT_CHECK_SECONDS)
        if readable and not os.read(0, 4096):
            return


if __name__ == "__main__":
    main()
