"""A database that is away for a while, a clock that jumps back, SIGTERM under load: nothing acknowledged is lost."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from labeler.chat import Recorder, Writing
from labeler.errors import StoreError
from labeler.ids import new_id, uuid7
from labeler.models import open_models
from labeler.store import Store, utc_now
from labeler.store.verify import verify_log
from tests.chaos.votes import Chaos
from tests.chat.conftest import Chat, study_for
from tests.model_server import ModelServer


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def test_a_message_behind_a_vote_that_could_not_be_stored_is_stored_all_the_same(
    model: ModelServer, tmp_path: Path
) -> None:
    study = study_for(model)
    with (
        Store.open(f"sqlite:///{tmp_path}/log.db", busy_seconds=4.0) as store,
        open_models(study.models, {}) as models,
        closing(Recorder(Writing(study, store, models, clock=utc_now))) as recorder,
        ThreadPoolExecutor(1) as elsewhere,
        closing(sqlite3.connect(tmp_path / "log.db")) as other,
    ):
        chat = Chat(recorder, store)
        answer = chat.ask("say: One")
        claim = chat.claim()
        other.execute("BEGIN IMMEDIATE")
        vote = recorder.vote("ann", chat.nonce(), chat.conversation_id, answer.id, 1)
        time.sleep(0.5)  # the writer waits for that one alone
        sent = elsewhere.submit(recorder.send, "ann", claim, "say: Two")  # decided on top of that vote
        assert isinstance(vote.exception(20), StoreError)
        other.rollback()
        assert sent.result(20) == chat.conversation_id
        assert chat.ended().text == "Two"
        assert "vote_cast" not in chat.kinds()
        assert verify_log(store).ok


def test_a_clock_that_jumps_back_changes_no_order_and_loses_nothing(model: ModelServer, tmp_path: Path) -> None:
    times = iter([*(f"2026-11-29T10:00:{n:02}.000000Z" for n in range(4)), *["2019-01-01T00:00:00.000000Z"] * 100])
    study = study_for(model)
    with (
        Store.open(f"sqlite:///{tmp_path}/log.db") as store,
        open_models(study.models, {}) as models,
        closing(Recorder(Writing(study, store, models, clock=lambda: next(times)))) as recorder,
    ):
        chat = Chat(recorder, store)
        answer = chat.ask("say: One")
        for value in (1, -1, 0, 1):
            chat.vote(answer.id, value)
        chat.ask("say: Two")
        recorder.undo("ann", chat.claim())
        assert chat.texts() == ["say: One", "One"]
        assert chat.view().shown[1].vote == 1
        events = chat.events()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.position for event in events] == sorted(event.position for event in events)
        assert events[-1].at < events[0].at
        assert verify_log(store).ok
        assert [one.id for one in recorder.conversations("ann")[0]] == [chat.conversation_id]
        known = chat.view()
    with Store.open(f"sqlite:///{tmp_path}/log.db") as store, open_models(study.models, {}) as models:
        assert Recorder(Writing(study, store, models, clock=utc_now)).view("ann", chat.conversation_id) == known


def test_ids_made_after_the_clock_jumped_back_are_new_ones() -> None:
    ids = [new_id() for _ in range(1_000)]
    earlier = uuid7(1_000, bytes(10))
    assert len({*ids, earlier}) == 1_001
    assert earlier < min(ids)


@pytest.mark.timeout(120)
def test_sigterm_while_eight_people_vote_ends_well_and_every_acknowledged_vote_is_there(tmp_path: Path) -> None:
    chaos = Chaos(tmp_path, voters=8, seed=20261129)
    stop = threading.Event()
    chaos.server.start()
    voting = [
        threading.Thread(target=voter.vote, args=(chaos.server.address, chaos._cookie(voter), stop), daemon=True)
        for voter in chaos.voters
    ]
    with chaos.server:
        for thread in voting:
            thread.start()
        while chaos._acknowledged() < 200:
            assert voting[0].is_alive()
        assert chaos.server.terminate(60) == 0
        stop.set()
        outcome = chaos.compared()
    for thread in voting:
        thread.join(20)
    assert outcome.ok, outcome
    assert outcome.acknowledged >= 200
    assert "".join(chaos.server.errors) == ""
    assert [line for voter in chaos.voters for line in voter.refused] == []
