"""What can go wrong between here and the Hub, in two kinds: try again from the start, or tell the user.

Everything that the client libraries raise passes ``translated``: nothing else leaves this room than ``HubError``, with
one line that says what to do. ``Again`` is the kind after which a push reads the head of the repo anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from labeler.errors import HubError
from labeler.hub.calls import TRY_LATER, TriedBefore

# What the client libraries raise: HTTP errors; ConnectionError, TimeoutError, PermissionError, RuntimeError by hf_xet;
# RuntimeError of LFS uploads; ValueError of validators; KeyError for an answer that lacks what it must have.
CLIENT_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError, ValueError, KeyError, TriedBefore)

_LATER = TRY_LATER | {409, 412}
_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})")
_LIMIT_RESET = re.compile(r";\s*r=0\s*;\s*t=(\d+)")


class Again(HubError):
    """The outcome is unknown or the moment was bad: start again from the head.

    ``wait``: seconds the Hub asks for. ``nothing_done``: it said that it did nothing.
    """

    def __init__(self, line: str, wait: float | None = None, *, nothing_done: bool = False) -> None:
        super().__init__(line)
        self.wait = wait
        self.nothing_done = nothing_done


@dataclass(frozen=True, slots=True)
class Place:
    """Which repo on which Hub a call is about, for the lines that users read."""

    repo_id: str
    endpoint: str

    def __str__(self) -> str:
        return f"{self.repo_id} on {self.endpoint}"


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Turn whatever the client libraries raise inside into a ``HubError``, or an ``Again``."""
    try:
        yield
    except CLIENT_ERRORS as error:
        raise judged(error, place) from error


def judged(error: BaseException, place: Place) -> HubError:
    """The one line for an error, and whether it is worth another try."""
    match error:
        case OfflineModeIsEnabled():
            return HubError("HF_HUB_OFFLINE is set, so nothing can be read or pushed; unset it and push again")
        case HfHubHTTPError():
            return _of_answer(error, place)
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return HubError(f"{place.endpoint!r} is not a Hub's address ({_first_line(error)}); check HF_ENDPOINT")
        case httpx2.LocalProtocolError():  # its text quotes the header, and that may be the token
            return HubError(
                f"the request to {place.endpoint} cannot be sent; set HF_TOKEN anew, or `hf auth login` again"
            )
        case TriedBefore() | httpx2.HTTPError():
            return Again(f"no answer from {place.endpoint} ({_first_line(error)})")
        case RuntimeError() if isinstance(error.__cause__, CLIENT_ERRORS):
            return judged(error.__cause__, place)
        case ValueError() | KeyError():
            return _of_content(error, place)
        case _:
            return _of_storage(error, place)


def refused(status: int, why: str, place: Place) -> HubError:
    """The line for an HTTP status that another try would not change."""
    token = "the token in HF_TOKEN (or from `hf auth login`)"
    lines = {
        400: f"the Hub refused the push to {place} as malformed: {why}",
        401: f"the Hub does not accept the token, or there is none: set HF_TOKEN to one that may write to {place}",
        402: f"{place} needs a paid plan for this: {why}",
        403: f"{token} may not do this on {place}: {why}; use one with write access to this data set",
        404: f"{place} does not exist, or {token} may not see it; create it or use another token",
        413: f"the Hub finds the push to {place} too large: {why}; ask for more room or use smaller shards",
        422: f"the Hub cannot process the push to {place}: {why}",
    }
    return HubError(lines.get(status, f"the Hub answered {status} for {place}: {why}"))


def _of_answer(error: HfHubHTTPError, place: Place) -> HubError:
    status = error.response.status_code
    why = _first_line(error.server_message or error)
    if isinstance(error, DisabledRepoError):
        return HubError(f"the Hub has disabled {place}: {why}")
    if isinstance(error, GatedRepoError):
        return HubError(f"{place} is gated and this token has not been let in; ask its owner for access")
    if isinstance(error, RepositoryNotFoundError):
        return refused(status if status == 401 else 404, why, place)
    # A commit that another reader does not see yet, or a file that somebody just deleted: the next look will tell.
    if status in _LATER or status >= 500 or isinstance(error, RevisionNotFoundError | EntryNotFoundError):
        nothing_done = status < 500 and status != 408
        return Again(f"the Hub answered {status} ({why})", _asked_wait(error.response), nothing_done=nothing_done)
    return refused(status, why, place)


def _of_content(error: Exception, place: Place) -> HubError:
    """A ``ValueError``: a card that the Hub rejects, a bad repo id, or an answer that is not what it should be."""
    text = " ".join(str(error).split())
    if "Invalid metadata in README.md" in text:
        return HubError(f"the Hub rejects the front matter of the data set card: {text}"[:300])
    if "LFS batch API" in text:
        return HubError(f"the Hub does not take the files for {place}: {text}"[:300])
    if "repo id" in text.lower() or "repo_id" in text.lower():
        return HubError(f"{place.repo_id!r} is not a repo name; write it as owner/name")
    return Again(f"{place.endpoint} gave an answer that makes no sense ({_first_line(error)})")


def _of_storage(error: BaseException, place: Place) -> HubError:
    """What hf_xet raises: a status stands in its text, if there was an answer."""
    text = str(error)
    found = _STATUS.search(text)
    status = int(found[1]) if found else None
    if status == 404 and "xet-write-token" in text:
        return HubError(f"{place.endpoint} has no Xet storage; set HF_HUB_DISABLE_XET=1 and push again")
    if status is not None and status < 500 and status not in _LATER:
        return refused(status, "the storage refused the files", place)
    return Again(f"the upload was cut off ({_first_line(error)})")


def _asked_wait(response: httpx2.Response) -> float | None:
    """The seconds that a 429 or 503 asks for, by ``Retry-After`` or by the rate limit that has run out."""
    if (plain := response.headers.get("Retry-After", "")).isdigit():
        return float(plain)
    limit = _LIMIT_RESET.search(response.headers.get("RateLimit", ""))
    return float(limit[1]) if limit else None


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]
