"""What an annotator can do, told at the level of the use-cases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from labeler.chat import MAX_COMMENT, Claim, Receipt, Recorder, Writing
from labeler.core.events import AnswerEdited, MessageSent, NewEvent, ReplyFinished, ReplyStarted
from labeler.core.events import Event as StoredEvent
from labeler.core.folding import replay
from labeler.errors import ConsentNeeded, EventConflict, GestureRefused, NotFound, SeqConflict, StoreError
from labeler.models import open_models
from labeler.store import Store, utc_now
from labeler.store.erasing import erase
from labeler.store.verify import verify_log
from labeler.study import Study
from tests.chat.conftest import WAIT, Chat, eventually, study_for
from tests.model_server import Answer, ModelServer

# ── asking ──


def test_a_first_message_begins_a_conversation_in_one_transaction(chat: Chat) -> None:
    answer = chat.ask("say: Hello there")
    assert answer.text == "Hello there"
    assert answer.status == "complete"
    assert chat.kinds() == ["conversation_started", "message_sent", "reply_started", "reply_finished"]
    first_three = chat.events()[:3]
    assert [event.position for event in first_three] == list(
        range(first_three[0].position, first_three[0].position + 3)
    )


def test_nothing_is_stored_for_an_empty_message(chat: Chat, store: Store) -> None:
    before = store.position()
    assert chat.recorder.send("ann", Claim("", 0, chat.nonce()), "  \n ") == ""
    assert store.position() == before


def test_a_reply_keeps_what_made_it(chat: Chat, server: ModelServer) -> None:
    chat.ask("Hello")
    started = next(event.payload for event in chat.events() if isinstance(event.payload, ReplyStarted))
    finished = next(event.payload for event in chat.events() if isinstance(event.payload, ReplyFinished))
    assert started.model_id == "scripted"
    assert started.sampling["seed"] == server.requests[-1].seed
    assert started.sampling["max_tokens"] == server.requests[-1].body["max_tokens"]
    assert finished.latency_ms is not None
    assert finished.first_token_ms is not None
    assert finished.finish_reason == "stop"
    assert finished.completion_tokens


def test_the_model_reads_the_visible_path_only(chat: Chat, server: ModelServer) -> None:
    chat.ask("say: one")
    chat.retry()
    chat.ask("say: two")
    contents = [message["content"] for message in server.requests[-1].body["messages"]]
    assert contents == ["say: one", "one", "say: two"]


def test_the_system_prompt_leads(server: ModelServer, store: Store) -> None:
    study = study_for(server, system_prompt="Be brief.")
    with open_models(study.models, {}) as models:
        Chat(Recorder(Writing(study, store, models, clock=utc_now)), store).ask("say: ok")
    assert server.requests[-1].body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_conversation_keeps_the_system_prompt_under_which_it_began(server: ModelServer, store: Store) -> None:
    conversation_id = ""
    for prompt in ("Be brief.", "Be long."):
        study = study_for(server, system_prompt=prompt)
        with open_models(study.models, {}) as models:
            chat = Chat(Recorder(Writing(study, store, models, clock=utc_now)), store, conversation_id=conversation_id)
            chat.ask("say: ok")
            conversation_id = chat.conversation_id
    assert server.requests[-1].body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert verify_log(store).problems == ()


def test_text_is_kept_exactly_as_typed_and_generated(chat: Chat) -> None:
    typed = "  say: x = {\\n\\t'a': 1,\\n}  \n\n"
    answer = chat.ask(typed)
    assert chat.view().shown[0].text == typed
    assert "\n\t'a': 1,\n" in answer.text


@pytest.mark.parametrize("text", ["x" * 20_001, "half \ud800 of it"])
def test_what_cannot_be_kept_is_refused_with_a_line(chat: Chat, store: Store, text: str) -> None:
    before = store.position()
    with pytest.raises(GestureRefused):
        chat.recorder.send("ann", Claim("", 0, chat.nonce()), text)
    assert store.position() == before


# ── votes and reasons ──


def test_a_vote_is_durable_when_it_is_acknowledged(chat: Chat, tmp_path: Path) -> None:
    answer = chat.ask("Hello")
    chat.vote(answer.id, 1)
    with Store.open(f"sqlite:///{tmp_path}/log.db", clock=utc_now) as second_reader:
        events = second_reader.load(chat.conversation_id)
    assert replay(chat.conversation_id, events).vote_of("ann", answer.id) == 1


def test_votes_flip_and_withdraw_and_all_of_it_is_kept(chat: Chat) -> None:
    answer = chat.ask("Hello")
    for value in (1, 0, -1, 1):
        chat.vote(answer.id, value)
        assert chat.last().vote == value
    assert chat.kinds()[4:] == ["vote_cast", "vote_withdrawn", "vote_cast", "vote_cast"]


def test_the_same_vote_again_stores_nothing(chat: Chat) -> None:
    answer = chat.ask("Hello")
    chat.vote(answer.id, 1)
    chat.vote(answer.id, 1)
    assert chat.kinds().count("vote_cast") == 1


def test_a_vote_delivered_twice_is_stored_once(chat: Chat) -> None:
    answer = chat.ask("Hello")
    nonce = chat.nonce()
    first = chat.recorder.vote("ann", nonce, chat.conversation_id, answer.id, 1).result(WAIT)
    chat.vote(answer.id, -1)
    again = chat.recorder.vote("ann", nonce, chat.conversation_id, answer.id, 1).result(WAIT)
    assert again.event_ids == first.event_ids
    assert again.position == first.position
    assert chat.last().vote == -1, "an old delivery must not undo a newer vote"


def test_a_nonce_used_for_something_else_is_refused(chat: Chat) -> None:
    answer = chat.ask("Hello")
    nonce = chat.nonce()
    chat.recorder.vote("ann", nonce, chat.conversation_id, answer.id, 1).result(WAIT)
    with pytest.raises(EventConflict):
        chat.recorder.vote("ann", nonce, chat.conversation_id, answer.id, -1).result(WAIT)
    assert chat.last().vote == 1


@pytest.mark.parametrize(
    "nonce", ["", "short", "x" * 65, "end:0193-looks-like-the-servers", "nönce-nönce", "a b c d e f"]
)
def test_a_nonce_that_is_none_is_refused(chat: Chat, nonce: str) -> None:
    answer = chat.ask("Hello")
    with pytest.raises(GestureRefused):
        chat.recorder.vote("ann", nonce, chat.conversation_id, answer.id, 1)


def test_votes_in_many_threads_all_arrive_and_the_fold_agrees_with_the_log(chat: Chat) -> None:
    answers = [chat.ask(f"words: 3\nquestion {number}") for number in range(4)]

    def vote(step: int) -> Receipt:
        answer = answers[step % 4]
        value = (1, -1, 0)[step % 3]
        return chat.recorder.vote("ann", f"thread-nonce-{step}", chat.conversation_id, answer.id, value).result(WAIT)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(vote, range(300)))
    shown = {message.id: message.vote for message in chat.view().shown}
    folded = replay(chat.conversation_id, chat.events())
    assert {answer.id: folded.vote_of("ann", answer.id) for answer in answers} == {
        answer.id: shown[answer.id] for answer in answers
    }


def test_a_vote_behind_another_process_is_decided_again_not_lost(chat: Chat, study: Study, tmp_path: Path) -> None:
    answer = chat.ask("Hello")
    with (
        Store.open(f"sqlite:///{tmp_path}/log.db", clock=utc_now) as elsewhere,
        open_models(study.models, {}) as models,
    ):
        second = Chat(Recorder(Writing(study, elsewhere, models, clock=utc_now)), elsewhere)
        second.conversation_id = chat.conversation_id
        second.view()
        chat.vote(answer.id, 1)
        second.vote(answer.id, -1)
    assert [event.seq for event in chat.events()] == list(range(1, len(chat.events()) + 1))
    assert replay(chat.conversation_id, chat.events()).vote_of("ann", answer.id) == -1


def test_a_vote_while_the_answer_is_written_is_refused_with_a_line(chat: Chat, server: ModelServer) -> None:
    answer = chat.begin("gate: hold 2\nwords: 4")
    with pytest.raises(GestureRefused, match="has not ended"):
        chat.vote(answer.id, 1)
    server.release("hold")
    chat.vote(chat.ended().id, 1)


def test_an_older_answer_takes_votes_while_another_is_written(chat: Chat, server: ModelServer) -> None:
    first = chat.ask("words: 3")
    chat.begin("gate: hold 1\nwords: 3")
    chat.vote(first.id, -1)
    assert chat.view().running
    server.release("hold")
    chat.ended()
    assert chat.view().shown[1].vote == -1


def test_a_reason_needs_a_vote_and_the_last_one_stands(chat: Chat) -> None:
    answer = chat.ask("Hello")
    with pytest.raises(GestureRefused, match="Vote first"):
        chat.recorder.reason("ann", chat.nonce(), chat.conversation_id, answer.id, ["Correct"], "").result(WAIT)
    chat.vote(answer.id, 1)
    for reasons, comment in ((["Correct"], ""), (["Too long", "Correct"], " but rambling ")):
        chat.recorder.reason("ann", chat.nonce(), chat.conversation_id, answer.id, reasons, comment).result(WAIT)
    assert chat.last().reasons == ("Correct", "Too long")
    assert chat.last().comment == "but rambling"


def test_a_reason_that_is_not_the_studys_is_refused(chat: Chat) -> None:
    answer = chat.ask("Hello")
    chat.vote(answer.id, 1)
    with pytest.raises(GestureRefused, match="not one of this study's"):
        chat.recorder.reason("ann", chat.nonce(), chat.conversation_id, answer.id, ["<script>"], "")
    with pytest.raises(GestureRefused, match="too long"):
        chat.recorder.reason("ann", chat.nonce(), chat.conversation_id, answer.id, [], "x" * (MAX_COMMENT + 1))


# ── retry, edit, undo, clear ──


def test_retry_keeps_the_old_answer_and_draws_a_fresh_seed(chat: Chat, server: ModelServer) -> None:
    old = chat.ask("Tell me something")
    new = chat.retry()
    assert new.text != old.text
    assert (new.place, new.of, new.previous_id) == (2, 2, old.id)
    assert server.requests[-1].seed != server.requests[-2].seed
    assert server.requests[-1].body["messages"] == server.requests[-2].body["messages"]


def test_a_retry_with_a_different_answer_asks_which_was_better(chat: Chat) -> None:
    chat.ask("Tell me something")
    new = chat.retry()
    assert new.question
    for winner in ("b", "tie", "a", None):
        chat.recorder.compare("ann", chat.nonce(), chat.conversation_id, new.id, winner).result(WAIT)
        assert chat.last().compared == winner
    assert chat.kinds()[-4:] == ["compared", "compared", "compared", "comparison_withdrawn"]


@pytest.mark.parametrize("second", ["say: same", "fault: die-after 2"])
def test_a_retry_that_is_equal_or_failed_asks_nothing(chat: Chat, server: ModelServer, second: str) -> None:
    server.plan(Answer.parse("say: same"), Answer.parse(second))
    chat.ask("Hello")
    new = chat.retry()
    assert not new.question
    with pytest.raises(GestureRefused, match="nothing to compare"):
        chat.recorder.compare("ann", chat.nonce(), chat.conversation_id, new.id, "b").result(WAIT)


def test_an_edited_answer_is_a_sibling_and_later_turns_leave_the_visible_path(chat: Chat) -> None:
    first = chat.ask("say: one")
    chat.ask("say: two")
    edited = chat.edit(first.id, "uno")
    assert chat.texts() == ["say: one", "uno"]
    assert (edited.origin, edited.previous_id) == ("human_edit", first.id)
    chat.recorder.select("ann", chat.claim(), first.id)
    assert chat.texts() == ["say: one", "one", "say: two", "two"], "going back restores the later turns"


def test_editing_ones_own_message_opens_a_branch_that_is_answered_again(chat: Chat) -> None:
    chat.ask("say: one")
    mine = chat.view().shown[0]
    answer = chat.edit(mine.id, "say: other")
    assert answer.text == "other"
    assert chat.view().shown[0].of == 2
    assert chat.kinds()[-3:] == ["message_sent", "reply_started", "reply_finished"]


def test_an_edit_that_changes_nothing_stores_nothing(chat: Chat) -> None:
    answer = chat.ask("say: one")
    before = chat.kinds()
    chat.edit(answer.id, "one")
    assert chat.kinds() == before


def test_undo_gives_the_text_back_and_loses_nothing(chat: Chat) -> None:
    chat.ask("say: one")
    chat.ask("say: two")
    assert chat.recorder.undo("ann", chat.claim()) == "say: two"
    assert chat.texts() == ["say: one", "one"]
    assert "two" in [message.content for message in replay(chat.conversation_id, chat.events()).messages.values()]
    assert chat.recorder.undo("ann", chat.claim()) == "say: one"
    assert chat.recorder.undo("ann", chat.claim()) == ""
    assert chat.kinds().count("turn_undone") == 2


def test_clear_closes_the_conversation_and_the_next_message_begins_another(chat: Chat) -> None:
    chat.ask("say: one")
    first = chat.conversation_id
    chat.recorder.clear("ann", chat.claim())
    assert chat.view().shown == ()
    assert chat.recorder.latest("ann") == ""
    assert chat.recorder.conversations("ann") == ([], False)
    chat.conversation_id = ""
    chat.ask("say: two")
    assert chat.conversation_id != first


def test_clear_during_an_answer_stops_it_and_stays_cleared(chat: Chat, server: ModelServer) -> None:
    chat.begin("gate: hold 2\nwords: 6")
    eventually(lambda: chat.last().text != "")
    chat.recorder.clear("ann", chat.claim())
    server.release("hold")
    assert chat.kinds()[-2:] == ["reply_finished", "conversation_cleared"]
    eventually(lambda: server.requests[-1].outcome != "running")
    assert chat.view().shown == ()


# ── two tabs, other people ──


def test_of_two_tabs_one_wins_and_the_other_is_told(chat: Chat) -> None:
    chat.ask("say: one")
    stale = chat.claim()
    chat.ask("say: two")
    before = chat.kinds()
    with pytest.raises(SeqConflict, match="another tab"):
        chat.recorder.undo("ann", stale)
    assert chat.kinds() == before


def test_a_vote_never_makes_a_turn_stale(chat: Chat) -> None:
    answer = chat.ask("say: one")
    claim = chat.claim()
    chat.vote(answer.id, 1)
    chat.recorder.send("ann", claim, "say: two")
    assert chat.ended().text == "two"


def test_a_turn_delivered_twice_happens_once(chat: Chat) -> None:
    claim = Claim("", 0, chat.nonce())
    first = chat.recorder.send("ann", claim, "say: one")
    assert chat.recorder.send("ann", claim, "say: one") == first
    chat.conversation_id = first
    chat.ended()
    assert chat.kinds().count("message_sent") == 1


def test_while_an_answer_is_written_another_turn_is_refused(chat: Chat, server: ModelServer) -> None:
    chat.begin("gate: hold 1\nwords: 3")
    with pytest.raises(GestureRefused, match="Press Stop"):
        chat.recorder.send("ann", chat.claim(), "more")
    server.release("hold")
    chat.ended()
    assert chat.kinds().count("message_sent") == 1


def test_other_peoples_conversations_count_as_absent(chat: Chat, other: Chat) -> None:
    answer = chat.ask("say: secret")
    other.conversation_id = chat.conversation_id
    claim = Claim(chat.conversation_id, chat.view().turn_seq, "mallory-nonce")
    forged: list[object] = [
        lambda: other.view(),
        lambda: other.recorder.send("bob", claim, "mine now"),
        lambda: other.recorder.retry("bob", claim),
        lambda: other.recorder.edit("bob", claim, answer.id, "defaced"),
        lambda: other.recorder.undo("bob", claim),
        lambda: other.recorder.clear("bob", claim),
        lambda: other.recorder.select("bob", claim, answer.id),
        lambda: other.recorder.stop("bob", chat.conversation_id),
        lambda: other.vote(answer.id, -1),
        lambda: other.recorder.reason("bob", other.nonce(), chat.conversation_id, answer.id, [], "x"),
        lambda: other.recorder.compare("bob", other.nonce(), chat.conversation_id, answer.id, "b"),
    ]
    before = chat.kinds()
    for call in forged:
        with pytest.raises(NotFound):
            call()  # type: ignore[operator]
    assert chat.kinds() == before
    assert other.recorder.conversations("bob") == ([], False)


@pytest.mark.parametrize("conversation_id", ["nobody", "ann", "0" * 36])
def test_an_id_that_is_no_conversation_is_refused(chat: Chat, conversation_id: str) -> None:
    with pytest.raises(NotFound):
        chat.recorder.view("ann", conversation_id)


# ── lists ──


def test_conversations_are_listed_by_their_opener_latest_first(chat: Chat) -> None:
    chat.ask("say: a\nFirst   question " + "and so on " * 20)
    chat.conversation_id = ""
    chat.ask("say: b")
    titles = [listed.title for listed in chat.recorder.conversations("ann")[0]]
    assert titles[0] == "say: b"
    assert titles[1].startswith("say: a First question and so on")
    assert len(titles[1]) <= 60
    assert chat.recorder.latest("ann") == chat.conversation_id


def test_conversations_are_listed_as_many_as_wanted_however_many_were_cleared(chat: Chat) -> None:
    for number in range(5):
        chat.conversation_id = ""
        chat.ask(f"say: {number}")
        if number in (2, 4):
            chat.recorder.clear("ann", chat.claim())
    wanted = ["say: 3", "say: 1", "say: 0"]
    for most in range(5):
        listed, more = chat.recorder.conversations("ann", most)
        assert ([each.title for each in listed], more) == (wanted[:most], most < len(wanted))


def test_progress_counts_what_was_done(chat: Chat) -> None:
    answer = chat.ask("say: a")
    chat.vote(answer.id, 1)
    chat.edit(answer.id, "b")
    progress = chat.recorder.progress("ann")
    assert (progress.conversations, progress.answers, progress.votes, progress.edits) == (1, 1, 1, 1)


# ── consent ──


@pytest.fixture
def consenting(server: ModelServer, store: Store, tmp_path: Path) -> Chat:
    study = study_for(server, consent={"version": "1", "text": "We keep what you write."})
    with open_models(study.models, {}) as models:
        return Chat(Recorder(Writing(study, store, models, clock=utc_now)), store)


def sent(chat: Chat, text: str) -> int:
    """How often a message is in the log."""
    return sum(isinstance(one.payload, MessageSent) and one.payload.content == text for one in chat.events())


def test_a_message_that_comes_again_while_it_is_being_stored_is_not_refused(
    chat: Chat, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.ask("say: One")
    claim, submit, released, waiting = chat.claim(), store.submit, Event(), Event()

    def slowly(new: list[NewEvent]) -> Future[list[StoredEvent]]:
        waiting.set()
        return elsewhere.submit(lambda: submit(new).result() if released.wait(WAIT) else [])

    with ThreadPoolExecutor(2) as elsewhere:
        monkeypatch.setattr(store, "submit", slowly)
        first = elsewhere.submit(chat.recorder.send, "ann", claim, "say: Two")
        assert waiting.wait(WAIT)
        with pytest.raises(StoreError, match="on its way") as again:
            chat.recorder.send("ann", claim, "say: Two")
        assert not isinstance(again.value, SeqConflict)  # else it would count as refused
        with pytest.raises(GestureRefused, match="still being written"):
            chat.recorder.send("ann", Claim(claim.conversation_id, claim.turn_seq, chat.nonce()), "say: Another")
        released.set()
        assert first.result(WAIT) == chat.conversation_id
        monkeypatch.undo()
    assert chat.recorder.send("ann", claim, "say: Two") == chat.conversation_id
    assert chat.ended().text == "Two"
    assert sent(chat, "say: Two") == 1


def test_what_was_read_while_a_commit_was_under_way_is_read_anew_after_it(
    chat: Chat, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vote fails, its fold is dropped, and a page reads another one before the message behind it is stored."""
    answer = chat.ask("say: One")
    claim, submit, released = chat.claim(), store.submit, Event()
    sent: list[str] = []

    def in_trouble(new: list[NewEvent]) -> Future[list[StoredEvent]]:
        sent.append(new[0].payload.kind)
        if new[0].payload.kind == "vote_cast":
            return elsewhere.submit(fail)
        behind = [replace(one, seq=one.seq - 1) for one in new] if "vote_cast" in sent else new
        return elsewhere.submit(lambda: _as_sent(submit(behind).result(), new) if released.wait(WAIT) else [])

    def fail() -> list[StoredEvent]:
        assert voted.wait(WAIT)
        raise StoreError("the database is away")

    voted = Event()
    with ThreadPoolExecutor(3) as elsewhere:
        monkeypatch.setattr(store, "submit", in_trouble)
        vote = chat.recorder.vote("ann", chat.nonce(), chat.conversation_id, answer.id, 1)
        message = elsewhere.submit(chat.recorder.send, "ann", claim, "say: Two")
        eventually(lambda: "message_sent" in sent)
        voted.set()
        assert isinstance(vote.exception(WAIT), StoreError)
        assert len(chat.view().shown) == 2  # read from a log that has no more yet
        monkeypatch.setattr(store, "submit", submit)
        released.set()
        assert message.result(WAIT) == chat.conversation_id
    assert chat.ended().text == "Two"
    assert chat.recorder.vote("ann", chat.nonce(), chat.conversation_id, answer.id, 1).result(WAIT).event_ids


