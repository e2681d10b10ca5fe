"""What is erased is gone from every byte of the database, and what remains is a sound log."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labeler.accounts import Accounts
from labeler.core.events import AnswerEdited, Erased, VoteCast
from labeler.core.folding import replay
from labeler.errors import LogError, SeqConflict, StoreError
from labeler.store import Store
from labeler.store.erasing import Erasure, erase, truncate
from labeler.store.transfer import dump, load
from labeler.store.verify import verify_log
from tests.export import tell
from tests.stories import Story, told, told_of

AT = "2026-11-26T10:00:00.000000Z"
SECRET = "My name is Zebedee Quux, and I live at 7 Elm Row."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{path}") as opened:
        yield opened


def confided(annotator_id: str = "zeb", number: int = 1) -> Story:
    story = (
        told(annotator_id, f"{annotator_id}-{number}").asks(f"{SECRET} ({number})").answers(f"Hello, Zebedee {number}.")
    )
    return story.likes().explains("Helpful", comment="It knows my name, Zebedee.").retries("Hi, Zebedee Quux!").better()


def everything(path: Path) -> bytes:
    """Every byte of the database and of what lies beside it."""
    return b"".join(one.read_bytes() for one in sorted(path.parent.iterdir()) if one.name.startswith(path.name))


def erased(store: Store, subject: str, id: str) -> Erasure:
    return erase(store, subject, id, at=AT)  # type: ignore[arg-type]


@pytest.mark.parametrize(("subject", "id"), [("annotator", "zeb"), ("conversation", "zeb-1")])
def test_no_byte_of_what_was_erased_is_left_on_disk(store: Store, path: Path, subject: str, id: str) -> None:
    tell(store, told("ann").asks("Why?").answers("So."), confided())
    assert b"Zebedee" in everything(path)
    outcome = erased(store, subject, id)
    assert outcome.events == len(confided().events)
    assert outcome.conversations == ("zeb-1",)
    assert b"Zebedee" not in everything(path)
    assert b"Why?" in everything(path)


def test_texts_larger_than_a_page_are_gone_as_well(store: Store, path: Path) -> None:
    """They lie in pages of their own, which become free when the event is overwritten."""
    long = " ".join(f"{SECRET} {number}" for number in range(5_000))
    tell(store, told("zeb", "zeb-1").asks(long).answers(long[::-1]))
    erased(store, "annotator", "zeb")
    assert b"Zebedee" not in everything(path)
    assert b"eedebeZ" not in everything(path)


@pytest.mark.parametrize(("subject", "id"), [("annotator", "zeb"), ("conversation", "zeb-1")])
def test_what_remains_is_sound(store: Store, subject: str, id: str) -> None:
    tell(
        store,
        confided(),
        told("ann").asks("Why?").answers("So.").likes(),
        told_of("zeb").consents(),
        confided(number=2),
    )
    erased(store, subject, id)
    assert verify_log(store).problems == ()


def test_positions_seqs_and_ids_stay_and_the_end_tells_of_it(store: Store) -> None:
    tell(store, confided(), told("ann").asks("Why?").answers("So."))
    before = list(store.scan())
    outcome = erased(store, "conversation", "zeb-1")
    after = list(store.scan())
    same = [(event.position, event.event_id, event.conversation_id, event.seq, event.at) for event in after]
    assert same[: len(before)] == [(e.position, e.event_id, e.conversation_id, e.seq, e.at) for e in before]
    (last,) = after[len(before) :]
    assert last.payload == Erased(erased_kind="conversation")
    assert (last.conversation_id, last.position) == ("zeb-1", outcome.position)
    kinds = [event.payload.erased_kind for event in after if isinstance(event.payload, Erased)]
    assert kinds[:-1] == [event.payload.kind for event in before if event.conversation_id == "zeb-1"]


def test_others_lose_nothing(store: Store) -> None:
    tell(store, confided(), told("ann").asks("Why?").answers("So.").likes(), confided("bea"))
    before = {one: store.load(one) for one in ("c1", "bea-1")}
    erased(store, "annotator", "zeb")
    assert {one: store.load(one) for one in before} == before


def test_all_that_an_annotator_began_goes_and_their_own_stream(store: Store) -> None:
    tell(store, confided(), told_of("zeb").consents(), confided(number=2))
    outcome = erased(store, "annotator", "zeb")
    assert outcome.conversations == ("zeb-1", "zeb-2")
    assert {event.payload.kind for one in ("zeb-1", "zeb-2", "zeb") for event in store.load(one)} == {"erased"}


def test_a_visitors_votes_go_and_the_hosts_conversation_stays(store: Store) -> None:
    story = told("ann").asks("Why?").answers("So.").by("zeb").dislikes().explains("Wrong", comment=SECRET)
    tell(store, story.by("ann").asks("And?").answers("No."))
    outcome = erased(store, "annotator", "zeb")
    assert (outcome.events, outcome.conversations) == (2, ("c1",))
    left = replay("c1", store.load("c1"))
    assert [message.content for message in left.visible()] == ["Why?", "So.", "And?", "No."]
    assert (left.votes, left.reasons) == ([], [])
    assert verify_log(store).problems == ()


def test_what_rests_on_a_visitors_rewrite_goes_with_it(store: Store) -> None:
    story = told("ann").asks("Why?").answers("So.").by("zeb").edits(SECRET)
    story.by("ann").likes().asks("And below?").answers("Below.").likes()
    tell(store, story)
    erased(store, "annotator", "zeb")
    left = replay("c1", store.load("c1"))
    assert [message.content for message in left.messages.values()] == ["Why?", "So."]
    assert left.votes == []
    assert verify_log(store).problems == ()


def test_erasing_twice_changes_nothing_more(store: Store) -> None:
    tell(store, confided())
    first = erased(store, "annotator", "zeb")
    again = erased(store, "annotator", "zeb")
    assert (again.events, again.position) == (0, first.position)
    assert again.conversations == first.conversations


@pytest.mark.parametrize(
    ("subject", "id"), [("annotator", "nobody"), ("conversation", "nothing"), ("annotator", "labeler")]
)
def test_who_is_not_there_is_told_and_nothing_is_written(store: Store, subject: str, id: str) -> None:
    tell(store, confided())
    before = store.position()
    with pytest.raises(LogError, match=f"^{id}: "):
        erased(store, subject, id)
    assert store.position() == before


def test_whoever_has_the_conversation_open_reads_it_again(store: Store) -> None:
    """Of two programs one erases; what the other appends to the text that it remembers does not fit any more."""
    story = confided()
    tell(store, story)
    erased(store, "annotator", "zeb")
    told_so_far = len(story.events)
    with pytest.raises(SeqConflict):
        store.append(story.asks("And on?").events[told_so_far:])


def test_an_erased_conversation_is_on_no_list(store: Store) -> None:
    tell(store, confided(), confided(number=2))
    erased(store, "conversation", "zeb-1")
    assert store.conversations_of("zeb") == ["zeb-2"]


def test_an_older_dump_brings_nothing_back(store: Store, tmp_path: Path) -> None:
    tell(store, confided())
    with (tmp_path / "old.jsonl").open("wb") as out:
        dump(store, out)
    erased(store, "annotator", "zeb")
    assert load(store, tmp_path / "old.jsonl").added == 0
    assert {event.payload.kind for event in store.load("zeb-1")} == {"erased"}


def test_a_dump_of_an_erased_log_is_loaded_as_it_is(store: Store, tmp_path: Path) -> None:
    tell(store, confided(), told_of("zeb").consents())
    erased(store, "annotator", "zeb")
    with (tmp_path / "log.jsonl").open("wb") as out:
        dump(store, out)
    with Store.open(f"sqlite:///{tmp_path / 'other.db'}") as other:
        load(other, tmp_path / "log.jsonl")
        assert list(other.scan()) == list(store.scan())
        assert verify_log(other).problems == ()


def test_a_reader_in_the_way_is_told_and_the_second_try_finishes(store: Store, path: Path) -> None:
    tell(store, confided())
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchall()
        with pytest.raises(StoreError, match=r"log.db-wal: erased, but an older copy is still in here"):
            _impatiently(store)
    assert erased(store, "annotator", "zeb").events == 0
    assert b"Zebedee" not in everything(path)


def _impatiently(store: Store) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labeler.store.erasing.truncate", lambda store: truncate(store, 0.1))
        erased(store, "annotator", "zeb")


def test_erasing_while_others_write_loses_nothing_of_theirs(store: Store) -> None:
    tell(store, confided())
    streams = [told(f"ann{number}", f"c{number}").asks("Why?").answers("So.").likes() for number in range(40)]
    threads = [threading.Thread(target=lambda story=story: store.append(story.events)) for story in streams]
    for thread in threads:
        thread.start()
    erased(store, "annotator", "zeb")
    for thread in threads:
        thread.join()
    assert all(store.load(story.stream_id) for story in streams)
    assert verify_log(store).problems == ()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_two_people_did_one_can_be_erased(store: Store, seed: int) -> None:
    """Random gestures of a host and a visitor in one conversation; the visitor's go."""
    draw = random.Random(seed)
    story = told("ann").asks("Why?").answers("So.")
    for number in range(30):
        story.by(draw.choice(["ann", "zeb"]))
        gesture = draw.choice(["likes", "dislikes", "edits", "retries", "asks", "better"])
        try:
            if gesture == "asks":
                story.asks(f"Question {number}?").answers(f"Answer {number}.")
            elif gesture in ("edits", "retries"):
                getattr(story, gesture)(f"Text {number}.")
            else:
                getattr(story, gesture)()
        except Exception:  # noqa: BLE001 - a gesture that the page would refuse is not made
            continue
    tell(store, story)
    visited = any(event.annotator_id == "zeb" for event in story.events)
    if not visited:
        return
    erased(store, "annotator", "zeb")
    assert verify_log(store).problems == ()
    assert not [
        event
        for event in store.load("c1")
        if event.annotator_id == "zeb" and isinstance(event.payload, VoteCast | AnswerEdited)
    ]


