"""One annotator with one browser, as far as a server can tell: the page's routes, called as its script calls them.

A page load gives the cookie and a Gradio session; turns travel through Gradio's queue and its event stream; votes,
reasons and comparisons wait in an outbox and go one after the other to the page's own route, each until it is
acknowledged or refused; a pulse asks every second and a half who is there, and has the page loaded anew when that is
somebody else. What the page's files weigh, and how quickly a browser draws, is not part of it.
"""

from __future__ import annotations

import asyncio
import html
import json
import random
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.load.record import ACKNOWLEDGED, REFUSED, Made, Record
from tests.load.wire import Browser, Lost

# As in labeler/page/assets: outbox.js, pulse.js, turns.js, sidebar.js.
DELIVERY_SECONDS = 20.0
AGAIN_SECONDS = 3.0
PULSE_SECONDS = 1.5
LONGEST_DELIVERY_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
SETTLE_SECONDS = 0.4
SILENT_SECONDS = 40.0  # Gradio says something every 15 s

REASONS = ("Helpful", "Wrong", "Unsafe")
CONFIG = re.compile(r"window\.gradio_config = (\{.*?\});</script>", re.DOTALL)
SOURCE = re.compile(r"window\.labeler\.gesture\('(\w+)'\)")
VIEW = re.compile(r'data-view="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two gestures and between two turns of one annotator."""

    gesture: float = 10.0
    turn: float = 60.0


@dataclass(eq=False)
class Tally:
    """What all annotators saw. Times are seconds since ``begun``, latencies seconds."""

    begun: float = field(default_factory=time.perf_counter)
    votes: list[tuple[float, float]] = field(default_factory=list)
    bare: list[tuple[float, float]] = field(default_factory=list)
    saved: list[tuple[float, float]] = field(default_factory=list)  # when, and how long after the click
    shown_again: list[tuple[float, float]] = field(default_factory=list)  # when, and how long it was away
    seen: list[tuple[float, str]] = field(default_factory=list)
    calls: int = 0

    def now(self) -> float:
        return time.perf_counter() - self.begun

    def see(self, what: str) -> None:
        """Something that a person would have seen, or a tester."""
        self.seen.append((self.now(), what))

    def between(self, begin: float, end: float) -> Counter[str]:
        return Counter(what for at, what in self.seen if begin <= at < end)


@dataclass(eq=False)
class Entry:
    """A gesture in the outbox."""

    made: Made
    body: Mapping[str, Any]
    at: float
    tried: bool = False


class Annotator:
    """Begin with ``live``, in a task of its own; told to ``stop`` it ends when everything it made is delivered."""

    def __init__(self, port: int, record: Record, tally: Tally, pace: Pace, seed: str) -> None:
        self.port, self.record, self.tally, self.pace = port, record, tally, pace
        self.chance = random.Random(seed)
        self.browser = Browser(port)
        self.id = ""
        self._session = ""
        self._boot = ""
        self._handlers: Mapping[str, int] = {}
        self._view: Mapping[str, Any] = {"conversation": None, "turn_seq": 0, "running": False, "messages": []}
        self._votes: dict[str, int] = {}
        self._winners: dict[str, str] = {}
        self._failed: set[str] = set()
        self._echo: Mapping[str, Any] = {}
        self._outbox: deque[Entry] = deque()
        self._waiting = asyncio.Event()
        self._deliver_now = asyncio.Event()
        self._load_wanted = asyncio.Event()
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._streaming = asyncio.Lock()
        self._away: float | None = None
        self._broken = False
        self._answered_at = 0.0
        self._facts_due = False
        self._numbers = iter(range(1, 1_000_000))
        self._group: asyncio.TaskGroup

    def stop(self) -> None:
        self._stopping.set()

    def well(self, since: float) -> bool:
        """Whether the page is there, the server has answered it since, and nothing waits to be delivered."""
        return self._ready.is_set() and self._away is None and self._answered_at >= since and not self._outbox

    async def live(self, after: float = 0.0) -> None:
        """Arrive after so many seconds; go on until stopped, and then until everything is delivered."""
        await asyncio.sleep(after)
        self._load_wanted.set()
        try:
            async with asyncio.TaskGroup() as self._group:
                for ever in (self._load_on(), self._pulse_on(), self._deliver_on()):
                    self._group.create_task(ever)
                making = [self._group.create_task(self._judge_on()), self._group.create_task(self._turn_on())]
                await asyncio.wait(making)
                while self._outbox:
                    await asyncio.sleep(0.02)
                raise _Done
        except* _Done:
            self.browser.close()

    async def _pause(self, seconds: float) -> bool:
        """Wait; false when it is time to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return not self._stopping.is_set()

    # ── the page ──

    async def _load_on(self) -> None:
        while True:
            await self._load_wanted.wait()
            self._load_wanted.clear()
            try:
                await self._load()
            except Lost:
                self.tally.see("a page that did not load")
                await asyncio.sleep(1)
                self._load_wanted.set()

    async def _load(self) -> None:
        self._ready.clear()
        self.browser.close()
        self.tally.calls += self.browser.asked
        browser = self.browser = Browser(self.port, self.browser.cookies)
        document = await browser.ask("GET", "/")
        if document.status != 200:
            raise Lost(f"/: {document.status}")
        self._handlers = handlers_in(document.body.decode())
        self._session = secrets.token_hex(6)[:11]
        self._spawn(self._heartbeat(browser, self._session))
        heard = asyncio.Event()
        self._spawn(self._watch(browser, "load", self._claims("open"), heard))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await heard.wait()
        except TimeoutError as error:
            raise Lost("the page stays empty") from error
        await self._facts(browser)
        self._ready.set()
        self._broken = False
        self._shown_again()

    def _shown_again(self) -> None:
        if self._away is not None:
            self.tally.shown_again.append((self.tally.now(), self.tally.now() - self._away))
            self._away = None

    async def _heartbeat(self, browser: Browser, session: str) -> None:
        async with aclosing(browser.messages(f"/gradio_api/heartbeat/{session}", seconds=SILENT_SECONDS)) as beats:
            async for _ in beats:
                pass

    async def _facts(self, browser: Browser) -> None:
        """What the sidebar shows."""
        facts = await browser.ask("GET", "/api/me?mode=chat&conversations=50")
        if facts.status == 200:
            self.id = facts.json()["annotator"]
        else:
            self.tally.see(f"a sidebar with {facts.status}")

    async def _facts_soon(self) -> None:
        if self._facts_due:
            return
        self._facts_due = True
        await asyncio.sleep(SETTLE_SECONDS)
        self._facts_due = False
        await self._facts(self.browser)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Something whose end nobody waits for: the page is loaded anew when it is lost."""
        task = self._group.create_task(_forgiven(work))
        task.add_done_callback(lambda _: work.close())  # it may be ended before it has begun

    async def _pulse_on(self) -> None:
        missed = 0
        while True:
            await self._ready.wait()
            browser = self.browser
            try:
                answer = await browser.ask("GET", "/api/alive", seconds=PULSE_SECONDS)
                if answer.status != 200:
                    raise Lost(f"a pulse with {answer.status}")
                missed = 0
                await self._found(answer.json()["boot"])
                self._answered_at = self.tally.now()
            except Lost as error:
                if browser is not self.browser:
                    continue
                missed += 1
                self._broken |= not slow(error)
                if missed < 2 and slow(error):
                    continue
                if self._away is None:
                    self._away = self.tally.now()
                    self.tally.see("the server cannot be reached")
            await asyncio.sleep(PULSE_SECONDS)

    async def _found(self, boot: str) -> None:
        known, self._boot = self._boot, boot
        if self._away is None and known in ("", boot):
            return
        if self._away is None:
            self._away = self.tally.now()
        self._deliver_now.set()
        if known == boot and not self._broken:
            self._shown_again()
            self.tally.see("a server that had been slow")
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_DELIVERY_SECONDS):
                while self._outbox:
                    await asyncio.sleep(0.05)
        self.tally.see("a page that loads itself anew")
        await self._loaded_anew()

    async def _loaded_anew(self) -> None:
        self._ready.clear()
        self._load_wanted.set()
        await self._ready.wait()

    # ── the outbox ──

    async def _deliver_on(self) -> None:
        while True:
            await self._waiting.wait()
            await self._ready.wait()
            self._deliver_now.clear()
            if not await self._delivered(self._outbox[0]):
                with suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._deliver_now.wait()
                continue
            self._outbox.popleft()
            if not self._outbox:
                self._waiting.clear()
                self._spawn(self._facts_soon())

    async def _delivered(self, entry: Entry) -> bool:
        """Whether the server has said its last word on it."""
        begin, first = self.tally.now(), not entry.tried
        entry.tried = True
        try:
            answer = await self.browser.ask("POST", "/api/gesture", entry.body, seconds=DELIVERY_SECONDS)
        except Lost:
            self.tally.see("a gesture whose delivery failed")
            return False
        now = self.tally.now()
        if answer.status == 200:
            self.record.ended(entry.made, ACKNOWLEDGED)
            self.tally.saved.append((now, now - entry.at))
            if entry.made.kind == "vote" and first:
                self.tally.votes.append((begin, now - begin))
            return True
        line = short(answer.json().get("error", ""))
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            self.record.ended(entry.made, REFUSED)
            self.tally.see(f"refused: {answer.status} {line}")
            return True
        self.tally.see(f"not saved yet: {answer.status} {line}")
        return False

    def _post(self, kind: str, message: str, says: str | int, body: Mapping[str, Any]) -> None:
        nonce = secrets.token_hex(16)
        made = Made(self.id, self._view["conversation"], nonce, kind, message, says)
        claims = {"kind": kind, "message": message, "nonce": nonce, "conversation": made.conversation}
        self.record.made(made)
        self._outbox.append(Entry(made, claims | body, self.tally.now()))
        self._waiting.set()

    # ── judging ──

    async def _judge_on(self) -> None:
        await self._ready.wait()
        seconds = self.chance.uniform(0, self.pace.gesture)
        while await self._pause(seconds):
            answers = [
                one for one in self._view["messages"] if one["role"] == "assistant" and one["status"] != "writing"
            ]
            if answers and self.id:
                self._judge(self.chance.choice(answers[-3:]))
            seconds = self.pace.gesture

    def _judge(self, answer: Mapping[str, Any]) -> None:
        message, drawn = answer["id"], self.chance.random()
        vote = self._votes.get(message, 0)
        if answer["question"] and drawn < 0.3:
            winner = self.chance.choice([one for one in ("a", "b", "tie") if one != self._winners.get(message)])
            self._winners[message] = winner
            self._post("compare", message, winner, {"winner": winner})
        elif vote and drawn < 0.5:
            comment = f"{secrets.token_hex(6)} is why."
            reasons = self.chance.sample(REASONS, self.chance.randrange(len(REASONS)))
            self._post("reason", message, comment, {"reasons": reasons, "comment": comment})
        else:
            value = self.chance.choice([one for one in (1, -1, 0) if one != vote])
            self._votes[message] = value
            self._post("vote", message, value, {"value": value})

    # ── turns ──

    async def _turn_on(self) -> None:
        await self._ready.wait()
        seconds = self.chance.uniform(0, min(5.0, self.pace.turn))
        while await self._pause(seconds):
            begin = self.tally.now()
            await self._ready.wait()
            messages = self._view["messages"]
            retries = bool(messages) and messages[-1]["role"] == "assistant" and self.chance.random() < 0.25
            if not self._view["running"]:
                await self._turn("retry" if retries else "send")
            seconds = max(0.0, self.pace.turn - (self.tally.now() - begin))

    async def _turn(self, kind: str) -> None:
        """Make a turn until it is acknowledged or refused. Where it took too long it is made again as it was; a page
        that has lost its stream, or has waited twice, is loaded anew."""
        text = (
            f"Question {next(self._numbers)} of {self.id}?\nwords: {self.chance.randrange(20, 80)}"
            if kind == "send"
            else ""
        )
        claims = self._claims(kind) | {"text": text}
        made = Made(self.id, claims["conversation"] or "", claims["nonce"], kind, "", text)
        self.record.made(made)
        settled, waited = False, None
        while not settled:
            await self._ready.wait()
            browser, heard = self.browser, asyncio.Event()
            try:
                echo = await self._watch(browser, kind, claims, heard)
            except Lost as error:
                self.tally.see("an answer cut on the screen" if heard.is_set() else "a turn that was not answered")
                echo = self._echo if heard.is_set() else None
                if not slow(error) or waited is browser:
                    await self._back(browser, self.tally.now())
                waited = browser
            settled = echo is not None and self._settled(made, echo)
            if not settled:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _back(self, browser: Browser, since: float) -> None:
        """Wait until the server answers; load the page that has lost its stream, unless it has been loaded anew."""
        while browser is self.browser and self._answered_at < since:
            await asyncio.sleep(0.05)
        if browser is self.browser and self._ready.is_set():
            self.tally.see("a page that somebody loads anew")
            await self._loaded_anew()

    def _settled(self, made: Made, echo: Mapping[str, Any]) -> bool:
        """Whether this was the last word on a turn."""
        if echo["nonce"] != made.nonce:
            return False
        if echo["ok"]:
            self.record.ended(made, ACKNOWLEDGED)
            return True
        self.tally.see(f"a turn, {'not saved yet' if echo['again'] else 'refused'}: {short(echo['line'])}")
        if echo["again"]:
            return False
        self.record.ended(made, REFUSED)
        return True

    def _claims(self, kind: str) -> dict[str, Any]:
        nonce = secrets.token_hex(16)
        return {
            "kind": kind,
            "nonce": nonce,
            "conversation": self._view["conversation"],
            "turn_seq": self._view["turn_seq"],
        }

    async def _watch(
        self, browser: Browser, source: str, claims: Mapping[str, Any], heard: asyncio.Event
    ) -> Mapping[str, Any] | None:
        """Run a Gradio event to its end. Returns what became of the gesture. Raises Lost.

        One at a time: a session has one stream, and what is meant for one event must not be read by another.
        """
        async with self._streaming:
            if browser is not self.browser:
                raise Lost("the page has been loaded anew")
            return await self._watched(browser, source, claims, heard)

    async def _watched(
        self, browser: Browser, source: str, claims: Mapping[str, Any], heard: asyncio.Event
    ) -> Mapping[str, Any] | None:
        session = self._session
        body = {"data": [claims, None], "event_data": None, "fn_index": self._handlers[source], "session_hash": session}
        joined = await browser.ask("POST", "/gradio_api/queue/join?", body, seconds=PATIENCE_SECONDS)
        if joined.status != 200:
            raise Lost(f"queue/join: {joined.status}")
        echo = None
        path = f"/gradio_api/queue/data?session_hash={session}"
        async with aclosing(browser.messages(path, seconds=SILENT_SECONDS)) as messages:
            async for message in messages:
                facts = facts_in(message)
                if facts is not None:
                    self._heard(facts)
                    echo = self._echo = facts["echo"]
                    heard.set()
                if message.get("msg") == "process_completed":
                    return echo
        raise Lost("the stream ended before the answer")

    def _heard(self, facts: Mapping[str, Any]) -> None:
        if facts["view"] is None:
            self.tally.see(f"a page that shows nothing: {short(facts['echo']['line'])}")
            return
        self._boot = self._boot or facts["boot"]
        self._view = facts["view"]
        for each in self._view["messages"]:
            if each["status"] == "failed" and each["id"] not in self._failed:
                self._failed.add(each["id"])
                self.tally.see(f"an answer that failed: {short(each['error'] or '')}")


