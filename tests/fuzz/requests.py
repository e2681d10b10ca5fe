"""Requests as nobody should send them, drawn at random: the same seed draws the same."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS = (
    *("/", "/compare/", "/review/", "/insights/", "/compare", "/nowhere", "/api/gesture", "/api/me", "/api/alive"),
    *("/api/adopt", "/api/nothing", "/healthz", "/sign-in", "/sign-out", "/page/x/chat.js", "/page/x/../../etc/passwd"),
    *("/oauth/huggingface/login", "/oauth/huggingface/callback"),
)
GRADIOS = (
    *("queue/join", "queue/data", "queue/status", "heartbeat/{s}", "startup-events", "app_id", "theme.css", "info"),
    *("config", "upload", "upload_progress", "cancel", "reset", "reset/", "call/act", "call/act/{s}", "call/v2/act"),
    *("run/predict", "run/act", "api/predict", "api/act", "file=/etc/passwd", "file/etc/passwd", "file=../../x"),
    *("proxy=http://127.0.0.1:1/", "proxy=https://evil.example", "component_server", "runs", "stream/{s}/1/2/x"),
    *("dev/reload", "login_check", "token", "user", "deep_link", "process_recording", "vibe-editor/", "user", "logout"),
    *("mcp", "mcp/", "mcp/sse", "monitoring/summary", "token", "agents.md", "history/x", "openapi.json"),
)
ROOT_OF_GRADIO = (
    *("config", "login", "login_check", "logout", "monitoring", "monitoring/summary", "manifest.json", "theme.css"),
    *("robots.txt", "pwa_icon", "pwa_icon/7", "svelte/x", "static/img/logo.svg", "static/../../x", "assets/../x"),
    *("assets/nothing.js", "favicon.ico", "openapi.json", "docs", "redoc", "custom_component/x/y/z/w", "gradio_api"),
)
METHODS = ("GET", "GET", "POST", "POST", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get")
TYPES = (
    *("application/json", "application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=x"),
    *("application/x-www-form-urlencoded", "", "application/json; charset=utf-16", "\x00"),
)
ODD_PATHS = ("/%00", "/..%2f..%2fetc/passwd", "/%ff%fe", "/é", "//", "/%2e%2e/", "/" + "x" * 5_000, "/?a=%00", "/;x")
ODD_TEXTS = (
    "",
    "\x00",
    "\ud800",
    "\udc00\ud800",
    "x" * 50_000,
    "‮",
    "<script>alert(1)</script>",
    "'; drop table events",
    "𝒳" * 99,
)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 2**63, -(2**70), [], {}, [[]], {"": {}}, "NaN", ["x"] * 2_000),
    *ODD_TEXTS,
)

SESSION = re.compile(rb'"session_hash": "([a-z0-9-]{1,64})"')


@dataclass(frozen=True)
class World:
    """What a forger may know: a cookie of their own, and the ids of somebody else."""

    cookie: str
    host: str
    handlers: Sequence[int]
    own: Mapping[str, str]
    others: Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """Bytes to send, a line that says what they are, and the session that a call names."""

    line: str
    raw: bytes
    session: str = ""


class Forger:
    """Draws requests."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)

    def request(self) -> Request:
        """Half of them are sound HTTP from the page's own host, so that they get far; the other half is anything."""
        return self._sound() if self.chance.random() < 0.5 else self._anything()

    def stream(self, session: str) -> Request:
        """What the pages send to hear what became of a call."""
        path = f"/gradio_api/queue/data?session_hash={session}"
        return self._sent("GET", path, [f"Host: {self.world.host}", f"Cookie: {self.world.cookie}"], b"")

    def _sound(self) -> Request:
        path, body = self._aimed() if self.chance.random() < 0.8 else (self._path(), self._noise())
        method = "POST" if self.chance.random() < 0.8 else self.chance.choice(("GET", "HEAD"))
        lines = [f"Host: {self.world.host}", f"Cookie: {self.world.cookie}", "Content-Type: application/json"]
        return self._sent(method, path, [*lines, f"Content-Length: {len(body)}"], body)

    def _anything(self) -> Request:
        chance = self.chance
        path, body = self._aimed() if chance.random() < 0.6 else (self._path(), self._noise())
        if chance.random() < 0.05:
            path = chance.choice(ODD_PATHS)
        method = "POST" if chance.random() < 0.6 else chance.choice(METHODS)
        framing, sent = self._framed(body)
        return self._sent(method, path, [f"Host: {self._host()}", *self._headers(), *framing], sent)

    def _sent(self, method: str, path: str, headers: Sequence[str], body: bytes) -> Request:
        lines = [f"{method} {path} HTTP/1.1", *headers, "Connection: close", "", ""]
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        session = SESSION.search(body)
        return Request(f"{method} {path[:80]} {body[:200]!r}", head + body, session[1].decode() if session else "")

    # ── where to ──

    def _path(self) -> str:
        chance = self.chance
        page = chance.choice(("/", "/", "/compare/", "/review/", "/insights/"))
        kind = chance.random()
        if kind < 0.35:
            path = chance.choice(OURS)
        elif kind < 0.8:
            path = f"{page}gradio_api/{chance.choice(GRADIOS)}"
        else:
            path = f"{page}{chance.choice(ROOT_OF_GRADIO)}"
        query = chance.choice(
            ("", "", "", "?session_hash={s}", "?conversations=-1", "?conversations=9e9", "?mode=\x7f", "?to=//evil")
        )
        return (path + query).replace("{s}", self._session()).replace(" ", "%20").replace("\x7f", "%7F")

    def _session(self) -> str:
        return self.chance.choice(
            ("abc", "def", self.world.others["session"], self.world.own["session"], "", "..", "x" * 200, "%00")
        )

    def _aimed(self) -> tuple[str, bytes]:
        """A call that is nearly right."""
        chance = self.chance
        if chance.random() < 0.5:
            return "/api/gesture", self._json(self._spoiled(self._gesture()))
        page = chance.choice(("/", "/", "/", "/", "/compare/", "/review/", "/insights/"))
        claims = self._claims() if chance.random() < 0.5 else self._spoiled(self._claims())
        call = {
            "data": [claims, None],
            "fn_index": chance.choice([*self.world.handlers, *self.world.handlers, -1, 10**6]),
            "session_hash": self._session(),
            "event_data": None,
            "trigger_id": 3,
        }
        return f"{page}gradio_api/queue/join", self._json(call if chance.random() < 0.7 else self._spoiled(call))

    # ── what ──

    def _ids(self) -> Mapping[str, str]:
        return self.world.others if self.chance.random() < 0.6 else self.world.own

    def _gesture(self) -> dict[str, Any]:
        chance, ids = self.chance, self._ids()
        kind = chance.choice(("vote", "reason", "compare", "choose", "review"))
        more: dict[str, dict[str, Any]] = {
            "vote": {"value": chance.choice((-1, 0, 1))},
            "reason": {"reasons": ["Wrong"], "comment": "why"},
            "compare": {"winner": chance.choice(("a", "b", "tie", None))},
            "choose": {"choice": chance.choice(("a", "same", None)), "decision": 5},
            "review": {"lease": ids["conversation"], "good": True},
        }
        return {
            "kind": kind,
            "nonce": self._nonce(),
            "conversation": ids["conversation"],
            "message": ids["message"],
        } | more[kind]

    def _claims(self) -> dict[str, Any]:
        chance, ids = self.chance, self._ids()
        kind = chance.choice(
            (
                "open",
                "new",
                "retry",
                "edit",
                "undo",
                "clear",
                "select",
                "stop",
                "accept_consent",
                "withdraw_consent",
                "exclude",
                "include",
            )
        )
        return {
            "kind": kind,
            "nonce": self._nonce(),
            "conversation": ids["conversation"],
            "turn_seq": chance.choice((0, 3, 4)),
            "message": ids["message"],
            "text": "mine now",
            "annotator": ids["annotator"],
        }

    def _nonce(self) -> str:
        return f"forged-{self.chance.randrange(10**9)}" if self.chance.random() < 0.8 else "end:00000000"

    def _spoiled(self, call: dict[str, Any]) -> dict[str, Any]:
        """One thing or several are wrong with it."""
        spoiled = dict(call)
        for _ in range(self.chance.choice((1, 1, 2, 4))):
            name = self.chance.choice([*spoiled, "annotator", "__class__", "extra"])
            if self.chance.random() < 0.2:
                spoiled.pop(name, None)
            else:
                spoiled[name] = self._odd()
        return spoiled

    def _odd(self) -> Any:
        if self.chance.random() < 0.1:
            value: Any = 1
            for _ in range(self.chance.choice((5, 50, 900))):
                value = [value] if self.chance.random() < 0.5 else {"a": value}
            return value
        return self.chance.choice(ODD)

    def _json(self, call: object) -> bytes:
        text = json.dumps(call).encode()
        harms: Sequence[Callable[[bytes], bytes]] = (
            lambda text: text[: self.chance.randrange(len(text))],
            lambda text: text.replace(b"{", b"[", 1),
            lambda text: text + text,
            lambda text: b"\xef\xbb\xbf" + text,
            lambda text: text.replace(b":", b"\x00", 1),
            lambda text: text.decode().encode("utf-16"),
            lambda text: b"[" * 30_000,
            lambda text: b'{"data":' * 3_000,
            lambda text: b"NaN",
        )
        return self.chance.choice(harms)(text) if self.chance.random() < 0.2 else text

    def _noise(self) -> bytes:
        chance = self.chance
        broken = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a\x00.png"\r\n\r\nabc'
        kinds = (
            b"",
            b"{}",
            b"null",
            b"[]",
            b"7",
            b"\x00" * 50,
            broken,
            broken + b"\r\n--x--\r\n",
            chance.randbytes(300),
        )
        return chance.choice((*kinds, b"x" * 700_000, b"name=a&password=%00&to=//evil", b"&" * 5_000))

    # ── how ──

    def _host(self) -> str:
        return self.chance.choice((self.world.host,) * 12 + ("evil.example", "", "127.0.0.1:1", "x" * 300))

    def _headers(self) -> list[str]:
        chance, world = self.chance, self.world
        cookie = chance.choice(
            (world.cookie,) * 6 + ("", f"{world.cookie}x", "labeler=;;;=", "\x80=\xff", "a=" + "x" * 3_000)
        )
        lines = [f"Cookie: {cookie}"] if cookie else []
        if kind := chance.choice(TYPES):
            lines.append(f"Content-Type: {kind}")
        if chance.random() < 0.15:
            lines.append(
                f"Origin: {chance.choice(('https://evil.example', 'null', 'http://' + world.host, 'http://[', ''))}"
            )
        if chance.random() < 0.1:
            lines.append(
                chance.choice(
                    (
                        "Sec-Fetch-Site: cross-site",
                        "X-Forwarded-For: \x00",
                        "X-Forwarded-For: 9.9.9.9",
                        "Range: bytes=9-1",
                        "Accept-Encoding: gzip",
                        "X-Forwarded-Proto: gopher",
                        "X-Forwarded-Host: evil.example",
                        "Upgrade: websocket",
                        "Expect: 100-continue",
                        "Transfer-Encoding: gzip",
                        "If-None-Match: \x7f",
                        "X-" + "y" * 40_000 + ": 1",
                    )
                )
            )
        return lines

    def _framed(self, body: bytes) -> tuple[list[str], bytes]:
        """How long the body is said to be, and what is sent."""
        size = len(body)
        kind = self.chance.random()
        if kind < 0.85:
            return [f"Content-Length: {size}"], body
        if kind < 0.9:
            return ["Transfer-Encoding: chunked"], b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
        lies = (
            *([], ["Content-Length: -1"], ["Content-Length: +5"], ["Content-Length: 5", "Content-Length: 7"]),
            *(["Content-Length: x"], [f"Content-Length: {size // 2}"], [f"Content-Length: {size + 9}"]),
            *(["Content-Length: 99999999999999999999"], ["Transfer-Encoding: chunked", "Content-Length: 3"]),
            *(["Transfer-Encoding: chunked"], ["Content-Length: \x00"], ["Content-Length : 3"]),
        )
        return self.chance.choice(lies), body
