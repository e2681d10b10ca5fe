"""Two processes serve one log, here as two recorders with a store each: one owner an answer, and nothing stale."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from labeler.chat import Claim, Comparer, Recorder, Writing
from labeler.chat.replicas import BEAT_SECONDS, LONGEST_LOOK_SECONDS, Replicas, Silence
from labeler.chat.reviewer import Opinion, Reviewer
from labeler.core.events import ReplyFinished, ReplyStarted
from labeler.core.folding import replay
from labeler.core.roles import Visitor
from labeler.errors import ConsentNeeded, GestureRefused, LabelerError, NotFound, StoreError
from labeler.models import open_models
from labeler.store import Store, utc_now
from labeler.store.answering import Replica, answering_in, inherit, leave, replicas_seen
from labeler.store.erasing import erase
from labeler.store.schema import answering, replicas
from labeler.store.verify import verify_log
from labeler.study import Study
from tests.chat.conftest import WAIT, Chat, eventually, study_for
from tests.model_server import ModelServer

NewReplica = Callable[..., Chat]


@pytest.fixture
def store(new_url: Callable[[str], str]) -> Iterator[Store]:
    with Store.open(new_url("log"), clock=utc_now) as store:
        yield store


@pytest.fixture
def new_replica(study: Study, store: Store) -> Iterator[NewReplica]:
    """Another process that serves the same log, and one annotator's tab on it."""
    with ExitStack() as stack:

        def new(another: Study | None = None) -> Chat:
            own = stack.enter_context(Store.open(store.url, clock=utc_now))
            models = stack.enter_context(open_models((another or study).models, {}))
            recorder = Recorder(Writing(another or study, own, models, clock=utc_now))
            stack.callback(recorder.close)
            return Chat(recorder, own)

        yield new


@pytest.fixture
def here(new_replica: NewReplica) -> Chat:
    return new_replica()


@pytest.fixture
def there(new_replica: NewReplica) -> Chat:
    return new_replica()


def replicas_of(chat: Chat) -> Replicas:
    return chat.recorder.writing.replicas


def switched(chat: Chat, to: Chat) -> Chat:
    """The same tab, loaded anew from another replica."""
    to.annotator = chat.annotator
    to.conversation_id = to.recorder.opened(chat.annotator, chat.conversation_id)
    return to


def ends(chat: Chat) -> list[ReplyFinished]:
    return [event.payload for event in chat.events() if isinstance(event.payload, ReplyFinished)]


def take_over(heir: Chat, dead: Chat) -> None:
    """Let the heir find the other one silent, as it would be if it had been stopped or cut off from the database."""
    one = replicas_of(heir)
    one._silence = Silence(patience=0.0)
    one.look_after()
    assert replicas_of(dead).id not in [replica.id for replica in replicas_seen(heir.store)]


def sound(chat: Chat) -> None:
    assert verify_log(chat.store).problems == ()


# ── one owner ──


def test_an_answer_that_runs_elsewhere_is_shown_while_it_is_written_and_to_its_end(
    here: Chat, there: Chat, server: ModelServer
) -> None:
    here.begin("gate: hold 2\nsay: one two three four")
    switched(here, there)
    eventually(lambda: there.last().text == "one two")
    assert there.last().status == "writing"
    assert there.view().running
    server.release("hold")
    assert there.ended().text == "one two three four"
    assert there.last().status == "complete"
    sound(here)


def test_a_turn_is_refused_where_the_answer_does_not_run(here: Chat, there: Chat, server: ModelServer) -> None:
    first = here.ask("say: one")
    here.begin("gate: hold 1\nsay: two more")
    switched(here, there)
    with pytest.raises(GestureRefused, match="still being written"):
        there.begin("say: three")
    with pytest.raises(GestureRefused, match="still being written"):
        there.recorder.undo("ann", there.claim())
    there.vote(first.id, 1)
    with pytest.raises(GestureRefused, match="has not ended"):
        there.vote(there.last().id, 1)
    server.release("hold")
    there.ended()
    assert there.ask("say: three").text == "three"
    sound(here)


