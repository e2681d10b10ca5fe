"""What a served page writes down on stderr: one line a request, one a stored gesture, and whatever goes wrong.

No line holds a text, a token, a cookie or a query string. Annotators stand there under pseudonyms of their own, which
no data set uses. What libraries log or print goes through the same door: of an exception its kind and place are kept,
never its message, since that may quote what somebody typed.

A thread of its own writes, so that a slow reader of stderr keeps no vote waiting. What it cannot take is counted.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Literal, TextIO

import orjson

from labeler.errors import EventConflict, LabelerError, SeqConflict
from labeler.watching import Answered, Appended, Watch

Shape = Literal["quiet", "text", "json"]
MOST_WAITING = 20_000
LONGEST_WORDS = 500
FRAMES_KEPT = 8
CLOSE_SECONDS = 2.0
TOGETHER_SECONDS = 0.05
NAMES_KNOWN = 20_000
AFTERMATH_SECONDS = 0.1
OURS = "labeler: "
# A password in a URL, what follows a question mark in an address, and words that only tokens look like.
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]+@"), "***@"),
    (re.compile(r"(?<=\S)\?[^\s'\"]{2,}"), "?…"),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), r"\1 ***"),
    (re.compile(r"\bhf_\w+"), "hf_***"),
    (re.compile(r"(?i)\b(\w*(?:cookie|token|secret|password|passwd|api_?key|session)\w*)(\s*[=:]\s*)\S+"), r"\1\2***"),
    (re.compile(r"\[(?:SQL|parameters):.*", re.DOTALL), "[…]"),
)
_FRAME = re.compile(r'\s+File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>\S+)')
_GROUP = re.compile(r"^\s*\| ?")  # what stands before each line of a group of exceptions
_KIND = re.compile(r"(?P<kind>[A-Za-z_][\w.]*)(?::|$)")


def scrubbed(words: str) -> str:
    """Words of others as one line, without what may be secret or what somebody typed.

    Of several lines the first is kept: the others are where messages quote values.
    """
    line = next(iter(words.strip().splitlines()), "")
    for pattern, instead in _SECRETS:
        line = pattern.sub(instead, line)
    return line if len(line) <= LONGEST_WORDS else f"{line[: LONGEST_WORDS - 1]}…"


def said(error: BaseException) -> str:
    """An error as a line may have it: our own words as they are, of others the kind alone."""
    return scrubbed(str(error)) if isinstance(error, LabelerError) else type(error).__name__


class Journal(Watch):
    """Writes lines until it is closed. Safe to call from any thread.

    Args:
        shape: ``json`` and ``text`` have a line for every request and gesture, ``quiet`` for faults alone.
        stream: where lines go.
        clock: the time as events have it.

    ``talks``: it wants to hear of requests and gestures.
    """

    def __init__(self, shape: Shape, stream: TextIO, clock: Callable[[], str]) -> None:
        self._stream, self._clock = stream, clock
        self._pseudonym: Callable[[str], str] | None = None
        self._shaped = {"quiet": _quiet, "text": _text, "json": _json}[shape]
        self.talks = shape != "quiet"
        self._waiting: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labeler-journal", daemon=True)
        self._thread.start()

    def name(self, pseudonym: Callable[[str], str]) -> None:
        """From now on annotators are called like this; before, they are not named at all."""
        self._pseudonym = lru_cache(NAMES_KNOWN)(pseudonym)

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join(CLOSE_SECONDS)

    def note(self, level: str, event: str, words: str = "", **fields: Any) -> None:
        """One line. ``words`` are fit to be read as they are."""
        self._put({"at": self._clock(), "level": level, "event": event, "words": words, **fields})

    # ── what is heard ──

    def answered(self, answered: Answered) -> None:
        if self.talks:
            self._put(
                {
                    "at": self._clock(),
                    "level": "info",
                    "event": "request",
                    "request": answered.request_id,
                    "method": answered.method,
                    "route": answered.route,
                    "status": answered.status,
                    "ms": round(answered.seconds * 1000, 2),
                    "conversation": answered.conversation_id,
                    "annotator": answered.annotator_id,
                }
            )

    def appended(self, appended: Appended) -> None:
        fresh = bool(appended.stored) and not appended.repeated
        refused = isinstance(appended.error, (SeqConflict, EventConflict))
        if appended.error is None and not (fresh and self.talks):
            return
        if refused and not self.talks:
            return
        first = appended.new[0] if appended.new else None
        fields: dict[str, Any] = {
            "request": appended.request_id,
            "conversation": first.conversation_id if first else None,
            "kinds": [event.payload.kind for event in appended.new],
            "position": (appended.stored[-1].position or None) if appended.stored else None,
            "ms": round(appended.seconds * 1000, 2),
            "annotator": first.annotator_id if first else None,
        }
        if appended.error is None:
            self.note("info", "gesture", **fields)
        else:
            self.note("info" if refused else "error", "not stored", said(appended.error), **fields)

    # ── writing ──

    def _put(self, line: dict[str, Any]) -> None:
        if self._waiting.qsize() >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.put(line)

    def _run(self) -> None:
        """Write what has come together in a moment in one go: a thread that wakes for every line slows all others."""
        closing = False
        while not closing:
            lines = [self._waiting.get()]
            self._closing.wait(TOGETHER_SECONDS)
            while not self._waiting.empty():
                lines.append(self._waiting.get())
            closing = lines[-1] is None
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                words = f"{dropped:,} lines were dropped: nobody read them in time"
                lines.append({"at": self._clock(), "level": "warning", "event": "journal", "words": words})
            try:
                self._stream.write("".join(self._line(line) for line in lines if line is not None))
                self._stream.flush()
            except (OSError, ValueError):
                continue  # nobody reads stderr any more; the page goes on

    def _line(self, line: dict[str, Any]) -> str:
        annotator = line.pop("annotator", None)
        if annotator is not None and self._pseudonym is not None:
            line["annotator"] = self._pseudonym(annotator)
        return self._shaped({key: value for key, value in line.items() if value is not None and value != ""}) + "\n"


def _json(line: Mapping[str, Any]) -> str:
    return orjson.dumps(line).decode()


def _text(line: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in line.items() if key not in ("at", "level", "event", "words")}
    pairs = [f"{key}={','.join(value) if isinstance(value, list) else value}" for key, value in shown.items()]
    return " ".join([line["at"], line["level"], line["event"], *pairs, *([line["words"]] if "words" in line else [])])


def _quiet(line: Mapping[str, Any]) -> str:
    where = "".join(f" at {place}" for place in line.get("where", [])[-1:])
    return f"{OURS}{line.get('words') or line['event']}{where}"


# ── what others log and print ──


@contextmanager
def journaling(journal: Journal, *, debug: bool = False) -> Iterator[None]:
    """Lead everything that this process logs or prints on stderr through the journal; afterwards as it was before.

    ``debug``: it stays as it is, tracebacks and all, for whoever hunts a fault.
    """
    if debug:
        yield
        return
    handler, root, stderr = _Handler(journal), logging.getLogger(), sys.stderr
    root.addHandler(handler)
    logging.captureWarnings(True)
    sys.stderr = _Printed(journal, stderr)
    try:
        yield
    finally:
        sys.stderr = stderr
        logging.captureWarnings(False)
        root.removeHandler(handler)


class _Handler(logging.Handler):
    """Log records of libraries and of our own rooms."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        error, where = None, None
        if record.exc_info and record.exc_info[0] is not None:
            error, where = record.exc_info[0].__name__, _where(record.exc_info[2])
        words = scrubbed(record.getMessage())
        self._journal.note(record.levelname.lower(), record.name, f"{words} ({error})" if error else words, where=where)


