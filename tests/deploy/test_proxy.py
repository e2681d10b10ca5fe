"""The proxy of deploy/nginx.conf in front of pages that say what they got: nginx itself, no model of it."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.nginx import CONFIG, Proxy, configured, nginx


class Page(ThreadingHTTPServer):
    """Answers with its name and what it was sent; under /events with one event, and after ``more`` another one."""

    daemon_threads = True

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name
        self.more = threading.Event()
        self.posted = 0
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.more.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Page

    def do_GET(self) -> None:
        if self.path == "/events":
            self._events()
        else:
            self._answer()

    def do_POST(self) -> None:
        self.server.posted += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/lost":
            self.connection.close()  # it was taken, and nobody is told
            return
        self._answer()

    def _answer(self) -> None:
        body = json.dumps({"page": self.server.name, "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        self.server.more.wait(20)
        self.wfile.write(b"data: second\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[list[Page]]:
    with closing(Page("one")) as one, closing(Page("two")) as two:
        yield [one, two]


@pytest.fixture
def proxy(pages: list[Page], tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path / "proxy", [page.place for page in pages]) as running:
        yield running


def browser(proxy: Proxy) -> httpx.Client:
    return httpx.Client(base_url=proxy.address, timeout=20)


def page_of(client: httpx.Client) -> str:
    return str(client.get("/").json()["page"])


def test_nginx_takes_the_configuration_without_a_warning(tmp_path: Path) -> None:
    config = tmp_path / "nginx.conf"
    config.write_text(configured(tmp_path, 1, ["127.0.0.1:2", "127.0.0.1:3"]), encoding="utf-8")
    command = [nginx(), "-t", "-p", tmp_path, "-c", config, "-e", tmp_path / "error.log"]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr
    assert "page-" not in config.read_text(encoding="utf-8").partition("upstream")[2].partition("}")[0]


def test_a_browser_stays_at_one_page_and_many_are_spread_over_both(proxy: Proxy) -> None:
    homes = set()
    for _ in range(30):
        with browser(proxy) as client:
            home = page_of(client)
            assert [page_of(client) for _ in range(3)] == [home] * 3
            homes.add(home)
    assert homes == {"one", "two"}


def test_the_cookie_that_says_where_is_given_once_and_says_nothing_else(proxy: Proxy) -> None:
    with browser(proxy) as client:
        given = client.get("/").headers["Set-Cookie"]
        assert re.fullmatch(r"labeler_route=[0-9a-f]{32}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax", given)
        assert "Set-Cookie" not in client.get("/").headers


def test_when_a_page_is_gone_its_browsers_go_on_at_the_other_and_come_back(proxy: Proxy, pages: list[Page]) -> None:
    with browser(proxy) as client:
        home = page_of(client)
        mine, other = sorted(pages, key=lambda page: page.name != home)
        port = mine.server_address[1]
        mine.close()
        assert [page_of(client) for _ in range(3)] == [other.name] * 3
        with closing(Page(home, port)):
            deadline = time.monotonic() + 30
            while page_of(client) != home:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_what_a_page_had_received_is_not_sent_to_another(proxy: Proxy, pages: list[Page]) -> None:
    with browser(proxy) as client:
        assert client.post("/lost", content=b"a vote").status_code == 502
    assert sum(page.posted for page in pages) == 1


def test_events_are_passed_on_as_they_come(proxy: Proxy, pages: list[Page]) -> None:
    with browser(proxy) as client, client.stream("GET", "/events") as answer:
        parts = answer.iter_text()
        assert next(parts) == "data: first\n\n"  # the page sends nothing else before it is told
        for page in pages:
            page.more.set()
        assert "".join(parts) == "data: second\n\n"


def test_what_a_browser_claims_of_itself_is_not_passed_on(proxy: Proxy) -> None:
    claims = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    with browser(proxy) as client:
        got = client.get("/", headers=claims | {"X-Forwarded-User": "admin", "X-Request-ID": "mine"}).json()["headers"]
    assert got["X-Forwarded-For"] == "127.0.0.1"
    assert got["X-Forwarded-Proto"] == "http"
    assert got["X-Forwarded-Host"] == got["Host"] == proxy.address.removeprefix("http://")
    assert "X-Forwarded-User" not in got
    assert re.fullmatch("[0-9a-f]{32}", got["X-Request-ID"])


def test_what_is_for_those_beside_it_is_not_given_away(proxy: Proxy) -> None:
    with browser(proxy) as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/healthz").status_code == 200


def test_no_query_and_no_cookie_is_logged(proxy: Proxy) -> None:
    with browser(proxy) as client:
        client.get("/somewhere?token=secret", headers={"Cookie": "session=secret"})
    deadline = time.monotonic() + 20
    while "/somewhere" not in proxy.log:  # it is noted when the answer is out
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "secret" not in proxy.log


def test_a_body_that_is_too_large_is_refused_before_a_page_sees_it(proxy: Proxy, pages: list[Page]) -> None:
    with browser(proxy) as client:
        assert client.post("/", content=b"x" * (5 << 20)).status_code == 413
    assert sum(page.posted for page in pages) == 0


def test_every_page_of_the_file_is_replaced_in_tests() -> None:
    assert CONFIG.read_text(encoding="utf-8").count(":7860") == 2