def test_of_the_same_message_sent_to_both_one_begins_an_answer(here: Chat, there: Chat) -> None:
    here.ask("say: one")
    switched(here, there)
    for number in range(10):
        claims = [(chat, chat.claim()) for chat in (here, there)]
        text, start = f"say: {number}", threading.Barrier(2)

        def send(asked: tuple[Chat, Claim], text: str = text, start: threading.Barrier = start) -> bool:
            chat, claim = asked
            start.wait(WAIT)
            try:
                chat.recorder.send("ann", claim, text)
            except LabelerError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sum(pool.map(send, claims)) == 1
        here.recorder.opened("ann", here.conversation_id)
        there.recorder.opened("ann", here.conversation_id)
        assert here.ended().text == there.ended().text == str(number)
    begun = [event for event in here.events() if isinstance(event.payload, ReplyStarted)]
    assert len(begun) == len(ends(here)) == 11
    sound(here)


def test_of_many_that_ask_at_once_one_writes(here: Chat, there: Chat) -> None:
    both = [replicas_of(here), replicas_of(there)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: both[number % 2].take(f"c{number // 4}"), range(80)))
    for number in range(20):
        owner = answering_in(here.store, f"c{number}")
        assert owner is not None
        for asked, got in zip(range(number * 4, number * 4 + 4), taken[number * 4 : number * 4 + 4], strict=True):
            assert got == (both[asked % 2].id == owner.replica)


def test_what_has_ended_is_let_go_of_and_a_turn_without_an_answer_too(here: Chat) -> None:
    answer = here.ask("say: one")
    assert answering_in(here.store, here.conversation_id) is None
    here.edit(answer.id, "better said")
    assert answering_in(here.store, here.conversation_id) is None


def test_a_turn_waits_for_a_replica_that_has_ended_its_answer_and_is_about_to_let_go(here: Chat, there: Chat) -> None:
    here.ask("say: one")
    switched(here, there)
    assert replicas_of(here).take(here.conversation_id)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(there.begin, "say: two")
        time.sleep(0.3)
        assert not sent.done()
        replicas_of(here).let_go(here.conversation_id)
        sent.result(WAIT)
    assert there.ended().text == "two"


def test_two_answers_side_by_side_have_one_owner_until_both_have_ended(
    server: ModelServer, new_replica: NewReplica
) -> None:
    spec = {"kind": "openai", "base_url": server.base_url, "model": "scripted", "timeout": 5}
    models = [spec | {"name": name} for name in ("red", "green")]
    study = study_for(server, models=models, modes=["chat", "compare"])
    here, there = new_replica(study), new_replica(study)
    comparer = Comparer(here.recorder.writing)
    conversation = comparer.send("ann", Claim("", 0, "nonce-for-a-pair"), "gate: hold 2\nsay: one two three")
    seen = Comparer(there.recorder.writing)

    def texts() -> list[str]:
        pair = seen.view("ann", conversation).pair
        return [] if pair is None else [pair.left.text, pair.right.text]

    eventually(lambda: texts() == ["one two", "one two"])
    server.release("hold")
    eventually(lambda: not seen.view("ann", conversation).running)
    assert texts() == ["one two three"] * 2
    eventually(lambda: answering_in(here.store, conversation) is None)


# ── Stop, Clear and withdrawal reach every replica ──


def test_stop_reaches_an_answer_that_runs_elsewhere(here: Chat, there: Chat, server: ModelServer) -> None:
    here.begin("gate: hold 2\nsay: one two three four")
    eventually(lambda: here.last().text == "one two")
    switched(here, there).recorder.stop("ann", there.conversation_id)
    assert (there.last().status, there.last().text) == ("stopped", "one two")
    assert not there.view().running
    server.release("hold")
    assert there.ask("say: five").text == "five"
    sound(here)


def test_clear_ends_an_answer_that_runs_elsewhere_and_stays(here: Chat, there: Chat, server: ModelServer) -> None:
    here.begin("gate: hold 1\nsay: one two")
    switched(here, there).recorder.clear("ann", there.claim())
    assert here.recorder.opened("ann", here.conversation_id) == ""
    server.release("hold")
    assert here.kinds()[-2:] == ["reply_finished", "conversation_cleared"]


def test_nobody_stops_what_is_somebody_elses(here: Chat, there: Chat, server: ModelServer) -> None:
    here.begin("gate: hold 1\nsay: one two")
    with pytest.raises(NotFound):
        there.recorder.stop("bob", here.conversation_id)
    with pytest.raises(NotFound):
        there.recorder.undo("bob", Claim(here.conversation_id, here.view().turn_seq, "a-nonce-of-bobs"))
    assert here.view().running
    server.release("hold")
    assert here.ended().status == "complete"


