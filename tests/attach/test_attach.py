"""An app of one's own, attached: what its browser tells is in the log."""

from __future__ import annotations

from labeler.core.events import ConversationStarted, ReplyStarted
from tests.attach.conftest import App, Browser


def test_an_answer_and_a_like_are_in_the_log(interface: App, browser_tab: Browser) -> None:
    tab = browser_tab.shows("Why?", "Because.")
    assert not tab.tell("success")
    assert not tab.like()
    assert interface.kinds() == [
        "conversation_started",
        "message_sent",
        "reply_started",
        "reply_finished",
        "vote_cast",
    ]


def test_the_log_says_whose_answers_they_are_and_that_they_come_from_a_foreign_page(
    interface: App, browser_tab: Browser
) -> None:
    browser_tab.shows("Why?", "Because.").tell("success")
    payloads = [event.payload for event in interface.events()]
    (started,) = (one for one in payloads if isinstance(one, ConversationStarted))
    (reply,) = (one for one in payloads if isinstance(one, ReplyStarted))
    assert (started.mode, started.model, reply.model_id, dict(reply.sampling)) == ("attached", "echo", "echo", {})
