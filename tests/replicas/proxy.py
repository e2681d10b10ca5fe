"""A real nginx before real replicas, set up by the very file that operators are given."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import httpx

EXAMPLE = Path(__file__).parents[2] / "deploy" / "replicas.nginx.conf"
FRAME = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections {connections}; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/replicas.conf;
}}
"""
READY_SECONDS = 20.0


class Proxy:
    """The sticky proxy in front of the replicas at some addresses; its own is ``address``.

    It holds so many ``connections`` at once; each visitor's counts twice, on its way in and on.
    """

    def __init__(self, folder: Path, replicas: Sequence[str], *, connections: int = 512) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "replicas.conf").write_text(_adapted(EXAMPLE.read_text(), self.port, replicas))
        user = "user root;" if getpass.getuser() == "root" else ""  # else the workers become nobody, who may not write
        (folder / "nginx.conf").write_text(FRAME.format(folder=folder, user=user, connections=connections))

    def __enter__(self) -> Proxy:
        program = os.environ.get("NGINX") or shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "there is no nginx; scripts/nginx installs one"
        command = [program, "-p", str(self.folder), "-e", str(self.folder / "error.log"), "-c", "nginx.conf"]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx does not answer"
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/healthz", timeout=5).is_success
        except httpx.TransportError:
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _adapted(example: str, port: int, replicas: Sequence[str]) -> str:
    """The example with these addresses, and with nothing else changed."""
    servers = re.findall(r"^ *server 127\.0\.0\.1:\d+ .*$", example, re.MULTILINE)
    assert len(servers) == len(replicas)
    for line, replica in zip(servers, replicas, strict=True):
        example = example.replace(line, re.sub(r"127\.0\.0\.1:\d+", replica.removeprefix("http://"), line))
    assert example.count("listen 127.0.0.1:7860;") == 1
    return example.replace("listen 127.0.0.1:7860;", f"listen 127.0.0.1:{port};")
