"""Which replica writes where: one owner a conversation, heirs of the dead, and nothing for those who come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from labeler.store import Store
from labeler.store.answering import (
    Answering,
    Replica,
    answering_by,
    answering_in,
    answering_of,
    beat,
    inherit,
    leave,
    let_go,
    replicas_seen,
    take,
    wish_stop,
)
from labeler.store.erasing import erase
from tests.store.conftest import Place
from tests.store.made import AT, votes


def one(number: int) -> Replica:
    return Replica("one", number, "somewhere")


def two(number: int) -> Replica:
    return Replica("two", number, "elsewhere")


def test_the_first_to_ask_writes_and_may_ask_again(store: Store) -> None:
    assert take(store, one(1), "c1")
    assert take(store, one(2), "c1")
    assert not take(store, two(1), "c1")
    assert answering_in(store, "c1") == Answering("c1", "one")
    assert take(store, two(2), "c2")
    assert {replica.id: replica.beat for replica in replicas_seen(store)} == {"one": 2, "two": 2}


def test_what_is_let_go_of_is_anybodys_and_nobody_lets_go_for_another(store: Store) -> None:
    assert take(store, one(1), "c1")
    let_go(store, "two", ["c1"])
    assert not take(store, two(1), "c1")
    let_go(store, "one", ["c1", "never taken"])
    assert answering_in(store, "c1") is None
    assert take(store, two(2), "c1")


def test_of_many_that_ask_at_once_one_writes(place: Place, store: Store) -> None:
    with place.open() as other, ThreadPoolExecutor(8) as pool:

        def ask(number: int) -> bool:
            asker = Replica(f"r{number % 4}", number, "")
            return take((store, other)[number % 2], asker, f"c{number // 4}")

        taken = list(pool.map(ask, range(160)))
    assert [sum(taken[first : first + 4]) for first in range(0, 160, 4)] == [1] * 40


def test_a_beat_tells_the_texts_of_ones_own(store: Store) -> None:
    take(store, one(1), "c1")
    take(store, two(1), "c2")
    beat(store, one(2), {"c1": {"m1": "Hello — \n 你"}, "c2": {"m2": "not mine"}})
    found = answering_in(store, "c1")
    assert found is not None
    assert found.texts == {"m1": "Hello — \n 你"}
    assert answering_by(store, "two") == [Answering("c2", "two")]


def test_a_wish_to_stop_is_heard_by_whoever_writes(store: Store) -> None:
    take(store, one(1), "c1")
    wish_stop(store, "c1")
    wish_stop(store, "nobody writes here")
    assert answering_by(store, "one") == [Answering("c1", "one", stop=True)]


def test_a_heir_gets_all_of_it_and_the_dead_ones_texts(store: Store) -> None:
    take(store, one(1), "c1")
    beat(store, one(2), {"c1": {"m1": "so far"}})
    take(store, one(3), "c2")
    wish_stop(store, "c2")
    assert inherit(store, two(1), one(2)) == [], "it has said something new since"
    inherited = inherit(store, two(2), one(3))
    assert sorted(inherited, key=lambda found: found.conversation_id) == [
        Answering("c1", "one", {"m1": "so far"}),
        Answering("c2", "one", stop=True),
    ]
    assert [found.conversation_id for found in answering_by(store, "two")] == ["c1", "c2"]
    assert [replica.id for replica in replicas_seen(store)] == ["two"]
    assert inherit(store, Replica("three", 1, ""), one(3)) == []


def test_whoever_comes_back_finds_nothing_and_begins_anew(store: Store) -> None:
    take(store, one(1), "c1")
    inherit(store, two(1), one(1))
    beat(store, one(2), {"c1": {"m1": "late"}})
    assert answering_by(store, "one") == []
    found = answering_in(store, "c1")
    assert found == Answering("c1", "two")
    assert not take(store, one(3), "c1")
    assert take(store, one(4), "c2")


def test_of_many_heirs_one_inherits(place: Place, store: Store) -> None:
    take(store, one(1), "c1")
    with place.open() as other, ThreadPoolExecutor(8) as pool:
        heirs = range(16)
        found = list(pool.map(lambda n: inherit((store, other)[n % 2], Replica(f"h{n}", 1, ""), one(1)), heirs))
    assert sorted(len(each) for each in found) == [0] * 15 + [1]


def test_heirs_of_each_other_and_one_who_leaves_do_not_get_in_each_others_way(place: Place, store: Store) -> None:
    """Each of four takes the next one for dead, all at once, while one of them ends."""
    ids = ("a", "b", "c", "d")
    with place.open() as other, ThreadPoolExecutor(5) as pool:
        for round_ in range(40):
            crowd = [Replica(id, round_ + 1, "") for id in ids]
            for replica in crowd:
                assert take(store, replica, f"{replica.id}-{round_}")
            heirs = [
                pool.submit(inherit, (store, other)[at % 2], replica, crowd[(at + 1) % 4])
                for at, replica in enumerate(crowd)
            ]
            gone = pool.submit(leave, other, ids[round_ % 4])
            for each in (*heirs, gone):
                each.result()
            left = [answering_in(store, f"{id}-{round_}") for id in ids]
            assert {one.replica for one in left if one} <= {replica.id for replica in replicas_seen(store)}
            for id in ids:
                leave(store, id)


def test_whoever_leaves_leaves_nothing(store: Store) -> None:
    take(store, one(1), "c1")
    take(store, two(1), "c2")
    leave(store, "one")
    assert answering_in(store, "c1") is None
    assert [replica.id for replica in replicas_seen(store)] == ["two"]


def test_an_annotators_answers_are_found(store: Store) -> None:
    for conversation, annotator in (("c1", "ann"), ("c2", "ann"), ("c3", "bob")):
        store.append(votes(conversation, 2, annotator))
    for conversation in ("c1", "c3"):
        take(store, one(1), conversation)
    assert answering_of(store, "ann") == ["c1"]


def test_what_is_written_of_the_erased_goes_with_them(store: Store) -> None:
    for conversation in ("c1", "c2"):
        store.append(votes(conversation, 2, f"by-{conversation}"))
        take(store, one(1), conversation)
    erase(store, "annotator", "by-c1", at=AT)
    assert answering_in(store, "c1") is None
    erase(store, "conversation", "c2", at=AT)
    assert answering_in(store, "c2") is None
