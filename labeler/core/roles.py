"""Who looks at a page, and what their role lets them do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labeler.errors import RoleNeeded

Role = Literal["annotator", "reviewer", "admin"]
ROLES: tuple[Role, ...] = ("annotator", "reviewer", "admin")
EVERYBODY: frozenset[Role] = frozenset(ROLES)
REVIEWERS: frozenset[Role] = frozenset(("reviewer", "admin"))
ADMINS: frozenset[Role] = frozenset(("admin",))


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who was recognised. ``name`` is the account's; who has none is only known by the id in their cookie."""

    annotator_id: str
    role: Role
    name: str = ""

    def must_be(self, roles: frozenset[Role]) -> None:
        """Raises RoleNeeded unless the visitor has one of these roles."""
        if self.role not in roles:
            raise RoleNeeded(f"This needs another role than yours ({self.role}). Ask whoever runs the study.")
