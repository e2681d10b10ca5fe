"""One chat model, whichever of the three kinds the study file names it by.

The request is made and its chunks are read by ``huggingface_hub.InferenceClient``. Around it stands what a page needs:
an answer that can be ended from another thread, one clear line for every failure, and text that is whole Unicode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from huggingface_hub import ChatCompletionStreamOutput

from labeler.core.events import LARGEST
from labeler.errors import ModelError
from labeler.models.faults import (
    FAILURES,
    BrokenOff,
    Empty,
    Endless,
    Garbled,
    NoAnswer,
    Subject,
    Unusable,
    explained,
)
from labeler.models.wire import Refused, Wire, WiredClient, session
from labeler.study import LocalModel, ModelSpec

OLD_REASONS = {"eos_token": "stop", "stop_sequence": "stop"}  # what older TGI servers call it
# llama.cpp cuts the tail of the distribution like this by default, and small models need it. Said outright, it is in
# the record of the answer and stays when the default changes.
LLAMA_CUTS = (40, 0.05)
SLACK_CHUNKS, SLACK_CHARACTERS, WIDEST_TOKEN = 64, 1 << 16, 256


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one answer is drawn. The seed is fresh for every reply: 0 <= seed < 2**31 is understood everywhere.

    ``top_k`` and ``min_p`` are no part of the OpenAI protocol; they are sent if they are not None.
    """

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    stop: tuple[str, ...] = ()
    top_k: int | None = None
    min_p: float | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. Only the last has a finish reason, and the token counts if the server gave them."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served and what its requests carry.

    Args:
        url: the base URL; None for a model behind one of the Hub's inference providers.
        model: the id that is asked for.
        where: the place, in words or as an address fit to be shown.
        provider: the inference provider, if ``url`` is None.
        key: the secret, if the server wants one. It is in no ``repr``.
        key_env: the environment variable it came from.
        headers: further headers.
        extras: body fields beyond the standard, as alternatives: the most wanted first, the barest last. A server that
            refuses one with 400 or 422 is asked with the next.
        broken: for a server of our own: to be told that it broke a connection off.
    """

    url: str | None
    model: str
    where: str
    provider: str | None = None
    key: str | None = field(default=None, repr=False)
    key_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[Mapping[str, Any], ...] = ({},)
    broken: Callable[[], None] | None = None


class Answer(Iterator[Chunk]):
    """The chunks of one answer as they come; the request is made when the first is asked for.

    ``close`` may be called from any thread and at any time: it ends the connection, so that the server stops
    generating, and a thread that waits for the next chunk finds the iteration over.

    Raises:
        ModelError: from ``next``, one line that names the model and what to do. The chunks that came before are good.
    """

    def __init__(self, produce: Callable[[Wire], Generator[Chunk]]) -> None:
        self._wire = Wire()
        self._chunks = produce(self._wire)

    def __next__(self) -> Chunk:
        try:
            return next(self._chunks)
        except (ModelError, ValueError):  # ValueError: another thread is just closing the generator
            if self._wire.was_cut:
                raise StopIteration from None
            raise

    def close(self) -> None:
        """End the answer. Nothing happens if it is over."""
        self._wire.cut()
        with contextlib.suppress(ValueError):  # another thread is inside; the cut has ended its wait
            self._chunks.close()


class ChatModel:
    """One model of the study.

    Attributes:
        name: the study's name for it.
        model_id: the id it is asked for by, or the name of its file.
        revision: what tells this version of it from others, or None if nobody said.
        weight: how often it is drawn, beside the weights of the other models.
    """

    def __init__(
        self, spec: ModelSpec, endpoint: Callable[[], Endpoint], *, model_id: str, revision: str | None
    ) -> None:
        self.name, self.weight = spec.name, spec.weight
        self.model_id, self.revision = model_id, revision
        self._spec, self._endpoint = spec, endpoint
        self._barest = 0  # the first of the endpoint's extras that was not refused

    def __repr__(self) -> str:
        return f"ChatModel({self.name!r}, model_id={self.model_id!r})"

    def sampling(self, seed: int) -> Sampling:
        """The study's way of drawing answers, with this seed."""
        drawn = self._spec.sampling
        top_k, min_p = LLAMA_CUTS if isinstance(self._spec, LocalModel) else (None, None)
        return Sampling(drawn.temperature, drawn.top_p, drawn.max_tokens, seed, drawn.stop, top_k, min_p)

    def stream(self, messages: Sequence[Mapping[str, str]], sampling: Sampling) -> Answer:
        """Ask for an answer to a conversation of ``role`` and ``content`` messages."""
        request = [dict(message) for message in messages]
        return Answer(lambda wire: self._produce(request, sampling, wire))

    def _produce(self, messages: list[dict[str, str]], sampling: Sampling, wire: Wire) -> Generator[Chunk]:
        endpoint = self._endpoint()
        with contextlib.ExitStack() as open_things, explained(self._subject(endpoint)):
            open_things.callback(wire.release)
            http = open_things.enter_context(session(endpoint.url, self._spec.timeout))
            client = open_things.enter_context(WiredClient(http, wire, self._spec.timeout, **_reach(endpoint)))
            try:
                yield from chunks_of(self._ask(client, endpoint, messages, sampling), sampling.max_tokens)
            except (BrokenOff, httpx2.TransportError):
                if endpoint.broken is not None and not wire.was_cut:
                    endpoint.broken()
                raise

    def _subject(self, endpoint: Endpoint) -> Subject:
        return Subject(
            name=self.name,
            model_id=endpoint.model,
            where=endpoint.where,
            patience=self._spec.timeout,
            key_env=endpoint.key_env,
            key=endpoint.key,
            local=endpoint.broken is not None,
        )

    def _ask(
        self, client: WiredClient, endpoint: Endpoint, messages: list[dict[str, str]], sampling: Sampling
    ) -> Iterable[ChatCompletionStreamOutput]:
        """Send the request with the first extras that the server takes, and remember which those were."""
        for rung in range(self._barest, len(endpoint.extras)):
            try:
                outputs = _request(client, endpoint, messages, sampling, endpoint.extras[rung])
            except Refused as refused:
                if refused.status not in (400, 422) or rung + 1 == len(endpoint.extras):
                    raise
            else:
                self._barest = rung
                return outputs
        raise AssertionError("an endpoint has at least one set of extras")