class _Done(Exception):
    """Everything was made and delivered."""


async def _forgiven(work: Coroutine[Any, Any, None]) -> None:
    with suppress(Lost):
        await work


def slow(error: Lost) -> bool:
    """Whether nothing else happened than that it took too long."""
    return isinstance(error.__cause__, TimeoutError)


def short(line: str) -> str:
    """The line without its numbers, so that alike ones are counted as one."""
    return re.sub(r"[0-9]+", "…", " ".join(line.split()))[:120]


def facts_in(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the page is told, if a message of a stream holds all of it."""
    data = (message.get("output") or {}).get("data") or []
    found = VIEW.search(data[1]) if len(data) > 1 and isinstance(data[1], str) else None
    facts: Mapping[str, Any] | None = json.loads(html.unescape(found[1])) if found else None
    return facts


_known: dict[str, Mapping[str, int]] = {}


def handlers_in(document: str) -> Mapping[str, int]:
    """The number of the handler behind each kind of turn; parsed once, since all pages have the same."""
    found = CONFIG.search(document)
    if found is None:
        raise Lost("the page has no configuration")
    key = str(len(found[1]))
    if key not in _known:
        dependencies = json.loads(found[1])["dependencies"]
        _known[key] = {source[1]: each["id"] for each in dependencies if (source := SOURCE.search(str(each["js"])))}
    return _known[key]
