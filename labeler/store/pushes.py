"""Who pushes to which repo, and what became of it: a memory beside the log, for pushers and who looks after them.

A claim keeps two pushers of one log from doing the same work. It is a courtesy, not a lock: it runs out, and what keeps
a repo right is that a commit names the head it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from labeler.store.dialects import insertion
from labeler.store.schema import pushes
from labeler.store.store import Store


@dataclass(frozen=True, slots=True)
class PushState:
    """What is known of one repo; times are UTC as events have them.

    ``holder`` may push until ``held_until``. ``pushed_at`` is when the repo was last known to hold the log up to
    ``position``, ``committed_at`` when ``commit_oid`` was made; ``error`` is the line of the last try if it failed,
    ``failures`` how many did in a row.
    """

    repo: str
    holder: str | None = None
    held_until: str | None = None
    pushed_at: str | None = None
    position: int | None = None
    committed_at: str | None = None
    commit_oid: str | None = None
    next_at: str | None = None
    failures: int = 0
    error: str | None = None

    def facts(self, position: int, now: str) -> dict[str, str | int | None]:
        """The state as the documented object, seen from a log at a position; docs/sync.md has the keys."""
        held = self.holder is not None and self.held_until is not None and self.held_until > now
        return {
            "repo": self.repo,
            "state": "pushing" if held else "failing" if self.error else "waiting",
            "position": self.position,
            "behind": position - (self.position or 0),
            "pushed_at": self.pushed_at,
            "committed_at": self.committed_at,
            "commit": self.commit_oid,
            "next_at": self.next_at,
            "failures": self.failures,
            "error": self.error,
        }

    def held_by_another(self, holder: str, now: str) -> bool:
        """Whether somebody else may push now."""
        return self.holder not in {None, holder} and self.held_until is not None and self.held_until > now


@dataclass(frozen=True, slots=True)
class Landed:
    """The repo holds the log up to a position, by a commit of now or, without one, since before."""

    at: str
    position: int
    commit: str | None


def push_states(store: Store) -> list[PushState]:
    """Every repo that was ever pushed to from this log, by name."""
    with store.database.reading() as connection:
        return [PushState(*row) for row in connection.execute(select(pushes).order_by(pushes.c.repo))]


def push_state(store: Store, repo: str) -> PushState:
    """What is known of one repo."""
    with store.database.reading() as connection:
        return _state(connection, repo)


def claim(store: Store, repo: str, holder: str, *, now: str, until: str, unless_committed_after: str) -> PushState:
    """Hold the repo until then, if nobody else does and its last commit is not younger than that.

    Returns the state as it is now: the repo is held if ``holder`` is in it and ``held_until`` is ``until``.
    """
    with store.database.writing() as connection:
        state = _state(connection, repo)
        young = state.committed_at is not None and state.committed_at > unless_committed_after
        if young or state.held_by_another(holder, now):
            return state
        _put(connection, repo, holder=holder, held_until=until)
        return _state(connection, repo)


def keep(store: Store, repo: str, holder: str, *, until: str) -> None:
    """Hold the repo for longer, if it is still held."""
    with store.database.writing() as connection:
        mine = pushes.c.repo == repo, pushes.c.holder == holder
        connection.execute(update(pushes).where(*mine).values(held_until=until))


def note_pushed(store: Store, repo: str, holder: str, landed: Landed, *, next_at: str | None) -> None:
    """A push has come to its end; let go of the repo."""
    values = {"pushed_at": landed.at, "position": landed.position, "failures": 0, "error": None}
    if landed.commit is not None:
        values |= {"committed_at": landed.at, "commit_oid": landed.commit}
    _end(store, repo, holder, values, next_at)


def note_failed(store: Store, repo: str, holder: str, *, error: str, next_at: str | None) -> None:
    """A push came to nothing; let go of the repo."""
    _end(store, repo, holder, {"failures": pushes.c.failures + 1, "error": error}, next_at)


def _end(store: Store, repo: str, holder: str, values: dict[str, object], next_at: str | None) -> None:
    with store.database.writing() as connection:
        _put(connection, repo)
        connection.execute(update(pushes).where(pushes.c.repo == repo).values(**values))
        mine = pushes.c.repo == repo, pushes.c.holder.is_(None) | (pushes.c.holder == holder)
        connection.execute(update(pushes).where(*mine).values(holder=None, held_until=None, next_at=next_at))


def _put(connection: Connection, repo: str, **values: object) -> None:
    new = insertion(connection, pushes).values(repo=repo, failures=0, **values)
    connection.execute(new.on_conflict_do_update(index_elements=[pushes.c.repo], set_={"repo": repo, **values}))


def _state(connection: Connection, repo: str) -> PushState:
    row = connection.execute(select(pushes).where(pushes.c.repo == repo)).one_or_none()
    return PushState(repo) if row is None else PushState(*row)
