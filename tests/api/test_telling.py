"""Gestures that are told: they become the page's events, follow the page's laws, and can be read back."""

from __future__ import annotations

import pytest

from labeler.core.events import Compared, ReplyFinished, ReplyStarted
from tests.api.conftest import FrontEnd, Served


def test_a_conversation_is_told_whole_and_read_back(served: Served, theirs: FrontEnd) -> None:
    conversation, question, answer = theirs.exchange()
    theirs.tell("votes", {"message_id": answer, "value": 1}, conversation)
    theirs.tell("reasons", {"message_id": answer, "reasons": ["Correct"], "comment": " yes "}, conversation)
    assert served.kinds(conversation) == [
        "conversation_started",
        "message_sent",
        "reply_started",
        "reply_finished",
        "vote_cast",
        "reason_given",
    ]
    read = theirs.read(f"/conversations/{conversation}")
    assert [message["content"] for message in read["messages"]] == ["Why is the sky blue?", "Because of scattering."]
    told = read["messages"][1]
    assert (told["message_id"], told["parent_id"], told["status"], told["model"]) == (
        (answer, question, "complete", "theirs")
    )
    assert (told["vote"], told["reasons"], told["comment"]) == (1, ["Correct"], "yes")
    assert (read["seq"], read["turn_seq"], read["cleared"]) == (6, 3, False)
