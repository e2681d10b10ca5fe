"""A client of the API: tell a served study what annotators did elsewhere, and read it back.

    with Client("https://labeler.example", token) as client:
        told = client.begin("ada")
        question = client.message(told.conversation_id, "Why is the sky blue?")
        answer = client.reply(told.conversation_id, "Because of scattering.", model="small")
        client.vote(told.conversation_id, answer.message_id, 1)

Every gesture gets a key of its own, and what is not answered is sent again under the same key: it is stored once. Who
wants a gesture to be stored once even if this process dies in between gives the key.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from labeler.errors import LabelerError

TRIES = 6
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
TIMEOUT = 30.0
COMES_AGAIN = (429, 500, 502, 503, 504)
PAGE = 500
BULK = 500

Winner = Literal["a", "b", "tie", "both_good", "both_bad"]
Status = Literal["complete", "stopped", "failed"]
JsonObject = dict[str, Any]


class ApiError(LabelerError):
    """The API refused, or did not answer in time. ``status`` is 0 where there was no answer."""

    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


@dataclass(frozen=True, slots=True)
class Told:
    """What was stored of a gesture. No events and no seq: it changed nothing.

    ``message_id`` is the message that it made or is about, and empty for what is about none.
    """

    conversation_id: str
    message_id: str
    event_ids: tuple[str, ...]
    seq: int | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Told:
        message_id, event_ids = answer["message_id"] or "", tuple(answer["event_ids"])
        return cls(answer["conversation_id"], message_id, event_ids, answer["seq"])


@dataclass(frozen=True, slots=True)
class Event:
    """An event as the log has it; ``body`` is as its kind has it, with its version as ``v``."""

    position: int
    event_id: str
    conversation_id: str
    seq: int
    kind: str
    at: str
    annotator_id: str
    body: Mapping[str, Any]


def new_key() -> str:
    """A key that no other gesture has."""
    return secrets.token_urlsafe(24)


class Client:
    """Speaks to one API with one token. Methods wait for the answer; not for several threads at once.

    Args:
        address: of the served study, without ``/api/v1``.
        token: from ``labeler tokens add``.
        timeout: seconds for one try.
        tries: how often a gesture is sent before it fails.

    Every method raises ApiError: it was refused, or could not be delivered.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout: float = TIMEOUT,
        tries: int = TRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx2.Client(base_url=f"{address.rstrip('/')}/api/v1", headers=headers, timeout=timeout)
        self._tries = max(1, tries)
        self._sleep = sleep

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── reading ──

    def study(self) -> JsonObject:
        """Name, title, guidelines, vote_reasons, consent and max_message_chars of the study."""
        return self._call("GET", "/study")

    def conversation(self, conversation_id: str) -> JsonObject:
        """A conversation as its annotator left it: all its messages, and what was said of them."""
        return self._call("GET", f"/conversations/{conversation_id}")

    def events(self, after: int = 0) -> Iterator[Event]:
        """What this token's annotators did, behind a position and up to now, in the order of the log."""
        more = True
        while more:
            page = self._call("GET", f"/events?after={after}&limit={PAGE}")
            yield from (Event(**event) for event in page["events"])
            after, more = page["after"], page["more"]

    # ── telling ──

    def begin(
        self,
        annotator: str,
        *,
        system_prompt: str | None = None,
        language: str | None = None,
        key: str | None = None,
    ) -> Told:
        """An annotator, by your own id of them, began a conversation."""
        said = {"annotator": annotator, "system_prompt": system_prompt, "language": language}
        return Told.of(self._call("POST", "/conversations", said, key or new_key()))

    def message(self, conversation_id: str, content: str, *, key: str | None = None, **more: Any) -> Told:
        """The annotator wrote a message. ``more``: parent_id, turn_seq."""
        return self.tell("messages", conversation_id, {"content": content, **more}, key=key)

    def reply(
        self,
        conversation_id: str,
        content: str | None,
        *,
        model: str,
        status: Status = "complete",
        key: str | None = None,
        **more: Any,
    ) -> Told:
        """A model answered; without a content it began to. ``more``: parent_id, retries, sampling, model_id,
        model_revision, turn_seq."""
        end = None if content is None else {"content": content, "status": status}
        return self.tell("replies", conversation_id, {"model": model, "end": end, **more}, key=key)

    def end(
        self,
        conversation_id: str,
        message_id: str,
        content: str,
        *,
        status: Status = "complete",
        key: str | None = None,
        **more: Any,
    ) -> Told:
        """An answer that had begun ended. ``more``: finish_reason, token counts, latencies, error."""
        end = {"content": content, "status": status, **more}
        return self.tell("ends", conversation_id, {"message_id": message_id, "end": end}, key=key)

    def edit(self, conversation_id: str, message_id: str, content: str, *, key: str | None = None) -> Told:
        """The annotator rewrote an answer, or a message of their own."""
        return self.tell("edits", conversation_id, {"message_id": message_id, "content": content}, key=key)

    def vote(self, conversation_id: str, message_id: str, value: int, *, key: str | None = None) -> Told:
        """A like (1), a dislike (-1), or neither any more (0)."""
        return self.tell("votes", conversation_id, {"message_id": message_id, "value": value}, key=key)

    def reason(
        self,
        conversation_id: str,
        message_id: str,
        reasons: Iterable[str] = (),
        comment: str = "",
        *,
        key: str | None = None,
    ) -> Told:
        """Why the annotator voted so: some of the study's reasons, and a comment."""
        said = {"message_id": message_id, "reasons": list(reasons), "comment": comment}
        return self.tell("reasons", conversation_id, said, key=key)

    def compare(
        self,
        conversation_id: str,
        message_a: str,
        message_b: str,
        winner: Winner | None,
        *,
        key: str | None = None,
        **more: Any,
    ) -> Told:
        """The annotator compared two answers to one message; None takes it back. ``more``: strength, position,
        reasons, comment, times."""
        said = {"message_a": message_a, "message_b": message_b, "winner": winner, **more}
        return self.tell("comparisons", conversation_id, said, key=key)

    def select(self, conversation_id: str, message_id: str, *, key: str | None = None) -> Told:
        """The annotator turned to another sibling."""
        return self.tell("selections", conversation_id, {"message_id": message_id}, key=key)

    def undo(self, conversation_id: str, message_id: str, *, key: str | None = None) -> Told:
        """The annotator took the last turn back, which began with this message."""
        return self.tell("undos", conversation_id, {"message_id": message_id}, key=key)

    def clear(self, conversation_id: str, *, key: str | None = None) -> Told:
        """The annotator cleared the chat."""
        return self.tell("clears", conversation_id, {}, key=key)

    def consent(self, annotator: str, version: str | None, *, key: str | None = None) -> None:
        """An annotator accepted the consent text in this version; None takes consent back."""
        self._call("POST", "/consents", {"annotator": annotator, "version": version}, key or new_key())

    def tell(self, noun: str, conversation_id: str, said: JsonObject, *, key: str | None = None) -> Told:
        """Any gesture in a conversation, as the API's document has it."""
        return Told.of(self._call("POST", f"/conversations/{conversation_id}/{noun}", said, key or new_key()))

    def bulk(self, gestures: Iterable[JsonObject]) -> Iterator[tuple[str, Told | ApiError]]:
        """Many gestures in their order, each with the key it was given and its own outcome.

        A gesture is ``{"key", "kind", "conversation_id", "body"}``; ``@KEY`` in the place of an id is what an earlier
        one made, if both are within the same five hundred.
        """
        batch: list[JsonObject] = []
        for gesture in gestures:
            batch.append(gesture)
            if len(batch) == BULK:
                yield from self._many(batch)
                batch = []
        if batch:
            yield from self._many(batch)

    def _many(self, batch: list[JsonObject]) -> Iterator[tuple[str, Told | ApiError]]:
        for outcome in self._call("POST", "/bulk", {"gestures": batch})["outcomes"]:
            said, status = outcome["answer"], outcome["status"]
            yield outcome["key"], Told.of(said) if status == 200 else ApiError(said["error"], status)

    # ── the wire ──

    def _call(self, method: str, path: str, said: JsonObject | None = None, key: str = "") -> JsonObject:
        """One call, sent again until it is answered: a gesture has its key, and all else may be done twice."""
        headers = {"idempotency-key": key} if key else {}
        for number in range(1, self._tries + 1):
            try:
                answer = self._http.request(method, path, json=said, headers=headers)
            except httpx2.TransportError as error:
                if number == self._tries:
                    raise ApiError(
                        f"{self._http.base_url}: no answer ({str(error) or type(error).__name__})", 0
                    ) from error
                self._sleep(_wait(number, None))
                continue
            if answer.status_code not in COMES_AGAIN or number == self._tries:
                return _read(answer)
            self._sleep(_wait(number, answer.headers.get("retry-after")))
        raise AssertionError  # the last try has returned or raised


def _wait(number: int, said: str | None) -> float:
    """How long to wait after the ``number``-th try: as long as the server says, else twice as long each time."""
    if said is not None and said.isdigit():
        return min(float(said), LONGEST_WAIT)
    return min(FIRST_WAIT * 2.0 ** (number - 1), LONGEST_WAIT)


def _read(answer: httpx2.Response) -> JsonObject:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if answer.status_code == 200 and isinstance(body, dict):
        return body
    line = body.get("error") if isinstance(body, dict) else None
    raise ApiError(str(line or f"{answer.url}: this is not the API of a study"), answer.status_code)
