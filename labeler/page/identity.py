"""Who is annotating: an anonymous identity per browser, in a signed cookie.

The cookie proves that this server gave the id to this browser, nothing more. Its name holds the source id, since
browsers share cookies between ports and one machine may serve several studies.
"""

from __future__ import annotations

import re

from labeler.ids import new_id
from labeler.signing import Signer

YEAR_SECONDS = 365 * 24 * 3600
ANNOTATOR = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Identity:
    """Gives out and checks the cookies of one study.

    Args:
        key: signs; whoever has it can be anybody.
        source_id: names the log that the cookies are good for.
    """

    def __init__(self, key: bytes, source_id: str) -> None:
        self.cookie_name = f"labeler_{source_id}"
        self._signer = Signer(key, f"annotator\0{source_id}\0")

    def annotator_in(self, cookie_header: str | None) -> str | None:
        """The annotator that a ``Cookie`` header proves, or ``None`` if it proves nobody."""
        value = cookie_in(cookie_header, self.cookie_name)
        return None if value is None else self._proven(value)

    def newcomer(self) -> str:
        """A fresh annotator id."""
        return new_id()

    def set_cookie(self, annotator_id: str, *, scheme: str) -> str:
        """The ``Set-Cookie`` header that gives, or renews, an identity; given over https, it stays with https."""
        value = f"{annotator_id}.{self._signer.mark(annotator_id)}"
        return cookie(self.cookie_name, value, YEAR_SECONDS, scheme=scheme)

    def _proven(self, value: str) -> str | None:
        annotator_id, _, mac = value.partition(".")
        genuine = self._signer.genuine(annotator_id, mac)
        return annotator_id if genuine and ANNOTATOR.fullmatch(annotator_id) else None


def cookie(name: str, value: str, seconds: int, *, scheme: str) -> str:
    """A ``Set-Cookie`` header that no script can read; given over https, it stays with https."""
    secure = "; Secure" if scheme == "https" else ""
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def cookie_in(header: str | None, name: str) -> str | None:
    """The value of the first cookie of this name in a ``Cookie`` header."""
    for pair in (header or "").split(";"):
        found, _, value = pair.strip().partition("=")
        if found == name:
            return value
    return None