def _as_sent(stored: list[StoredEvent], new: list[NewEvent]) -> list[StoredEvent]:
    """As a store answers in which nothing had failed before."""
    return [replace(one, seq=sent.seq) for one, sent in zip(stored, new, strict=True)]


def test_a_message_that_was_stored_since_it_was_looked_for_is_not_in_its_own_way(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.ask("say: One")
    claim, writing = chat.claim(), chat.recorder.writing
    chat.recorder.send("ann", claim, "say: Two")
    chat.ended()
    found = iter(["", writing.repeated("ann", claim)])
    monkeypatch.setattr(writing, "repeated", lambda annotator_id, claim: next(found))
    assert chat.recorder.send("ann", claim, "say: Two") == chat.conversation_id
    assert sent(chat, "say: Two") == 1


def test_what_is_in_use_is_at_hand_unless_somebody_holds_it(chat: Chat) -> None:
    chat.ask("say: Hello")
    recorder, here = chat.recorder, chat.conversation_id
    assert recorder.at_hand("ann", here)
    assert not recorder.at_hand("ann", "never heard of")
    with ThreadPoolExecutor(1) as elsewhere, recorder.writing.desk.owned("ann", here):
        assert not elsewhere.submit(recorder.at_hand, "ann", here).result(WAIT)
    assert not Recorder(Writing(recorder.writing.study, chat.store, {}, clock=utc_now)).at_hand("ann", here)


def test_a_gesture_is_at_hand_as_long_as_consent_is_remembered(consenting: Chat) -> None:
    consenting.recorder.give_consent("ann", consenting.nonce(), "1")
    consenting.ask("say: Hello")
    assert consenting.recorder.at_hand("ann", consenting.conversation_id)
    consenting.recorder.withdraw_consent("ann", consenting.nonce())
    assert not consenting.recorder.at_hand("ann", consenting.conversation_id)


def test_nothing_is_collected_before_consent(consenting: Chat, store: Store) -> None:
    before = store.position()
    with pytest.raises(ConsentNeeded):
        consenting.begin("say: hello")
    assert store.position() == before


def test_consent_is_an_event_and_opens_the_chat(consenting: Chat, store: Store) -> None:
    consenting.recorder.give_consent("ann", consenting.nonce(), "1")
    assert consenting.recorder.consent_needed("ann") is None
    assert consenting.ask("say: hello").text == "hello"
    assert [event.payload.kind for event in store.load("ann")] == ["consent_given"]


def test_accepting_another_text_than_the_one_in_force_is_refused(consenting: Chat) -> None:
    with pytest.raises(GestureRefused, match="has changed"):
        consenting.recorder.give_consent("ann", consenting.nonce(), "0")


def test_withdrawn_consent_closes_the_chat_to_votes_too(consenting: Chat) -> None:
    consenting.recorder.give_consent("ann", consenting.nonce(), "1")
    answer = consenting.ask("say: hello")
    consenting.recorder.withdraw_consent("ann", consenting.nonce())
    with pytest.raises(ConsentNeeded):
        consenting.vote(answer.id, 1)


def test_a_consent_that_is_read_while_it_is_withdrawn_does_not_come_back(
    consenting: Chat, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    consenting.recorder.give_consent("ann", consenting.nonce(), "1")
    load, read, withdrawn = store.load, Event(), Event()

    def slowly(stream_id: str) -> list[StoredEvent]:
        events = load(stream_id)
        if not read.is_set():
            read.set()
            withdrawn.wait(0.5)  # longer only where the withdrawal has to wait for this
        return events

    monkeypatch.setattr(store, "load", slowly)
    with ThreadPoolExecutor() as pool:
        pool.submit(consenting.recorder.consent_needed, "ann")
        assert read.wait(WAIT)
        consenting.recorder.withdraw_consent("ann", consenting.nonce())
        withdrawn.set()
    assert consenting.recorder.consent_needed("ann") is not None


def test_a_new_version_asks_again(consenting: Chat, server: ModelServer, store: Store) -> None:
    consenting.recorder.give_consent("ann", consenting.nonce(), "1")
    study = study_for(server, consent={"version": "2", "text": "We keep more."})
    with open_models(study.models, {}) as models:
        second = Recorder(Writing(study, store, models, clock=utc_now))
        needed = second.consent_needed("ann")
        assert needed is not None
        assert needed.version == "2"
        second.give_consent("ann", "nonce-for-two", "2")
        assert second.consent_needed("ann") is None


# ── trouble ──


def test_after_a_store_failure_the_fold_is_what_the_log_says(
    chat: Chat, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = chat.ask("say: one")
    broken: Future[object] = Future()
    broken.set_exception(StoreError("the disk is full"))
    with monkeypatch.context() as patched:
        patched.setattr(store, "submit", lambda events: broken)
        with pytest.raises(StoreError, match="disk is full"):
            chat.vote(answer.id, 1)
    assert chat.last().vote == 0
    chat.vote(answer.id, 1)
    assert chat.last().vote == 1


def test_a_vote_that_nobody_waits_for_any_more_is_stored_without_a_word(
    chat: Chat, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    answer = chat.ask("say: one")
    with store.database.writing():  # so that the page gives up first
        receipt = chat.recorder.vote("ann", chat.nonce(), chat.conversation_id, answer.id, 1)
        receipt.cancel()
    eventually(lambda: chat.kinds()[-1] == "vote_cast")
    chat.vote(answer.id, 0)
    assert caplog.records == []


def test_an_answer_that_cannot_be_stored_is_kept_and_stored_later(
    chat: Chat, store: Store, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.begin("gate: hold 1\nsay: precious words")
    broken: Future[object] = Future()
    broken.set_exception(StoreError("the disk is full"))
    with monkeypatch.context() as patched:
        patched.setattr(store, "submit", lambda events: broken)
        server.release("hold")
        eventually(lambda: chat.last().error == "the disk is full")
        assert chat.last().text == "precious words"
        assert chat.view().running
    assert chat.ended().status == "complete"
    assert chat.last().text == "precious words"


# ── erased by another process ──


@pytest.fixture
def eraser(store: Store) -> Iterator[Store]:
    """The same log, opened by another process as it were."""
    with Store.open(store.url, clock=utc_now) as eraser:
        yield eraser


def test_an_erased_conversation_is_not_shown_from_memory(chat: Chat, eraser: Store) -> None:
    chat.ask("My name is Zebedee.")
    erase(eraser, "conversation", chat.conversation_id, at=utc_now())
    with pytest.raises(NotFound, match="not here"):
        chat.recorder.opened("ann", chat.conversation_id)
    assert chat.recorder.latest("ann") == ""
    assert chat.recorder.conversations("ann") == ([], False)


def test_what_an_annotator_gave_elsewhere_is_gone_from_a_conversation_opened_again(chat: Chat, eraser: Store) -> None:
    answer = chat.ask("say: By the model")
    sent = next(event.payload for event in chat.events() if isinstance(event.payload, MessageSent))
    edited = AnswerEdited(message_id="e1", parent_id=sent.message_id, edits=answer.id, content="By bob")
    seq = chat.events()[-1].seq + 1
    by_bob = NewEvent(
        event_id="bob-1",
        conversation_id=chat.conversation_id,
        seq=seq,
        at=utc_now(),
        annotator_id="bob",
        payload=edited,
    )
    eraser.append([by_bob])
    chat.recorder.opened("ann", chat.conversation_id)
    assert "By bob" in chat.texts()
    erase(eraser, "annotator", "bob", at=utc_now())
    chat.recorder.opened("ann", chat.conversation_id)
    assert chat.last().text == "By the model"


def test_an_annotator_whose_conversations_were_erased_begins_anew(chat: Chat, eraser: Store) -> None:
    chat.ask("My name is Zebedee.")
    erase(eraser, "annotator", "ann", at=utc_now())
    assert chat.recorder.latest("ann") == ""
    assert chat.recorder.conversations("ann") == ([], False)
    chat.conversation_id = ""
    assert chat.ask("say: Hello again").text == "Hello again"
    assert chat.recorder.latest("ann") == chat.conversation_id


# ── what was begun before signing in ──


def test_an_account_takes_over_what_its_browser_began(chat: Chat, recorder: Recorder, store: Store) -> None:
    answer = chat.ask("say: Hello")
    chat.vote(answer.id, 1)
    assert recorder.adoptable("account", "ann") == 1
    assert recorder.adopt("account", "ann") == 1
    view = recorder.view("account", chat.conversation_id)
    assert [shown.vote for shown in view.shown] == [0, 1]
    assert [one.id for one in recorder.conversations("account")[0]] == [chat.conversation_id]
    assert recorder.conversations("ann") == ([], False)
    with pytest.raises(NotFound):
        recorder.view("ann", chat.conversation_id)
    assert verify_log(store).problems == ()


def test_what_is_adopted_goes_on_as_the_accounts(chat: Chat, recorder: Recorder) -> None:
    chat.ask("say: Hello")
    recorder.adopt("account", "ann")
    chat.annotator = "account"
    chat.ask("say: Again")
    assert chat.texts() == ["say: Hello", "Hello", "say: Again", "Again"]


def test_adopting_twice_stores_nothing_more(chat: Chat, recorder: Recorder, store: Store) -> None:
    chat.ask("say: Hello")
    recorder.adopt("account", "ann")
    before = store.position()
    assert recorder.adopt("account", "ann") == 0
    assert recorder.adopt("another", "ann") == 0
    assert recorder.adopt("account", "account") == 0
    assert store.position() == before


def test_what_was_withdrawn_does_not_come_back_under_another_id(server: ModelServer, store: Store) -> None:
    study = study_for(server, consent={"version": "1", "text": "May we?"})
    with (
        open_models(study.models, {}) as models,
        closing(Recorder(Writing(study, store, models, clock=utc_now))) as recorder,
    ):
        chat = Chat(recorder, store)
        recorder.give_consent("ann", "n" * 16, "1")
        chat.ask("say: Hello")
        recorder.withdraw_consent("ann", "m" * 16)
        recorder.give_consent("account", "a" * 16, "1")
        assert recorder.adopt("account", "ann") == 0


def test_nothing_is_adopted_before_the_account_has_consented(server: ModelServer, store: Store) -> None:
    study = study_for(server, consent={"version": "1", "text": "May we?"})
    with (
        open_models(study.models, {}) as models,
        closing(Recorder(Writing(study, store, models, clock=utc_now))) as recorder,
    ):
        chat = Chat(recorder, store)
        recorder.give_consent("ann", "n" * 16, "1")
        chat.ask("say: Hello")
        with pytest.raises(ConsentNeeded):
            recorder.adopt("account", "ann")
        recorder.give_consent("account", "a" * 16, "1")
        assert recorder.adopt("account", "ann") == 1
