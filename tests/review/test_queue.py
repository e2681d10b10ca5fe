"""The queue: who gets what, in which order, and never more than is wanted, whoever asks at once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from labeler.chat import Writing
from labeler.chat.reviewer import Opinion, Reviewer, Task
from labeler.core.events import Adjudicated, Compared
from labeler.core.roles import Visitor
from labeler.durations import later
from labeler.errors import GestureRefused, RoleNeeded
from labeler.store import Store, utc_now
from labeler.store.erasing import erase
from labeler.store.projections import follow
from labeler.store.reviews import Rules
from labeler.store.verify import verify_log
from labeler.study import parse_study
from tests.export import tell
from tests.stories import Story, told, told_of

MODEL = {"name": "m", "kind": "openai", "base_url": "http://127.0.0.1:1", "model": "m"}


class Clock:
    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> str:
        return self.now

    def move(self, seconds: float) -> None:
        self.now = later(self.now, seconds)


def reviewer_on(store: Store, clock: Clock | None = None, **review: object) -> Reviewer:
    study = parse_study({"name": "test", "models": [MODEL], "modes": ["review"], "review": review})
    writing = Writing(study, store, {}, clock=clock or utc_now, chance=random.Random(5))
    return Reviewer(writing, clock or utc_now)


@pytest.fixture
def store(new_url: Callable[[str], str]) -> Iterator[Store]:
    with closing(Store.open(new_url("log"))) as store:
        yield store


def someone(name: str) -> Visitor:
    return Visitor(name, "reviewer", name)


def pair(number: int = 1, owner: str = "ann") -> Story:
    return told(owner, f"c{number}").asks(f"Why {number}?").answers("One.").retries("Two.").better()


def words(task: Task | None) -> set[str]:
    return set() if task is None else {task.left, task.right or ""}


# ── what a reviewer gets ──


def test_a_reviewer_gets_the_question_and_both_answers_and_nobodys_vote(store: Store) -> None:
    tell(store, pair())
    task = reviewer_on(store).task(someone("bob"))
    assert task is not None
    assert [line.text for line in task.past] == ["Why 1?"]
    assert words(task) == {"One.", "Two."}
    assert "ann" not in repr(task)


def test_sides_are_random(store: Store) -> None:
    tell(store, *(pair(number) for number in range(40)))
    reviewer = reviewer_on(store)
    lefts = Counter(task.left for n in range(40) if (task := reviewer.task(someone(f"r{n}"))))
    assert 8 < lefts["One."] < 32


def test_nobody_gets_their_own_and_nobody_else_than_reviewers_gets_any(store: Store) -> None:
    tell(store, pair())
    reviewer = reviewer_on(store)
    assert reviewer.task(someone("ann")) is None
    for act in (
        lambda: reviewer.task(Visitor("bob", "annotator")),
        lambda: reviewer.say(Visitor("bob", "annotator"), "x", Opinion(choice="a")),
    ):
        with pytest.raises(RoleNeeded):
            act()


def test_the_same_item_is_shown_again_until_it_is_handed_in(store: Store) -> None:
    tell(store, pair(1), pair(2))
    reviewer = reviewer_on(store)
    first, again = reviewer.task(someone("bob")), reviewer.task(someone("bob"))
    assert first == again
    assert first is not None
    reviewer.say(someone("bob"), first.lease, Opinion(choice="a"))
    second = reviewer.task(someone("bob"))
    assert second is not None
    assert second.past != first.past


def test_whoever_reviewed_skipped_or_flagged_it_does_not_get_it_again(store: Store) -> None:
    tell(store, pair(), told("ann", "c2").asks("Which?").answers("This.").likes())
    reviewer = reviewer_on(store, overlap=5)
    for name, opinions in {
        "bob": (Opinion(choice="b"), Opinion(good=False)),
        "eve": (Opinion(), Opinion()),
    }.items():
        for _ in opinions:
            task = reviewer.task(someone(name))
            assert task is not None
            reviewer.say(someone(name), task.lease, opinions[0 if task.right else 1])
        assert reviewer.task(someone(name)) is None
    assert reviewer.counts(someone("bob")) == {"open": 2}
    assert verify_log(store).problems == ()


def test_a_review_says_what_was_chosen_of_the_answers_and_not_of_the_sides(store: Store) -> None:
    tell(store, pair())
    reviewer = reviewer_on(store, overlap=20)
    for number in range(12):
        task = reviewer.task(someone(f"r{number}"))
        assert task is not None
        reviewer.say(someone(f"r{number}"), task.lease, Opinion(choice="a_much" if task.left == "One." else "b_much"))
    said = [event.payload for event in store.load("c1") if event.payload.kind == "compared"][1:]
    winners = {(one.winner, one.message_a, one.strength) for one in said}  # type: ignore[attr-defined]
    assert winners == {("a", "c1.a1", 3)}
    assert {one.position for one in said} == {"a_left", "b_left"}  # type: ignore[attr-defined]


def test_an_opinion_of_the_wrong_kind_is_refused(store: Store) -> None:
    tell(store, pair())
    reviewer = reviewer_on(store)
    task = reviewer.task(someone("bob"))
    assert task is not None
    with pytest.raises(GestureRefused, match="two answers"):
        reviewer.say(someone("bob"), task.lease, Opinion(good=True))


# ── how many, in which order ──


def test_an_item_is_reviewed_so_often_and_no_more(store: Store) -> None:
    tell(store, pair())
    reviewer = reviewer_on(store, overlap=2)
    tasks = [reviewer.task(someone(name)) for name in ("bob", "eve", "joe")]
    assert [task is not None for task in tasks] == [True, True, False]
    for name, task in zip(("bob", "eve"), tasks, strict=False):
        assert task is not None
        reviewer.say(someone(name), task.lease, Opinion(choice="same"))
    assert reviewer.task(someone("joe")) is None
    assert reviewer.counts(someone("joe")) == {"settled": 1}


def test_a_skip_leaves_the_place_to_another(store: Store) -> None:
    tell(store, pair())
    reviewer = reviewer_on(store, overlap=1)
    task = reviewer.task(someone("bob"))
    assert task is not None
    assert reviewer.task(someone("eve")) is None
    reviewer.say(someone("bob"), task.lease, Opinion())
    assert reviewer.task(someone("eve")) is not None


def test_a_lease_runs_out_and_somebody_else_gets_the_item(store: Store) -> None:
    tell(store, pair())
    clock = Clock()
    reviewer = reviewer_on(store, clock, overlap=1, lease="5m")
    late = reviewer.task(someone("bob"))
    assert late is not None
    clock.move(299)
    assert reviewer.task(someone("eve")) is None
    clock.move(2)
    task = reviewer.task(someone("eve"))
    assert task is not None
    with pytest.raises(GestureRefused, match="for too long"):
        reviewer.say(someone("bob"), late.lease, Opinion(choice="a"))
    reviewer.say(someone("eve"), task.lease, Opinion(choice="a"))
    assert [event.annotator_id for event in store.load("c1")].count("bob") == 0


def test_nobody_hands_in_what_somebody_else_has_in_hand(store: Store) -> None:
    tell(store, pair())
    reviewer = reviewer_on(store)
    task = reviewer.task(someone("bob"))
    assert task is not None
    with pytest.raises(GestureRefused):
        reviewer.say(someone("eve"), task.lease, Opinion(choice="a"))


def test_the_same_review_delivered_twice_is_stored_once(store: Store) -> None:
    tell(store, pair())
    reviewer = reviewer_on(store)
    task = reviewer.task(someone("bob"))
    assert task is not None
    first = reviewer.say(someone("bob"), task.lease, Opinion(choice="a"))
    assert reviewer.say(someone("bob"), task.lease, Opinion(choice="a")) == first


def test_the_least_reviewed_come_first_then_the_most_disputed(store: Store) -> None:
    agreed = pair(1).by("joe").adds(*_says("c1", "b"))
    disputed = pair(2).by("joe").adds(*_says("c2", "a"))
    tell(store, agreed, disputed, pair(3))
    reviewer = reviewer_on(store, overlap=3)
    order = []
    for _ in range(3):
        task = reviewer.task(someone("bob"))
        assert task is not None
        order.append(task.past[0].text)
        reviewer.say(someone("bob"), task.lease, Opinion(choice="same"))
    assert order == ["Why 3?", "Why 2?", "Why 1?"]


def _says(conversation: str, winner: str) -> list[object]:
    a, b = f"{conversation}.a1", f"{conversation}.a2"
    return [Compared(message_a=a, message_b=b, winner=winner, strength=2, position="a_left")]  # type: ignore[arg-type]


# ── the tables follow the log ──


def test_what_is_taken_back_erased_or_withdrawn_is_not_given_out(store: Store) -> None:
    tell(store, pair(1).compares(None), pair(2, "zeb"), pair(3, "joe"), told_of("joe").withdraws_consent())
    erase(store, "annotator", "zeb", at="2026-11-28T10:00:00.000000Z")
    reviewer = reviewer_on(store)
    assert reviewer.task(someone("bob")) is None
    assert reviewer.counts(someone("bob")) == {}


def test_reviews_of_whoever_was_excluded_are_done_again_by_others(store: Store) -> None:
    tell(store, pair(1))
    reviewer = reviewer_on(store, overlap=1)
    task = reviewer.task(someone("bob"))
    assert task is not None
    reviewer.say(someone("bob"), task.lease, Opinion(choice="a"))
    assert reviewer.counts(someone("eve")) == {"settled": 1}
    out = told_of("bob").is_excluded()
    tell(store, out)
    assert reviewer.counts(someone("eve")) == {"open": 1}
    assert reviewer.task(someone("bob")) is None
    assert reviewer.task(someone("eve")) is not None
    store.append(out.is_included().events[1:])
    assert reviewer.counts(someone("eve")) == {"settled": 1}


def test_made_anew_the_tables_say_the_same(store: Store) -> None:
    reviewer = reviewer_on(store, overlap=2)
    for number in range(6):
        tell(store, pair(number))
        task = reviewer.task(someone(f"r{number % 3}"))
        assert task is not None
        reviewer.say(someone(f"r{number % 3}"), task.lease, Opinion(choice=("a", "b", None)[number % 3]))  # type: ignore[arg-type]

    def tables() -> list[object]:
        with store.database.reading() as connection:
            items = connection.exec_driver_sql("SELECT * FROM review_items ORDER BY 1").all()
            return [*items, *connection.exec_driver_sql("SELECT * FROM review_words ORDER BY 1, 2").all()]

    before = tables()
    follow(store, Rules(overlap=1).projection)
    assert tables() != before
    follow(store, Rules(overlap=2).projection)
    assert tables() == before


# ── many at once ──


def test_many_reviewers_at_once_never_exceed_what_is_wanted_and_starve_nothing(store: Store) -> None:
    items, overlap, people = 30, 3, 24
    tell(store, *(pair(number) for number in range(items)))
    reviewer = reviewer_on(store, overlap=overlap)
    barrier = threading.Barrier(people)

    def work(name: str) -> None:
        barrier.wait()
        done = patience = 0
        while patience < 40:
            task = reviewer.task(someone(name))
            if task is None:  # what others have in hand may come back
                patience += 1
                time.sleep(0.1)
                continue
            reviewer.say(someone(name), task.lease, Opinion(choice="a" if done % 2 else None))
            done += 1

    with ThreadPoolExecutor(people) as pool:
        list(pool.map(work, [f"r{number}" for number in range(people)]))
    reviews = Counter(
        event.conversation_id
        for event in store.scan()
        if event.payload.kind == "compared" and event.annotator_id.startswith("r")
    )
    assert reviews == {f"c{number}": overlap for number in range(items)}
    assert verify_log(store).problems == ()


# ── adjudication ──


def disputed(store: Store, number: int = 1) -> None:
    """Ann says b, Bob a and Eve a tie, with a reason."""
    both = f"c{number}.a1", f"c{number}.a2"
    tie = Compared(
        message_a=both[0], message_b=both[1], winner="tie", strength=0, position="a_left", comment="Both are short."
    )
    tell(store, pair(number).by("bob").adds(*_says(f"c{number}", "a")).by("eve").adds(tie))


def test_whoever_adjudicates_sees_what_everybody_said_and_no_names(store: Store) -> None:
    disputed(store)
    task = reviewer_on(store).task(someone("joe"), ruling=True)
    assert task is not None
    assert task.words is not None
    left_is_a = task.left == "One."
    a, b = ("a", "b") if left_is_a else ("b", "a")
    assert [(word.said, word.comment, word.first) for word in task.words] == [
        (b, "", True),
        (a, "", False),
        ("tie", "Both are short.", False),
    ]
    assert not any(name in repr(task) for name in ("ann", "bob", "eve"))


def test_reviewers_see_no_words(store: Store) -> None:
    tell(store, pair())
    task = reviewer_on(store).task(someone("bob"))
    assert task is not None
    assert task.words is None


def test_a_ruling_is_the_last_word(store: Store) -> None:
    disputed(store)
    reviewer = reviewer_on(store)
    assert reviewer.counts(someone("joe")) == {"disputed": 1}
    task = reviewer.task(someone("joe"), ruling=True)
    assert task is not None
    reviewer.say(someone("joe"), task.lease, Opinion(choice="a_much" if task.left == "One." else "b_much"))
    ruling = store.load("c1")[-1].payload
    assert isinstance(ruling, Adjudicated)
    assert (ruling.verdict, ruling.strength) == ("a", 3)
    assert reviewer.counts(someone("joe")) == {"adjudicated": 1}
    assert reviewer.task(someone("sue"), ruling=True) is None


def test_nobody_rules_on_their_own_and_those_who_voted_only_as_admins(store: Store) -> None:
    disputed(store)
    reviewer = reviewer_on(store)
    assert reviewer.task(Visitor("ann", "admin"), ruling=True) is None
    assert reviewer.task(someone("bob"), ruling=True) is None
    assert reviewer.task(Visitor("bob", "admin"), ruling=True) is not None


def test_two_never_adjudicate_the_same_at_once(store: Store) -> None:
    disputed(store)
    reviewer = reviewer_on(store)
    assert reviewer.task(someone("joe"), ruling=True) is not None
    assert reviewer.task(someone("sue"), ruling=True) is None


def test_a_skipped_dispute_goes_to_another(store: Store) -> None:
    disputed(store)
    reviewer = reviewer_on(store)
    for visitor in (someone("joe"), Visitor("sue", "admin")):
        task = reviewer.task(visitor, ruling=True)
        assert task is not None
        reviewer.say(visitor, task.lease, Opinion())
        assert reviewer.task(visitor, ruling=True) is None
    assert reviewer.task(someone("tom"), ruling=True) is not None


def test_what_was_flagged_is_adjudicated_and_nothing_may_be_made_of_it(store: Store) -> None:
    tell(store, told("ann").asks("Why?").answers("Call 555-0100.").likes())
    reviewer = reviewer_on(store)
    task = reviewer.task(someone("bob"))
    assert task is not None
    reviewer.say(someone("bob"), task.lease, Opinion(flag="personal_data", comment="A number."))
    ruling = reviewer.task(someone("joe"), ruling=True)
    assert ruling is not None
    assert ruling.words is not None
    assert [(word.said, word.comment) for word in ruling.words] == [("good", ""), ("flag:personal_data", "A number.")]
    with pytest.raises(GestureRefused):
        reviewer.say(someone("joe"), ruling.lease, Opinion(flag="unsafe"))
    reviewer.say(someone("joe"), ruling.lease, Opinion(void=True))
    assert store.load("c1")[-1].payload.verdict == "void"  # type: ignore[attr-defined]
    assert verify_log(store).problems == ()