def test_erasing_an_account_erases_what_it_adopted(store: Store, path: Path) -> None:
    tell(store, confided("zeb").adopted_by("account"), told("ann").asks("Why?").answers("So."))
    erased(store, "annotator", "account")
    assert {type(event.payload) for event in store.load("zeb-1")} == {Erased}
    assert b"Zebedee" not in everything(path)
    assert verify_log(store).problems == ()


def test_the_one_who_began_it_can_still_be_erased_by_that_id(store: Store, path: Path) -> None:
    tell(store, confided("zeb").adopted_by("account"))
    erased(store, "annotator", "zeb")
    assert b"Zebedee" not in everything(path)
    assert verify_log(store).problems == ()


def test_the_account_goes_with_what_was_given_under_it(store: Store, path: Path) -> None:
    account = Accounts(store).add("zebedee.quux@mail", "annotator")
    Accounts(store).add("ann", "annotator")
    tell(store, confided(account.annotator_id))
    erased(store, "annotator", account.annotator_id)
    assert b"zebedee.quux" not in everything(path)
    assert [one.name for one in Accounts(store).listed()] == ["ann"]


def test_an_account_that_gave_nothing_can_be_erased(store: Store) -> None:
    account = Accounts(store).add("zeb", "annotator")
    assert erased(store, "annotator", account.annotator_id).events == 0
    assert Accounts(store).listed() == []
