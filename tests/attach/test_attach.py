"""An app of one's own, attached: what its browser tells is in the log, and the app goes on whatever becomes of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from labeler.attached.hearing import OTHER_OPTION
from labeler.chat import follower
from labeler.core.events import ConversationStarted, ReplyFinished, ReplyStarted, TurnUndone
from labeler.store import Store
from labeler.store.verify import verify_log
from tests.attach.conftest import INTERFACE, App, Browser, NewTab, Serve

TWO_APPS = """
import gradio as gr
import labeler

def answer(message, history):
    return message

with gr.Blocks() as demo:
    with gr.Tab("one"):
        one = gr.ChatInterface(answer)
    with gr.Tab("two"):
        two = gr.ChatInterface(answer)
    labeler.attach(one, model="one")
    labeler.attach(two, model="two")
"""
NAMED = """
import gradio as gr
import labeler

demo = gr.ChatInterface(lambda message, history: message)
labeler.attach(demo, annotator={})
"""


# ── what is recorded ──


def test_an_answer_and_a_like_are_in_the_log(tab: Browser) -> None:
    tab.shows("Why?", "Because.")
    assert not tab.tell("success")
    assert not tab.like()
    begun = ["conversation_started", "message_sent", "reply_started", "reply_finished"]
    assert tab.kinds() == [*begun, "vote_cast"]


def test_the_log_says_whose_answers_they_are_and_that_they_come_from_a_foreign_page(tab: Browser) -> None:
    tab.shows("Why?", "Because.").tell("success")
    (started,) = tab.payloads(ConversationStarted)
    (reply,) = tab.payloads(ReplyStarted)
    assert (started.mode, started.model, reply.model_id, dict(reply.sampling)) == ("attached", "echo", "echo", {})


def test_the_same_thumb_again_takes_the_vote_back_and_the_other_one_replaces_it(tab: Browser) -> None:
    tab.shows("Why?", "Because.")
    for liked in (True, "", False, True, True):
        assert not tab.like(liked=liked)
    assert tab.kinds()[4:] == ["vote_cast", "vote_withdrawn", "vote_cast", "vote_cast"]


def test_a_retry_keeps_the_answer_that_showed(tab: Browser) -> None:
    tab.shows("Why?", "Because.")
    tab.tell("retry", index=0, value="Why?")
    tab.shows("Why?", "So.").tell("success")
    first, second = tab.payloads(ReplyStarted)
    assert second.retries == first.message_id
    assert tab.texts() == ["Why?", "So."]


def test_an_edited_message_is_a_branch_and_the_new_answer_belongs_to_it(tab: Browser) -> None:
    tab.shows("Why?", "Because.", "And?", "So.")
    tab.tell("success")
    tab.shows("How?", "Because.", "And?", "So.").tell("edit", index=0, value="How?", previous_value="Why?")
    assert tab.kinds()[-1] == "message_sent"
    tab.shows("How?", "By hand.").tell("success")
    assert tab.texts() == ["How?", "By hand."]
    assert len(tab.conversations()) == 1


def test_an_edit_of_what_was_never_reported_is_recorded_with_what_it_was(tab: Browser) -> None:
    tab.shows("How?", "Because.")
    assert not tab.tell("edit", index=0, value="How?", previous_value="Why?")
    sent = [event.payload for event in tab.events() if event.payload.kind == "message_sent"]
    assert [getattr(one, "content", "") for one in sent] == ["Why?", "How?"]


def test_undo_takes_the_last_turn_back(tab: Browser) -> None:
    tab.shows("Why?", "Because.", "And?", "So.")
    tab.tell("undo", index=2, value="And?")
    tab.shows("Why?", "Because.").tell("success")
    assert len(tab.payloads(TurnUndone)) == 1
    assert tab.texts() == ["Why?", "Because."]


def test_clear_ends_the_conversation_and_the_next_message_begins_another(tab: Browser) -> None:
    tab.shows("Why?", "Because.").tell("success")
    tab.shows().tell("clear")
    tab.tell("success")
    tab.shows("Why?", "So.").tell("success")
    assert tab.kinds().count("conversation_cleared") == 1
    assert len(tab.conversations()) == 2
    assert (tab.texts(0), tab.texts(1)) == (["Why?", "Because."], ["Why?", "So."])


def test_an_answer_that_broke_is_told_as_failed(tab: Browser) -> None:
    tab.shows("Why?", "Beca").tell("failure")
    (finished,) = tab.payloads(ReplyFinished)
    assert (finished.content, finished.status) == ("Beca", "failed")


def test_what_was_recorded_is_a_sound_log(interface: App, tab: Browser) -> None:
    tab.shows("Why?", "Because.")
    tab.like()
    tab.tell("retry", index=0, value="Why?")
    tab.shows("Why?", "So.").like(liked=False)
    with closing(Store.open(interface.database)) as store:
        assert verify_log(store).problems == ()


def test_a_restarted_app_goes_on_with_the_same_conversation(serve: Serve, new_tab: NewTab) -> None:
    source = NAMED.replace("{}", "lambda request: 'ann'")
    first = serve(source)
    tab = new_tab(first).shows("Why?", "Because.")
    tab.tell("success")
    first.close()
    second = serve(source)
    again = new_tab(second).shows("Why?", "Because.")
    again.tab = tab.tab
    again.like()
    assert [event.payload.kind for event in second.events()][-1] == "vote_cast"
    assert len({event.conversation_id for event in second.events()}) == 1


@pytest.mark.databases("postgresql")
def test_the_log_may_be_in_postgresql(serve: Serve, new_tab: NewTab, new_url: Callable[[str], str]) -> None:
    url = new_url("attached")
    app = serve(INTERFACE.replace('model="echo"', f'model="echo", database={url!r}'))
    tab = new_tab(app).welcomed().shows("Why?", "Because.")
    tab.like()
    tab.tell("retry", index=0, value="Why?")
    tab.shows("Why?", "So.").tell("success")
    with closing(Store.open(url)) as store:
        kinds = [event.payload.kind for event in store.scan(after=1)]
        assert verify_log(store).problems == ()
    answer = ["reply_started", "reply_finished"]
    assert kinds == ["conversation_started", "message_sent", *answer, "vote_cast", *answer]
    assert not Path(".labeler/local.db").exists()


# ── order ──


def test_a_report_that_was_overtaken_changes_nothing(tab: Browser) -> None:
    tab.shows("Why?", "Because.", "And?", "So.").tell("success", moment=20)
    tab.shows("Why?", "Because.").tell("success", moment=10)
    assert tab.texts() == ["Why?", "Because.", "And?", "So."]


def test_a_thumb_on_half_an_answer_is_refused(tab: Browser) -> None:
    tab.shows("Why?", "Because of the wind.").tell("success", moment=20)
    assert tab.shows("Why?", "Because").like(moment=10)
    assert "vote_cast" not in tab.kinds()


def test_a_thumb_that_overtook_the_report_of_its_answer_counts(tab: Browser) -> None:
    tab.shows("Why?", "Because.")
    voted: list[bool] = []
    vote = threading.Thread(target=lambda: voted.append(tab.like(moment=10)))
    vote.start()
    tab.tell("success", moment=11)
    vote.join()
    assert voted == [False]
    assert tab.kinds().count("reply_started") == 1
    assert tab.kinds()[-1] == "vote_cast"


# ── who ──


def test_two_browsers_are_two_annotators_with_a_conversation_each(
    interface: App, tab: Browser, new_tab: NewTab
) -> None:
    other = new_tab(interface).welcomed()
    for browser in (tab, other):
        browser.shows("Why?", "Because.").like()
    assert tab.annotator != other.annotator
    assert (len(tab.conversations()), len(other.conversations())) == (1, 1)
    assert set(tab.conversations()).isdisjoint(other.conversations())


def test_knowing_somebodys_session_is_no_way_into_their_conversation(
    interface: App, tab: Browser, new_tab: NewTab
) -> None:
    tab.shows("Why?", "Because.").tell("success")
    thief = new_tab(interface).welcomed()
    thief.tab = tab.tab
    thief.shows("Why?", "Because.").like(liked=False)
    assert "vote_cast" not in tab.kinds()
    assert thief.kinds()[-1] == "vote_cast"
    assert set(tab.conversations()).isdisjoint(thief.conversations())


def test_without_a_cookie_nothing_is_recorded(interface: App, new_tab: NewTab) -> None:
    before = interface.events()
    assert new_tab(interface).shows("Why?", "Because.").like()
    assert interface.events() == before


@pytest.mark.parametrize("value", ["x.y", "01a225fd-1335-7a2b-802c-a13a46ee52de." + "0" * 40])
def test_a_cookie_that_nobody_signed_is_nobodys(interface: App, tab: Browser, new_tab: NewTab, value: str) -> None:
    before = interface.events()
    forger = new_tab(interface, cookies={next(iter(tab.http.cookies)): value})
    assert forger.shows("Why?", "Because.").like()
    assert interface.events() == before


def test_whoever_has_a_cookie_keeps_it(tab: Browser) -> None:
    assert tab.call("labeler_welcome", [])["data"] == [""]


def test_a_name_that_the_app_signed_somebody_in_with_is_theirs(serve: Serve, new_tab: NewTab) -> None:
    app = serve(NAMED.format("None"), auth_dependency=lambda request: request.headers.get("x-name"))
    tab = new_tab(app, headers={"x-name": "alice"}).welcomed()
    tab.shows("Why?", "Because.").like()
    assert list(tab.http.cookies) == []
    assert {event.annotator_id for event in app.events()} == {"app:alice"}


@pytest.mark.parametrize(("told", "recorded"), [("'ann'", {"app:ann"}), ("None", set()), ("1 / 0", set())])
def test_the_app_may_say_who_somebody_is(serve: Serve, new_tab: NewTab, told: str, recorded: set[str]) -> None:
    app = serve(NAMED.format(f"lambda request: {told}"))
    assert new_tab(app).shows("Why?", "Because.").like() == (not recorded)
    assert {event.annotator_id for event in app.events()} == recorded


# ── what is refused, and by what line ──


def test_an_option_of_the_apps_own_takes_the_vote_back_and_is_not_recorded(
    tab: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    tab.shows("Why?", "Because.")
    tab.like()
    with caplog.at_level(logging.INFO, "labeler.attached"):
        assert tab.like(liked="Spam")
    assert tab.kinds()[-2:] == ["vote_cast", "vote_withdrawn"]
    assert OTHER_OPTION in caplog.text


def test_of_a_message_that_holds_more_than_text_nothing_is_recorded_nor_after_it(tab: Browser) -> None:
    tab.shows("Why?", "Because.", "And this?", "A cat.")
    tab.chat[2]["content"] = ["file", {"type": "text", "text": "And this?"}]
    assert not tab.tell("success")
    assert tab.like(3)
    assert not tab.like(1)
    assert tab.texts() == ["Why?", "Because."]


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        ("like", None),
        ("like", {"index": "1", "liked": True}),
        ("like", {"index": True, "liked": True}),
        ("like", {"index": -1, "liked": True}),
        ("like", {"index": 99, "liked": True}),
        ("like", {"index": 0, "liked": True}),
        ("like", [1, True]),
        ("retry", {"index": 1}),
        ("undo", {"index": 1}),
        ("edit", {"index": 9, "previous_value": "x"}),
        ("edit", {"index": 0, "previous_value": 7}),
    ],
)
def test_a_gesture_that_makes_no_sense_is_told_to_be_lost_and_harms_nothing(
    tab: Browser, caplog: pytest.LogCaptureFixture, event: str, facts: object
) -> None:
    tab.shows("Why?", "Because.")
    tab.tell("success")
    before = tab.kinds()
    said = tab.call(f"labeler_{event}", [None, None, 9.0, tab.chat], facts)
    assert said["data"] != [""]
    assert tab.kinds() == before
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "words", [None, 7, "Why?", {"a": 1}, [None], [[]], [{"role": "user"}], [{"role": "root", "content": "x"}], [{}] * 9]
)
def test_a_chat_that_makes_no_sense_is_no_chat(tab: Browser, words: object) -> None:
    for event in ("like", "retry", "undo", "edit", "clear", "success", "failure"):
        tab.call(f"labeler_{event}", [None, None, 1.0, words], {"index": 0, "liked": True, "previous_value": "x"})
    assert tab.events() == []


def test_half_a_character_is_refused(tab: Browser) -> None:
    tab.shows("Why?", "\ud800")
    assert tab.like()
    assert tab.events() == []


def test_a_message_longer_than_the_study_takes_is_refused(tab: Browser) -> None:
    assert tab.shows("Why?", "x" * 20_001).like()
    assert tab.events() == []


# ── the app goes on ──


def test_when_the_log_cannot_be_written_the_person_is_told_and_the_operator_reads_one_line(
    interface: App, tab: Browser, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "COMMIT_SECONDS", 1.0)
    tab.shows("Why?", "Because.").tell("success")
    with closing(Store.open(interface.database)) as store, store.database.writing():
        assert tab.like()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("labeler.attached")]
    assert lines == ["not recorded: The database took more than 1 seconds."]


def test_a_report_that_was_lost_is_made_up_for_by_the_next_one(tab: Browser) -> None:
    tab.shows("Why?", "Because.", "And?", "So.")
    assert not tab.like(3)
    assert tab.texts() == ["Why?", "Because.", "And?", "So."]


def test_two_chats_of_one_page_are_recorded_apart(serve: Serve, new_tab: NewTab) -> None:
    tab = new_tab(serve(TWO_APPS)).welcomed()
    for name, answer in (("labeler_like", "One."), ("labeler_like_1", "Two.")):
        tab.shows("Why?", answer).call(name, [None, None, 1.0, tab.chat], {"index": 1, "liked": True})
    assert [started.model for started in tab.payloads(ConversationStarted)] == ["one", "two"]


def test_two_apps_of_one_process_share_a_log(serve: Serve, new_tab: NewTab) -> None:
    apps = serve(INTERFACE), serve(INTERFACE)
    for app in apps:
        new_tab(app).welcomed().shows("Why?", "Because.").like()
    assert [event.payload.kind for event in apps[0].events()].count("vote_cast") == 2


def test_a_study_with_a_consent_text_records_nothing_of_whoever_has_not_accepted_it(
    serve: Serve, folder: Path, new_tab: NewTab
) -> None:
    study = folder / "configs" / "local.yaml"
    study.write_text(study.read_text() + '\nconsent: {version: "1", text: "May we?"}\n')
    app = serve(INTERFACE)
    tab = new_tab(app).welcomed().shows("Why?", "Because.")
    assert not tab.tell("success")
    assert tab.like()
    assert app.events() == []
