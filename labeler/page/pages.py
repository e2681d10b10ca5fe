"""The pages of a study: their names, addresses, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labeler.core.roles import EVERYBODY, REVIEWERS, Role, Visitor
from labeler.study import Study


@dataclass(frozen=True, slots=True)
class Page:
    """One page. ``path`` ends with a slash; without it, an address is sent on."""

    key: str
    title: str
    path: str
    roles: frozenset[Role]

    @property
    def up(self) -> str:
        """From the page's address to the root: a proxy may serve all of it below a path of its own."""
        return "../" * (self.path.count("/") - 1)


CHAT = Page("chat", "Chat", "/", EVERYBODY)
COMPARE = Page("compare", "Compare", "/compare/", EVERYBODY)
REVIEW = Page("review", "Review", "/review/", REVIEWERS)
INSIGHTS = Page("insights", "Insights", "/insights/", REVIEWERS)
PAGES: Sequence[Page] = (CHAT, COMPARE, REVIEW)


def pages_of(study: Study, anybody: Role | None = None) -> tuple[Page, ...]:
    """The pages that a study has, in the order in which they are offered.

    Where everybody has the same role, there are no others than those for this role.
    """
    own = (*(page for page in PAGES if page.key in study.modes), INSIGHTS)
    return tuple(page for page in own if anybody is None or anybody in page.roles)


def open_to(visitor: Visitor | None, pages: Sequence[Page]) -> tuple[Page, ...]:
    """Those that a visitor may open."""
    return () if visitor is None else tuple(page for page in pages if visitor.role in page.roles)