def _reach(endpoint: Endpoint) -> dict[str, Any]:
    """The options of InferenceClient that reach an endpoint.

    Without a key of its own the client would send the machine's Hugging Face token, to whatever server the study
    names. A header that is set to None is left out, and overrules it.
    """
    headers: dict[str, str | None] = {**endpoint.headers}
    if endpoint.key is None:
        headers["authorization"] = None
    place = {"base_url": endpoint.url} if endpoint.url else {"model": endpoint.model, "provider": endpoint.provider}
    return {**place, "token": endpoint.key, "headers": headers}


def _request(
    client: WiredClient,
    endpoint: Endpoint,
    messages: list[dict[str, str]],
    sampling: Sampling,
    extras: Mapping[str, Any],
) -> Iterable[ChatCompletionStreamOutput]:
    cuts = {"top_k": sampling.top_k, "min_p": sampling.min_p}
    try:
        return client.chat_completion(
            messages=messages,
            model=endpoint.model,
            stream=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
            stop=list(sampling.stop) or None,
            extra_body={**cuts, **extras},  # upstream leaves out what is None
        )
    except ValueError as error:
        raise Unusable(str(error)) from error


def chunks_of(outputs: Iterable[ChatCompletionStreamOutput], max_tokens: int) -> Generator[Chunk]:
    """Read a stream to its end.

    Raises:
        NoAnswer: not one event came.
        Garbled, BrokenOff, Empty, Endless: what these names say, after the chunks that were good.
    """
    reader = _Reader(max_tokens)
    try:
        for event in _parsed(outputs):
            yield from reader.read(event)
    except FAILURES:
        if reader.reason is None:  # else the answer was whole, and only the farewell is missing
            raise
    yield reader.last()


@dataclass(frozen=True, slots=True)
class _Event:
    """What is of use in one event of a stream."""

    text: str
    thought: str
    reason: str | None
    usage: Any

    @classmethod
    def of(cls, output: ChatCompletionStreamOutput) -> _Event:
        choices = output.choices or []
        return cls(
            text="".join(choice.delta.content or "" for choice in choices),
            thought="".join(choice.delta.reasoning or "" for choice in choices),
            reason=next((whole_unicode(str(one.finish_reason)) for one in choices if one.finish_reason), None),
            usage=output.usage,
        )


def _parsed(outputs: Iterable[ChatCompletionStreamOutput]) -> Iterator[_Event]:
    """The events, with every way in which the parser stumbles over bytes that are no chunk made one."""
    iterator = iter(outputs)
    while True:
        try:
            event = _Event.of(next(iterator))
        except StopIteration:
            return
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise Garbled from error
        yield event


class _Reader:
    """What is known of an answer while it comes in."""

    def __init__(self, max_tokens: int) -> None:
        self.reason: str | None = None
        self._usage: Any = None
        self._chunks_left = 2 * max_tokens + SLACK_CHUNKS
        self._characters_left = WIDEST_TOKEN * max_tokens + SLACK_CHARACTERS
        self._heard = self._spoke = False
        self._half = ""

    def read(self, event: _Event) -> Iterator[Chunk]:
        """Take one event in; give its text, if it has any."""
        self._heard = True
        self._usage = event.usage or self._usage
        self.reason = event.reason or self.reason
        self._count(event.text + event.thought)
        if whole := self._joined(event.text):
            self._spoke = True
            yield Chunk(whole)

    def last(self) -> Chunk:
        """The chunk that ends the answer."""
        if not self._heard:
            raise NoAnswer
        if self.reason is None:
            raise BrokenOff
        if not self._spoke and not self._half:
            raise Empty
        tail = whole_unicode(self._half)
        return Chunk(
            tail, OLD_REASONS.get(self.reason, self.reason), self._counted("prompt"), self._counted("completion")
        )

    def _counted(self, side: str) -> int | None:
        count = getattr(self._usage, f"{side}_tokens", None)
        return count if type(count) is int and 0 <= count <= LARGEST else None

    def _count(self, text: str) -> None:
        """A chunk is a token or more, so twice as many chunks as tokens were allowed means that nobody counts."""
        self._chunks_left -= bool(text)
        self._characters_left -= len(text)
        if self._chunks_left < 0 or self._characters_left < 0:
            raise Endless

    def _joined(self, text: str) -> str:
        """Put together what a server cut within one character, as those written in JavaScript do."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_unicode(text)


def whole_unicode(text: str) -> str:
    """The text with surrogate pairs joined and single ones, which no database stores, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