def _where(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-FRAMES_KEPT:]
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _short(file: str) -> str:
    return "/".join(file.rsplit("/", 2)[-2:])


class _Printed(io.TextIOBase):
    """Stands for stderr. Our own lines pass, tracebacks lose their messages, and other lines what may be secret."""

    def __init__(self, journal: Journal, stream: TextIO) -> None:
        self._journal, self._stream = journal, stream
        self._local = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return False  # nobody draws bars here

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._local, "rest", "") + text).split("\n")
        self._local.rest = rest
        for line in lines:
            self._line(line)
        return len(text)

    def _line(self, line: str) -> None:
        local = self._local
        if line.startswith(OURS):
            self._journal.note("info", "said", line.removeprefix(OURS))
        elif "Traceback (most recent call last)" in line:
            local.where = []
        elif getattr(local, "where", None) is not None:
            self._trace_line(_GROUP.sub("", line))
        elif line.strip() and time.monotonic() > getattr(local, "aftermath", 0.0):
            self._journal.note("warning", "printed", scrubbed(line))

    def _trace_line(self, line: str) -> None:
        """Within a traceback: a place, a line of source, or the error itself, with whose name the traceback ends.

        What is printed right after it belongs to its message.
        """
        local = self._local
        if found := _FRAME.match(line):
            local.where.append(f"{_short(found['file'])}:{found['line']} {found['name']}")
        elif line[:1].strip():
            kind = _KIND.match(line)
            where, local.where = local.where[-FRAMES_KEPT:], None
            local.aftermath = time.monotonic() + AFTERMATH_SECONDS
            name = kind["kind"] if kind else "an error"
            self._journal.note("error", "exception", f"unexpected {name}", where=where)
