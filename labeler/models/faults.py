"""What went wrong, in one line for the person in front of the page or the terminal."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
from huggingface_hub.errors import TextGenerationError

from labeler.errors import ModelError
from labeler.models.wire import CONNECT_SECONDS, Refused, Silent, said

LONGEST_QUOTE = 200


class BrokenOff(Exception):
    """The stream ended without a finish reason: the server died or was cut off."""


class Garbled(Exception):
    """Something came that is no chunk of a chat completion."""


class NoAnswer(Exception):
    """The server answered with success, but with nothing that is a chat completion."""


class Empty(Exception):
    """The model finished without a word."""


class Endless(Exception):
    """The model went on far beyond the number of tokens it was allowed."""


class Unusable(Exception):
    """The request could not even be made: no such provider, or the provider does not serve the model."""


FAILURES = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    OSError,
    Refused,
    Silent,
    BrokenOff,
    Garbled,
    NoAnswer,
    Empty,
    Endless,
    Unusable,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a failure is about: the study's name of the model, the id asked for, the place, and where its key is from."""

    name: str
    model_id: str
    where: str
    patience: float
    key_env: str | None = None
    key: str | None = field(default=None, repr=False)
    local: bool = False


@contextmanager
def explained(subject: Subject) -> Iterator[None]:
    """Turn every failure of an answer into a ModelError of one line that names the model and what to do."""
    try:
        yield
    except FAILURES as error:
        raise ModelError(one_line(f"model '{subject.name}' {_reason(error, subject)}", subject.key)) from error


def place(url: str) -> str:
    """An address fit to be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def one_line(text: str, secret: str | None = None) -> str:
    """Text with its white space collapsed and the secret blotted out, should a server have echoed it."""
    flat = " ".join(text.split())
    return flat.replace(secret, "***") if secret else flat


def quote(words: str) -> str:
    """A server's own words in brackets, cut to a readable length; empty for none."""
    flat = one_line(words)
    short = flat if len(flat) <= LONGEST_QUOTE else f"{flat[:LONGEST_QUOTE]}…"
    return f" ({short})" if short else ""


def _reason(error: Exception, subject: Subject) -> str:
    if isinstance(error, Refused):
        return _refused(error, subject)
    if isinstance(error, TextGenerationError):
        return f"failed in mid-answer{quote(said(error.args[0]))}; what came is kept, and Retry asks again"
    if isinstance(error, BrokenOff | httpx2.ReadError | httpx2.WriteError | httpx2.RemoteProtocolError):
        return "broke off its answer; what came is kept, and Retry asks again"
    if isinstance(error, httpx2.ConnectTimeout):
        return f"cannot be reached at {subject.where} within {CONNECT_SECONDS:g} s; check the address and the network"
    if isinstance(error, httpx2.TimeoutException | Silent):
        return f"gave no token for {subject.patience:g} s; press Retry, or raise its timeout in the study file"
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL | httpx2.StreamError | OSError):
        return _unreachable(error, subject)
    return _odd(error, subject)


def _odd(error: Exception, subject: Subject) -> str:
    if isinstance(error, Empty):
        return "gave an empty answer; press Retry for another"
    if isinstance(error, Endless):
        return "went on past its max_tokens and was cut; what came is kept; limit it where it is served"
    if isinstance(error, Unusable):
        return f"cannot be asked for{quote(str(error))}; correct its provider and model in the study file"
    if isinstance(error, NoAnswer):
        return f"is not served at {subject.where}: what answers there is no OpenAI-compatible server; correct base_url"
    return f"sent something that is no chat completion; check that {subject.where} is an OpenAI-compatible server"


def _unreachable(error: Exception, subject: Subject) -> str:
    if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error):
        return f"cannot be trusted at {subject.where}{quote(str(error))}; check https and the certificate"
    if subject.local:
        return "has just ended; press Retry to start it again"
    return f"is not there: no server answers at {subject.where}; start it, or correct its address in the study file"


def _refused(error: Refused, subject: Subject) -> str:
    status, words = error.status, quote(error.words)
    if status in (401, 403):
        return _key_refused(status, subject) + words
    if status == 404:
        return f"is not there: {subject.where} does not know '{subject.model_id}'; correct it in the study file{words}"
    if status == 429:
        return f"is asked too often; wait {_pause(error)} and press Retry{words}"
    if 300 <= status < 400:
        target = place(error.location or "another address")
        return f"has moved from {subject.where} to {target}; put the new address into the study file"
    if status in (400, 413, 422) and "context" in error.words.lower():
        return f"cannot read so long a conversation; begin a new one{words}"
    if 400 <= status < 500:
        return f"refused the request with status {status}; check its entry in the study file{words}"
    return f"failed with status {status}; press Retry in a moment{words}"


def _key_refused(status: int, subject: Subject) -> str:
    if subject.key_env is None:
        return "wants a key: name the variable that holds it with key_env in the study file"
    if status == 401:
        return f"refused the key; put a valid one into {subject.key_env} and start again"
    return f"may not be used with the key in {subject.key_env}; ask for access to '{subject.model_id}'"


def _pause(error: Refused) -> str:
    seconds = error.retry_after or ""
    return f"{seconds} s" if seconds.isdigit() else "a moment"
