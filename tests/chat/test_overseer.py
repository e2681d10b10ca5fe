"""What those who look after a study can do: see how things stand, leave somebody's work out, and take that back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeler.chat import Count, Overseer
from labeler.core.roles import Role, Visitor
from labeler.core.standing import standing_of
from labeler.core.wishes import Wishes
from labeler.errors import GestureRefused, NotFound, RoleNeeded
from labeler.insights.report import report
from labeler.store import Store
from labeler.store.summaries import summary
from tests.export import tell
from tests.stories import told, told_of

AT = "2026-11-28T10:00:00.000000Z"
ADMIN = Visitor("root", "admin", "root")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/log.db") as store:
        tell(store, told("ann").asks("Why?").answers("One.").likes(), told("bob", "c2").asks("How?").answers("So."))
        yield store


def overseer_of(store: Store) -> Overseer:
    """One that counts at once, in this process."""

    def count(wishes: Wishes) -> Count:
        found = summary(store, consent_needed=False)
        return Count(found.position, report(found.sums, wishes))

    return Overseer(store, lambda: AT, count, lambda: {"ann": "Ann"})


def excluded_in(store: Store) -> frozenset[str]:
    return standing_of(store.annotator_events(store.position()), consent_needed=False).excluded


@pytest.mark.parametrize("role", ["reviewer", "admin"])
def test_reviewers_and_admins_see_how_things_stand(store: Store, role: Role) -> None:
    seen = overseer_of(store).look(Visitor("eve", role), Wishes())
    assert seen.count.document is not None
    assert [one["annotator"] for one in seen.count.document["raters"]] == ["ann"]
    assert (seen.position, seen.names) == (store.position(), {"ann": "Ann"})
    assert seen.may_exclude == (role == "admin")


def test_annotators_see_nothing(store: Store) -> None:
    with pytest.raises(RoleNeeded, match="another role than yours"):
        overseer_of(store).look(Visitor("ann", "annotator"), Wishes())


@pytest.mark.parametrize("role", ["annotator", "reviewer"])
def test_only_admins_leave_somebody_out(store: Store, role: Role) -> None:
    overseer = overseer_of(store)
    with pytest.raises(RoleNeeded):
        overseer.exclude(Visitor("eve", role), "n1", "ann")
    with pytest.raises(RoleNeeded):
        overseer.include(Visitor("eve", role), "n1", "ann")
    assert excluded_in(store) == frozenset()


def test_an_exclusion_says_who_why_and_when_and_is_reversible(store: Store) -> None:
    overseer = overseer_of(store)
    overseer.exclude(ADMIN, "n1", "ann", " answers at random ")
    seen = overseer.look(ADMIN, Wishes())
    assert [(one.annotator_id, one.reason, one.at) for one in seen.excluded] == [("ann", "answers at random", AT)]
    assert seen.count.document is not None
    assert seen.count.document["raters"] == []
    (event,) = store.load("ann")
    assert (event.payload.kind, event.annotator_id, event.conversation_id) == ("annotator_excluded", "root", "ann")
    overseer.include(ADMIN, "n2", "ann")
    seen = overseer.look(ADMIN, Wishes())
    assert seen.excluded == ()
    assert seen.count.document is not None
    assert [one["annotator"] for one in seen.count.document["raters"]] == ["ann"]


def test_the_same_twice_changes_nothing_and_neither_does_including_who_is_in(store: Store) -> None:
    overseer = overseer_of(store)
    before = store.position()
    overseer.include(ADMIN, "n0", "ann")
    assert store.position() == before
    overseer.exclude(ADMIN, "n1", "ann")
    overseer.exclude(ADMIN, "n1", "ann")
    overseer.exclude(ADMIN, "n2", "ann", "again")
    assert store.position() == before + 1


def test_an_exclusion_stands_behind_what_the_annotator_wrote_into_their_own_stream(store: Store) -> None:
    tell(store, told_of("ann").consents())
    overseer_of(store).exclude(ADMIN, "n1", "ann")
    assert [event.payload.kind for event in store.load("ann")] == ["consent_given", "annotator_excluded"]


def test_nobody_is_excluded_who_is_not_there(store: Store) -> None:
    with pytest.raises(NotFound, match="No annotator has this id"):
        overseer_of(store).exclude(ADMIN, "n1", "nobody")
    with pytest.raises(NotFound):
        overseer_of(store).exclude(ADMIN, "n1", "c1")
    assert excluded_in(store) == frozenset()


def test_a_reason_of_any_length_is_no_reason(store: Store) -> None:
    with pytest.raises(GestureRefused, match="too long"):
        overseer_of(store).exclude(ADMIN, "n1", "ann", "x" * 100_000)


def test_what_another_process_excluded_is_seen(store: Store) -> None:
    overseer = overseer_of(store)
    assert overseer.look(ADMIN, Wishes()).excluded == ()
    tell(store, told_of("bob").is_excluded("a bot"))
    assert [one.annotator_id for one in overseer.look(ADMIN, Wishes()).excluded] == ["bob"]