def test_a_replica_that_does_not_stop_is_told_of_in_a_line(
    here: Chat, there: Chat, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeler.chat.writing.STOP_SECONDS", 0.2)
    monkeypatch.setattr(replicas_of(here), "look_after", lambda: None)
    here.begin("gate: hold 1\nsay: one two")
    with pytest.raises(GestureRefused, match="has not stopped it yet"):
        switched(here, there).recorder.stop("ann", there.conversation_id)
    server.release("hold")
    here.ended()


# ── death ──


def test_what_a_silent_replica_was_writing_ends_as_failed_with_the_text_it_last_told(
    here: Chat, there: Chat, server: ModelServer
) -> None:
    here.begin("gate: hold 2\nsay: one two three four")
    switched(here, there)
    eventually(lambda: there.last().text == "one two")
    take_over(there, here)
    lost = there.last()
    assert (lost.status, lost.text) == ("failed", "one two")
    assert lost.error is not None
    assert "Retry" in lost.error
    assert not there.view().running
    assert answering_in(there.store, there.conversation_id) is None
    server.release("hold")
    assert there.retry().text == "one two three four"
    sound(there)


def test_a_replica_that_was_only_slow_finds_its_answer_ended_and_ends_nothing_twice(
    here: Chat, there: Chat, server: ModelServer
) -> None:
    here.begin("gate: hold 1\nsay: one two three four")
    switched(here, there)
    take_over(there, here)
    eventually(lambda: not here.view().running)
    server.release("hold")
    here.recorder.opened("ann", here.conversation_id)
    assert here.last().status == "failed"
    assert [end.status for end in ends(here)] == ["failed"]
    assert here.retry().text == "one two three four"
    sound(there)


def test_of_two_heirs_one_ends_it(here: Chat, new_replica: NewReplica) -> None:
    heirs = [new_replica() for _ in range(4)]
    here.begin("fault: hang")
    for heir in heirs:
        replicas_of(heir)._silence = Silence(patience=0.0)
    with ThreadPoolExecutor(len(heirs)) as pool:
        list(pool.map(lambda heir: replicas_of(heir).look_after(), heirs))
    assert [end.status for end in ends(here)] == ["failed"]
    sound(here)


def test_an_answer_that_nobody_writes_counts_as_failed_and_can_be_retried(
    here: Chat, there: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is in a log that an older labeler left, or that was loaded from a dump."""
    monkeypatch.setattr(replicas_of(here), "look_after", lambda: None)
    here.begin("fault: hang")
    leave(there.store, replicas_of(here).id)
    lost = switched(here, there).last()
    assert lost.status == "failed"
    assert lost.error is not None
    assert "Retry" in lost.error
    assert not there.view().running


def test_a_heir_that_cannot_store_the_end_tries_again(here: Chat, there: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    here.begin("fault: hang")
    broken: Future[object] = Future()
    broken.set_exception(StoreError("the disk is full"))
    with monkeypatch.context() as patched:
        patched.setattr(there.store, "submit", lambda events: broken)
        replicas_of(there)._silence = Silence(patience=0.0)
        with pytest.raises(StoreError):
            replicas_of(there).look_after()
        assert ends(here) == []
    replicas_of(there).look_after()
    assert [end.status for end in ends(here)] == ["failed"]
    assert answering_in(there.store, here.conversation_id) is None


def test_a_replica_that_ends_stores_its_answers_as_stopped_and_leaves_nothing(here: Chat, there: Chat) -> None:
    here.begin("gate: hold 2\nsay: one two three four")
    eventually(lambda: here.last().text == "one two")
    here.recorder.close()
    assert (switched(here, there).last().status, there.last().text) == ("stopped", "one two")
    with there.store.database.reading() as connection:
        rows = [connection.scalar(select(func.count()).select_from(table)) for table in (answering, replicas)]
    assert rows == [0, 0]


def test_an_answer_in_an_erased_conversation_ends_without_a_trace(
    here: Chat, there: Chat, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[object] = []
    monkeypatch.setattr(threading, "excepthook", faults.append)
    here.begin("gate: hold 2\nsay: one two three four")
    eventually(lambda: answering_in(there.store, here.conversation_id) is not None)
    erase(there.store, "conversation", here.conversation_id, at=utc_now())
    assert answering_in(there.store, here.conversation_id) is None
    server.release("hold")
    eventually(lambda: not here.recorder.writing.replies.busy(here.conversation_id))
    assert set(here.kinds()) == {"erased"}
    assert faults == []


def test_an_answer_whose_conversation_changed_hands_is_stored_for_its_new_owner(
    here: Chat, there: Chat, server: ModelServer
) -> None:
    here.begin("gate: hold 2\nsay: one two three four")
    there.recorder.adopt("account", "ann")
    server.release("hold")
    there.annotator, there.conversation_id = "account", here.conversation_id
    assert there.ended().text == "one two three four"
    sound(there)


def test_no_beat_is_said_twice_so_that_whoever_idled_is_not_taken_for_dead_when_it_writes_again(
    here: Chat, there: Chat
) -> None:
    one, heir = replicas_of(here), replicas_of(there)
    said = []
    for number in range(5):
        one.take(f"c{number}")
        [beats] = [replica for replica in replicas_seen(there.store) if replica.id == one.id]
        said.append(beats.beat)
        one.let_go(f"c{number}")
        inherit(there.store, Replica(heir.id, number, ""), beats)
        assert one.id not in [replica.id for replica in replicas_seen(there.store)]
    assert len(set(said)) == len(said)


looks = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 3)), max_size=40)


@given(looks)
def test_a_replica_that_says_something_new_at_every_look_is_never_dead(looks: Sequence[tuple[float, int]]) -> None:
    silence, now = Silence(), 0.0
    for number, (pause, _) in enumerate(looks):
        now += pause
        assert silence.dead([Replica("one", number, "")], now) == []


@given(looks)
def test_silence_is_counted_by_looks_and_a_missed_one_counts_little(looks: Sequence[tuple[float, int]]) -> None:
    silence, now, waited, before = Silence(), 0.0, 0.0, -1
    for place, (pause, beat) in enumerate(looks):
        now += pause
        counted = min(pause, LONGEST_LOOK_SECONDS) if place else 0.0
        waited = waited + counted if beat == before else 0.0
        before = beat
        one = Replica("one", beat, "")
        assert silence.dead([one], now) == ([one] if waited >= silence.patience else [])


def test_a_beat_is_much_shorter_than_the_patience_with_silence() -> None:
    assert BEAT_SECONDS <= LONGEST_LOOK_SECONDS <= Silence().patience / 5


# ── nothing is stale ──


def test_a_vote_on_an_answer_that_only_the_other_replica_knew_is_taken(here: Chat, there: Chat) -> None:
    here.ask("say: one")
    switched(here, there).view()
    answer = here.ask("say: two")
    there.vote(answer.id, 1)
    assert replay(here.conversation_id, here.events()).vote_of("ann", answer.id) == 1


def test_a_vote_that_was_withdrawn_at_the_other_replica_is_cast_again(here: Chat, there: Chat) -> None:
    answer = here.ask("say: one")
    here.vote(answer.id, 1)
    switched(here, there).view()
    here.vote(answer.id, 0)
    there.vote(answer.id, 1)
    assert replay(here.conversation_id, here.events()).vote_of("ann", answer.id) == 1
    assert here.kinds()[-3:] == ["vote_cast", "vote_withdrawn", "vote_cast"]


def test_whichever_replica_takes_them_the_last_vote_stands(here: Chat, there: Chat) -> None:
    answer = here.ask("say: one").id
    chance = random.Random(11)
    switched(here, there).view()
    for _ in range(60):
        value = chance.choice([1, 0, -1])
        chance.choice([here, there]).vote(answer, value)
        assert replay(here.conversation_id, here.events()).vote_of("ann", answer) == value
    sound(here)


def test_a_turn_is_not_refused_for_a_vote_that_the_other_replica_took_meanwhile(here: Chat, there: Chat) -> None:
    answer = here.ask("say: one")
    claim = switched(here, there).claim()
    here.vote(answer.id, 1)
    there.recorder.send("ann", claim, "say: two")
    assert there.ended().text == "two"


def test_a_turn_after_turns_at_the_other_replica_builds_on_them(here: Chat, there: Chat, server: ModelServer) -> None:
    here.ask("say: one")
    switched(here, there).ask("say: two")
    claim = replace(there.claim(), nonce=here.nonce())
    here.recorder.send("ann", claim, "say: three")
    here.ended()
    assert [message["content"] for message in server.requests[-1].body["messages"]][1::2] == ["one", "two"]


def test_what_was_cleared_at_the_other_replica_is_not_listed(here: Chat, there: Chat) -> None:
    here.ask("say: one")
    switched(here, there).view()
    listed, _ = there.recorder.conversations("ann")
    assert [one.id for one in listed] == [here.conversation_id]
    here.recorder.clear("ann", here.claim())
    assert there.recorder.conversations("ann") == ([], False)


def test_what_changed_hands_at_the_other_replica_belongs_to_its_new_owner(here: Chat, there: Chat) -> None:
    here.ask("say: one")
    there.recorder.view("ann", here.conversation_id)
    here.recorder.adopt("account", "ann")
    assert there.recorder.view("account", here.conversation_id).shown


# ── reviews ──


def test_reviewers_at_two_replicas_never_exceed_what_is_wanted(new_replica: NewReplica, server: ModelServer) -> None:
    items, overlap, people = 6, 2, 8
    study = study_for(server, modes=["chat", "review"], review={"overlap": overlap})
    both = [new_replica(study), new_replica(study)]
    for number in range(items):
        both[0].annotator, both[0].conversation_id = f"owner-{number}", ""
        both[0].ask("say: one")
        both[0].vote(both[0].retry().id, 1)
    reviewers = [Reviewer(one.recorder.writing, utc_now) for one in both]
    start = threading.Barrier(people)

    def work(number: int) -> None:
        me = Visitor(f"r{number}", "reviewer", f"r{number}")
        start.wait(WAIT)
        for turn in range(2 * items):
            reviewer = reviewers[(number + turn) % 2]
            task = reviewer.task(me)
            if task is not None:
                reviewers[(number + turn + turn // 2) % 2].say(me, task.lease, Opinion(good=True))

    with ThreadPoolExecutor(people) as pool:
        list(pool.map(work, range(people)))
    reviews = Counter(
        event.conversation_id
        for event in both[0].store.scan()
        if event.payload.kind == "vote_cast" and event.annotator_id.startswith("r")
    )
    assert set(reviews.values()) == {overlap}
    assert len(reviews) == items
    sound(both[0])


# ── consent ──


@pytest.fixture
def asking(server: ModelServer) -> Study:
    return study_for(server, consent={"version": "1", "text": "We keep what you write."})


def test_consent_that_another_replica_stored_counts_at_once(asking: Study, new_replica: NewReplica) -> None:
    here, there = new_replica(asking), new_replica(asking)
    assert there.recorder.consent_needed("ann")
    here.recorder.give_consent("ann", here.nonce(), "1")
    assert there.recorder.consent_needed("ann") is None
    assert there.ask("say: hello").text == "hello"


def test_consent_that_was_withdrawn_at_another_replica_is_heard_in_time(
    asking: Study, new_replica: NewReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = new_replica(asking), new_replica(asking)
    here.recorder.give_consent("ann", here.nonce(), "1")
    answer = there.ask("say: hello")
    here.recorder.withdraw_consent("ann", here.nonce())
    later = time.monotonic() + 2.0
    monkeypatch.setattr(there.recorder.writing.consents, "_monotonic", lambda: later)
    with pytest.raises(ConsentNeeded):
        there.vote(answer.id, 1)


def test_a_withdrawal_of_consent_stops_answers_at_every_replica(
    asking: Study, new_replica: NewReplica, server: ModelServer
) -> None:
    here, there = new_replica(asking), new_replica(asking)
    here.recorder.give_consent("ann", here.nonce(), "1")
    here.recorder.give_consent("bob", "a-nonce-of-bobs", "1")
    here.begin("gate: hold 1\nsay: one two")
    bobs = Chat(here.recorder, here.store, annotator="bob")
    bobs.begin("gate: bobs 1\nsay: one two")
    there.recorder.withdraw_consent("ann", there.nonce())
    assert [end.status for end in ends(here)] == ["stopped"]
    assert ends(bobs) == []
    for gate in ("hold", "bobs"):
        server.release(gate)
    assert bobs.ended().status == "complete"


def test_the_attendant_ends_when_there_is_nothing_to_attend_to(here: Chat) -> None:
    here.ask("say: one")
    eventually(lambda: replicas_of(here)._thread is None)
    here.ask("say: two")
    with suppress(StoreError):
        here.recorder.close()
    assert not [each for each in threading.enumerate() if each is replicas_of(here)._thread and each.is_alive()]
