"""What a front end reads back: its own events in the order of the log, page by page, and its conversations."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler.chat import intake
from labeler.core.events import NewEvent
from labeler.core.folding import replay
from labeler.ids import event_id, new_id
from tests.api.conftest import FrontEnd, Served, api_over
from tests.stories import told


def page_events(served: Served, annotator: str = "of-the-page") -> str:
    """Have a conversation of the page's in the log; its id."""
    conversation = new_id()
    story = told(annotator, conversation).asks("Why?").answers("Because.").likes()
    served.store.append(
        [
            NewEvent(
                event_id=event_id(annotator, conversation, event.seq),
                conversation_id=conversation,
                seq=event.seq,
                at=event.at,
                annotator_id=annotator,
                payload=event.payload,
            )
            for event in story.events
        ]
    )
    return conversation


def all_events(theirs: FrontEnd, limit: int) -> list[dict[str, object]]:
    """Everything, page by page."""
    events: list[dict[str, object]] = []
    after, more = 0, True
    while more:
        page = theirs.read(f"/events?after={after}&limit={limit}")
        assert len(page["events"]) <= limit
        assert page["after"] >= after
        events += page["events"]
        after, more = page["after"], page["more"]
    assert theirs.read(f"/events?after={after}") == {"events": [], "after": after, "more": False}
    return events


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_events_are_its_own_in_the_order_of_the_log_whatever_the_page(
    served: Served, theirs: FrontEnd, limit: int
) -> None:
    other = served.front_end(f"other-{limit}")
    mine = []
    for _ in range(3):
        mine.append(theirs.exchange()[0])
        other.exchange()
        page_events(served, f"of-the-page-{limit}-{len(mine)}")
    events = all_events(theirs, limit)
    assert [event["position"] for event in events] == sorted({event["position"] for event in events})
    assert [event["conversation_id"] for event in events] == [one for one in mine for _ in range(4)]
    stored = [event for one in mine for event in served.store.load(one)]
    assert [event["event_id"] for event in events] == [event.event_id for event in stored]
    assert [event["seq"] for event in events] == [event.seq for event in stored]


def test_a_long_stretch_of_other_peoples_events_is_passed_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "WINDOW", 2)
    monkeypatch.setattr(intake, "WINDOWS", 2)
    with api_over(tmp_path) as served:
        theirs = served.front_end()
        theirs.exchange()
        for number in range(5):
            page_events(served, f"of-the-page-{number}")
        theirs.exchange()
        page = theirs.read("/events?after=6&limit=10")
        assert (page["events"], page["after"], page["more"]) == ([], 10, True)
        assert len(all_events(theirs, 10)) == 8


def test_a_conversation_reads_as_the_log_folds(served: Served, theirs: FrontEnd) -> None:
    conversation, question, answer = theirs.exchange()
    second = theirs.answered(conversation, "Rayleigh.", retries=answer)
    theirs.tell("votes", {"message_id": second, "value": -1}, conversation)
    theirs.tell("edits", {"message_id": question, "content": "How?"}, conversation)
    fold = replay(conversation, served.store.load(conversation))
    read = theirs.read(f"/conversations/{conversation}")
    assert [one["message_id"] for one in read["messages"]] == list(fold.messages)
    assert [one["message_id"] for one in read["messages"] if one["visible"]] == [one.id for one in fold.visible()]
    assert (read["seq"], read["turn_seq"]) == (fold.seq, fold.turn_seq)


def test_what_another_process_stored_is_read_at_once(tmp_path: Path) -> None:
    with api_over(tmp_path) as one, api_over(tmp_path) as two:
        theirs = one.front_end()
        also = FrontEnd(two.address, theirs.token, two.http)
        conversation, _, answer = theirs.exchange()
        assert also.read(f"/conversations/{conversation}")["messages"][1]["vote"] == 0
        theirs.tell("votes", {"message_id": answer, "value": 1}, conversation)
        assert also.read(f"/conversations/{conversation}")["messages"][1]["vote"] == 1


def test_the_study_says_what_a_front_end_must_know(theirs: FrontEnd) -> None:
    assert theirs.read("/study") == {
        "name": "told",
        "title": "Labeler",
        "guidelines": "",
        "vote_reasons": ["Correct", "Too long"],
        "consent": None,
        "max_message_chars": 20_000,
    }
