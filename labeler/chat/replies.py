"""Replies that are being written: they belong to the server, not to a page.

A reply runs on its own thread from its start until it ends, whoever watches. It ends exactly once: by itself, by a
failure, by Stop, or by shutdown; what comes after that is ignored. Ending means stored: while the store refuses, the
reply keeps its text and tries again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from labeler.core.events import ReplyFinished, Status
from labeler.errors import ModelError, StoreError
from labeler.models import Answer, ChatModel, Chunk, Sampling
from labeler.watching import SILENT, Watch

# A server that ignores max_tokens must not write for ever: no tokenizer yields more characters a token than this for
# long, and no answer a person waits for takes longer.
CHARS_PER_TOKEN = 24
LONGEST_SECONDS = 900.0
STORE_AGAIN_SECONDS = 2.0


@dataclass(slots=True)
class Reply:
    """One reply while it runs. ``unsaved`` says why its end could not be stored yet."""

    conversation_id: str
    message_id: str
    model: ChatModel
    messages: Sequence[Mapping[str, str]]
    sampling: Sampling
    store_end: Callable[[ReplyFinished], None]
    watch: Watch = SILENT
    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    parts: list[str] = field(default_factory=list)
    length: int = 0
    last: Chunk | None = None
    end: ReplyFinished | None = None
    stream: Answer | None = None
    unsaved: str | None = None

    def text(self) -> str:
        """The answer so far."""
        with self.lock:
            return self.end.content if self.end else "".join(self.parts)

    def take(self, chunk: Chunk) -> bool:
        """Add what came; false when the reply has ended meanwhile."""
        with self.lock:
            if self.end is not None:
                return False
            if chunk.text and self.first_token is None:
                self.first_token = time.monotonic()
            self.parts.append(chunk.text)
            self.length += len(chunk.text)
            self.last = _merged(self.last, chunk)
            return True

    def finish(self, status: Status, error: str | None = None) -> bool:
        """End it with the text so far. The first end stands; returns whether this was it."""
        with self.lock:
            if self.end is not None:
                return False
            end = self.end = self._finished(status, error)
        self.watch.reply_ended(self.model.name, end)
        return True

    def _finished(self, status: Status, error: str | None) -> ReplyFinished:
        last, first = self.last, self.first_token
        return ReplyFinished(
            message_id=self.message_id,
            content="".join(self.parts),
            status=status,
            finish_reason=last.finish_reason if last else None,
            prompt_tokens=last.prompt_tokens if last else None,
            completion_tokens=last.completion_tokens if last else None,
            latency_ms=round((time.monotonic() - self.begun) * 1000),
            first_token_ms=None if first is None else round((first - self.begun) * 1000),
            error=error,
        )

    def too_long(self) -> bool:
        """Whether the answer has passed every bound that a model keeps by itself."""
        spent = time.monotonic() - self.begun
        return self.length > self.sampling.max_tokens * CHARS_PER_TOKEN or spent > LONGEST_SECONDS


class Replies:
    """All running replies, by conversation: those that one turn began.

    ``let_go`` hears of a conversation whose last reply is stored, before that counts as over.
    """

    def __init__(self, let_go: Callable[[str], None]) -> None:
        self._let_go = let_go
        self._running: dict[str, dict[str, Reply]] = {}
        self._announced: set[str] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def of(self, conversation_id: str) -> dict[str, Reply]:
        """The replies that run in a conversation, by message."""
        with self._lock:
            return dict(self._running.get(conversation_id, {}))

    def busy(self, conversation_id: str) -> bool:
        """Whether a reply runs there, or a gesture that may begin some is being stored."""
        return conversation_id in self._running or conversation_id in self._announced

    def conversations(self) -> list[str]:
        """Where replies run now."""
        return list(self._running)

    @contextmanager
    def announced(self, conversation_id: str) -> Iterator[bool]:
        """Hold a conversation while a turn is stored and its reply starts; false when it is taken already."""
        with self._lock:
            free = not self.busy(conversation_id)
            if free:
                self._announced.add(conversation_id)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._announced.discard(conversation_id)

    def start(self, replies: Sequence[Reply]) -> None:
        """Begin to write the replies of one turn; returns at once."""
        with self._lock:
            for reply in replies:
                self._running.setdefault(reply.conversation_id, {})[reply.message_id] = reply
        for reply in replies:
            reply.watch.reply_began(reply.model.name)
            threading.Thread(target=self._run, args=(reply,), name=f"reply-{reply.message_id}", daemon=True).start()

    def stop(self, conversation_id: str) -> None:
        """End running replies as stopped and store them with the text so far. Nothing runs: nothing happens.

        Raises:
            StoreError: an end could not be stored; it stays and is tried again.
        """
        stopped = [reply for reply in self.of(conversation_id).values() if stop(reply)]
        errors = [error for reply in stopped if (error := self._stored_soon(reply))]
        if errors:
            raise errors[0]

    def _stored_soon(self, reply: Reply) -> StoreError | None:
        try:
            self._store(reply)
        except StoreError as error:
            threading.Thread(target=self._store_until_done, args=(reply,), daemon=True).start()
            return error
        return None

    def close(self) -> None:
        """Stop all, and store every end that is not stored yet. What the store refuses now is lost with the process, as
        if it had been killed."""
        self._closing.set()
        with self._lock:
            running = [reply for replies in self._running.values() for reply in replies.values()]
        for reply in running:  # all of them first: storing one may take as long as a locked file
            stop(reply)
        for reply in running:
            with suppress(StoreError):  # unfinished in the log: it counts as failed
                self._store(reply)

    def _run(self, reply: Reply) -> None:
        if write(reply):
            self._store_until_done(reply)

    def _store_until_done(self, reply: Reply) -> None:
        while True:
            try:
                return self._store(reply)
            except StoreError:
                if self._closing.wait(STORE_AGAIN_SECONDS):
                    return  # whoever closes tries once more

    def _store(self, reply: Reply) -> None:
        end = reply.end
        if end is None:
            return
        try:
            reply.store_end(end)
        except StoreError as error:
            reply.unsaved = error.line
            raise
        if self._last(reply):
            self._let_go(reply.conversation_id)
            self._over(reply)

    def _last(self, reply: Reply) -> bool:
        """Whether a reply that is stored was the only one left in its conversation; if not, it is over."""
        with self._lock:
            beside = self._running.get(reply.conversation_id, {})
            if beside.get(reply.message_id) is not reply:
                return False
            if len(beside) > 1:
                del beside[reply.message_id]
                return False
            return True

    def _over(self, reply: Reply) -> None:
        with self._lock:
            if self._running.get(reply.conversation_id, {}).get(reply.message_id) is reply:
                del self._running[reply.conversation_id]


def stop(reply: Reply) -> bool:
    """End a reply as stopped; false when it has ended already."""
    if not reply.finish("stopped"):
        return False
    if reply.stream is not None:
        reply.stream.close()  # a model that hangs would hold its connection until the timeout
    return True


def write(reply: Reply) -> bool:
    """Stream the answer in; true when this thread is the one that ended the reply."""
    try:
        with closing(reply.model.stream(reply.messages, reply.sampling)) as stream:
            reply.stream = stream
            if reply.end is not None:  # stopped before there was anything to close
                return False
            for chunk in stream:
                if not reply.take(chunk):
                    return False
                if reply.too_long():
                    return reply.finish("stopped", "The model did not stop by itself; the answer was cut off here.")
    except ModelError as error:
        return reply.finish("failed", str(error))
    except Exception as error:  # noqa: BLE001 - a defect in a model client must end the reply, not hang the page
        return reply.finish("failed", f"The answer failed: {type(error).__name__}.")
    if not reply.text().strip():
        return reply.finish("failed", "The model gave an empty answer. Retry, or ask in other words.")
    return reply.finish("complete")


def _merged(before: Chunk | None, chunk: Chunk) -> Chunk:
    if before is None:
        return chunk
    return Chunk(
        text="",
        finish_reason=chunk.finish_reason or before.finish_reason,
        prompt_tokens=chunk.prompt_tokens if chunk.prompt_tokens is not None else before.prompt_tokens,
        completion_tokens=chunk.completion_tokens if chunk.completion_tokens is not None else before.completion_tokens,
    )
