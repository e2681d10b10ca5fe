"""What deploy/compose.yaml wires together, without containers: its study, its image's command, PostgreSQL and nginx."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deploy import DEPLOY, dockerfile
from tests.house import ROOT
from tests.nginx import Proxy
from tests.postgres_server import PostgresServer

IMAGE = {one.name: one for one in dockerfile(DEPLOY / "Dockerfile")}
PAGE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["x-page"]
PASSWORD = "of-the-database"
SECONDS = 120.0


class Stack:
    """The folder that stands for the volume ``state``, and what runs in it."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        study = yaml.safe_load((DEPLOY / "study.yaml").read_text(encoding="utf-8"))
        assert study["database"] == "postgresql+psycopg://labeler@database/labeler"
        study["database"] = re.sub(":[^:@/]+@", "@", database)
        study["models"] = [{"kind": "openai", "name": "m", "base_url": "http://127.0.0.1:1", "model": "m"}]
        (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
        self.environ = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PGPASSWORD": PASSWORD,
            "FORWARDED_ALLOW_IPS": PAGE["environment"]["FORWARDED_ALLOW_IPS"],
        }

    def labeler(self, *arguments: str) -> list[str]:
        """A command line of the image, with what is here in place of what is there."""
        here = {"/etc/labeler/study.yaml": str(self.folder / "study.yaml"), "0.0.0.0": "127.0.0.1", "7860": "0"}
        assert IMAGE["ENTRYPOINT"].words == ["labeler"]
        return [sys.executable, "-m", "labeler", *(here.get(word, word) for word in arguments)]

    def once(self, *arguments: str) -> str:
        ran = subprocess.run(
            self.labeler(*arguments), cwd=self.folder, env=self.environ, capture_output=True, text=True, check=True
        )
        return ran.stdout

    @contextmanager
    def page(self) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        """One page, as the image runs it: its address, and its process."""
        log = self.folder / "errors"
        with (
            log.open("a", encoding="utf-8") as errors,
            subprocess.Popen(
                self.labeler(*IMAGE["CMD"].words),
                cwd=self.folder,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line.startswith("labeler: serving team at http://"), log.read_text(encoding="utf-8")
                yield line.rpartition("//")[2].strip(), process
            finally:
                process.terminate()
                process.wait(SECONDS)


@pytest.fixture
def stack(postgres: PostgresServer, tmp_path: Path) -> Iterator[Stack]:
    with postgres.database() as name:
        yield Stack(tmp_path, postgres.guard(name, PASSWORD))


def healthy(address: str, stack: Stack) -> bool:
    """What the image's own check says of a page."""
    words = [
        word.replace("127.0.0.1:7860", address)
        for word in yaml.safe_load(IMAGE["HEALTHCHECK"].text.partition("CMD ")[2])
    ]
    assert words[0] == "python"
    return subprocess.run([sys.executable, *words[1:]], check=False, capture_output=True).returncode == 0


def test_who_signed_in_at_one_page_goes_on_at_the_other_when_that_one_dies(stack: Stack) -> None:
    password = re.search(
        r"password: (\S+)", stack.once("users", "add", "ann", "--generate", "--config", "/etc/labeler/study.yaml")
    )
    assert password
    with ExitStack() as running:
        pages = dict(running.enter_context(stack.page()) for _ in range(2))
        assert [healthy(address, stack) for address in pages] == [True, True]
        proxy = running.enter_context(Proxy(stack.folder / "proxy", list(pages)))
        client = running.enter_context(httpx.Client(base_url=proxy.address, timeout=SECONDS, follow_redirects=True))
        assert client.get("/").url.path == "/sign-in"
        home = client.post("/sign-in", data={"name": "ann", "password": password[1]})
        assert (home.status_code, home.url.path) == (200, "/")
        (mine,) = {address for address in pages if address in proxy.log}
        pages[mine].kill()
        pages[mine].wait(SECONDS)
        assert not healthy(mine, stack)
        again = client.get("/")
        assert (again.status_code, again.url.path) == (200, "/")
        assert client.get("/healthz").json()["status"] == "ok"
    assert "Traceback" not in (stack.folder / "errors").read_text(encoding="utf-8")
    assert PASSWORD not in (stack.folder / "errors").read_text(encoding="utf-8")
    kept = {path.name: path.stat().st_mode & 0o777 for path in (stack.folder / ".labeler").iterdir()}
    assert kept["secret"] == 0o600
