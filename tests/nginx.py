"""A real nginx for tests, with the configuration that deploy/ holds."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

CONFIG = Path(__file__).parents[1] / "deploy" / "nginx.conf"
START_SECONDS = 20.0
_USER = "user root;" if os.geteuid() == 0 else ""  # else its workers become nobody, who may not write here


def nginx() -> str:
    """The program. NGINX names it; without it, it is looked for where it usually is."""
    found = os.environ.get("NGINX") or shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert found, "no nginx here; scripts/nginx finds or installs one"
    return found


def configured(folder: Path, port: int, pages: Sequence[str]) -> str:
    """The configuration as it stands, but for where the pages are, its own address, and where it puts files.

    Args:
        pages: HOST:PORT of the pages, in the order of the lines ``server page-1``, ``server page-2`` ...
    """
    text = CONFIG.read_text(encoding="utf-8")
    for number, page in enumerate(pages, 1):
        text = text.replace(f"server page-{number}:7860", f"server {page}")
    text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/nginx", f"{folder}/nginx")
    logs = text.replace("/dev/stdout", f"{folder}/access.log").replace("/dev/stderr", f"{folder}/error.log")
    return logs.replace("worker_processes auto", "worker_processes 1")


class Proxy:
    """nginx in front of some pages, on a port of its own of 127.0.0.1."""

    def __init__(self, folder: Path, pages: Sequence[str]) -> None:
        self.folder = folder
        self._pages = pages
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it noted of requests."""
        return (self.folder / "access.log").read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nginx.conf"
        config.write_text(configured(self.folder, self.port, self._pages), encoding="utf-8")
        command = [
            nginx(),
            "-p",
            self.folder,
            "-c",
            config,
            "-e",
            self.folder / "error.log",
            "-g",
            f"daemon off; {_USER}",
        ]
        # nginx takes a variable of this name for a list of sockets that it inherits.
        environ = {name: value for name, value in os.environ.items() if name != "NGINX"}
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environ)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            assert self._process.poll() is None, (self.folder / "error.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(START_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
