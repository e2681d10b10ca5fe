"""Who uses a foreign app: whom the app itself names, or a browser with a signed cookie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labeler.page.identity import Identity
from labeler.page.toolkit import gr

# What stands before the names that apps give: no name can be taken for an annotator of another kind.
NAMED = "app:"
Naming = Callable[[gr.Request], str | None]

# The server of a foreign app gives no cookies of ours, so the page's own script keeps what it was handed.
KEEP = """(cookie) => {
  if (cookie) document.cookie = cookie + (location.protocol === 'https:' ? '; Secure' : '');
}"""


@dataclass(frozen=True, slots=True)
class People:
    """How annotators are known.

    Args:
        browsers: gives out and checks cookies.
        naming: the app's own way to tell who somebody is; None: the name with which they signed in to the app, if any.
    """

    browsers: Identity
    naming: Naming | None = None

    def annotator(self, request: gr.Request) -> str | None:
        """Who sends this request, or ``None`` if nobody can tell."""
        name = self.naming(request) if self.naming is not None else request.username
        if name:
            return NAMED + str(name)
        return None if self.naming is not None else self.browsers.annotator_in(request.headers.get("cookie"))

    def welcome(self, request: gr.Request) -> str:
        """The cookie to keep from now on; empty if who it is can be told already, or is not for a cookie to tell."""
        if self.naming is not None or self.annotator(request) is not None:
            return ""
        return self.browsers.set_cookie(self.browsers.newcomer(), scheme="http").replace("; HttpOnly", "")
