"""A reviewer sees every hit, and restores one with a word that stays in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler.core.events import SpanReviewed
from labeler.errors import LogError, StudyError
from labeler.redaction import reviewing
from labeler.redaction.reviewing import found_hits, review
from labeler.store import Store
from labeler.store.erasing import erase
from labeler.store.verify import verify_log
from tests.export import open_store, study_of, tell
from tests.stories import told

AT = "2026-11-26T10:00:00.000000Z"
STUDY = study_of(redaction="replace")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two conversations: three hits of two values in the first, one in the second."""
    one = told("ann", "c1").asks("I am jane@x.org.").answers("Hi Jane@x.org, or tom@y.net?").likes()
    return tell(open_store(tmp_path), one, told("bob", "c2").asks("Ask jane@x.org").answers("No."))


def states(store: Store) -> list[tuple[str, str, bool]]:
    return [(one.conversation_id, one.hit.value, one.hit.restored) for one in found_hits(store, STUDY)]


def ids(store: Store) -> list[str]:
    return [one.id for one in found_hits(store, STUDY)]


def test_every_hit_is_listed_with_what_stands_around_it(store: Store) -> None:
    hits = list(found_hits(store, STUDY))
    assert [(one.conversation_id, one.hit.placeholder) for one in hits] == [
        ("c1", "<EMAIL_1>"),
        ("c1", "<EMAIL_1>"),
        ("c1", "<EMAIL_2>"),
        ("c2", "<EMAIL_1>"),
    ]
    assert hits[0].context == ("I am ", "jane@x.org", ".")
    assert len(set(ids(store))) == 4


def test_a_restored_value_is_restored_in_its_conversation_and_in_no_other(store: Store) -> None:
    review(store, STUDY, ids(store)[0], restored=True, at=AT)
    assert states(store) == [
        ("c1", "jane@x.org", True),
        ("c1", "Jane@x.org", True),
        ("c1", "tom@y.net", False),
        ("c2", "jane@x.org", False),
    ]
    assert verify_log(store).problems == ()


def test_it_is_taken_back_with_the_next_word_even_on_another_of_its_places(store: Store) -> None:
    first, second, *_ = ids(store)
    review(store, STUDY, first, restored=True, at=AT)
    review(store, STUDY, second, restored=False, at=AT)
    assert not any(restored for *_, restored in states(store))


def test_to_say_it_twice_changes_nothing(store: Store) -> None:
    review(store, STUDY, ids(store)[0], restored=True, at=AT)
    before = store.position()
    review(store, STUDY, ids(store)[0], restored=True, at=AT)
    assert store.position() == before


def test_the_log_names_the_text_by_its_digest_and_never_the_value(store: Store) -> None:
    review(store, STUDY, ids(store)[0], restored=True, at=AT)
    (event,) = [event for event in store.scan() if isinstance(event.payload, SpanReviewed)]
    assert "jane" not in str(event.payload)
    assert (event.payload.start, event.payload.end, event.payload.span_kind) == (5, 15, "EMAIL")


def test_a_vote_that_comes_between_is_no_obstacle(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody annotates the conversation while it is reviewed: one more look, and the word is said."""
    hit, real, later = ids(store)[0], reviewing._hit_at, iter([True])

    def interrupted(*arguments: object) -> object:
        if next(later, False):
            event = store.load("c1")[-1]
            again = told("ann", "c1").asks("I am jane@x.org.").answers("Hi Jane@x.org, or tom@y.net?").likes()
            store.append(again.dislikes().events[event.seq :])
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reviewing, "_hit_at", interrupted)
    review(store, STUDY, hit, restored=True, at=AT)
    assert states(store)[0] == ("c1", "jane@x.org", True)
    assert verify_log(store).problems == ()


def test_erasing_a_guests_text_erases_its_review(tmp_path: Path) -> None:
    story = told("ann", "c1").asks("Hello?").answers("Hi.").by("bob").edits("Hi, jane@x.org.")
    store = tell(open_store(tmp_path, "guest"), story)
    review(store, STUDY, ids(store)[0], restored=True, at=AT)
    erase(store, "annotator", "bob", at=AT)
    assert not [event for event in store.scan() if isinstance(event.payload, SpanReviewed)]
    assert verify_log(store).problems == ()


@pytest.mark.parametrize("hit", ["", "nonsense", "c1:0000000000000000:0-4", "nowhere:0000000000000000:0-4"])
def test_what_is_no_hit_is_one_line(store: Store, hit: str) -> None:
    with pytest.raises(LogError, match="is no hit"):
        review(store, STUDY, hit, restored=True, at=AT)


def test_a_study_that_looks_for_nothing_says_so(store: Store) -> None:
    with pytest.raises(StudyError, match="looks for no personal data"):
        list(found_hits(store, study_of()))
