"""How much and how often an attached page may tell: the study's limits hold there too, and the app goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Scope

from labeler.attached.pace import Kind, Pace
from labeler.errors import GestureRefused
from labeler.study import Limits
from tests.attach.conftest import INTERFACE, App, NewTab, Serve

Limited = Callable[..., App]


@pytest.fixture
def limited(serve: Serve, folder: Path) -> Limited:
    """Serves the guide's ChatInterface, attached to a study with these limits."""

    def serve_limited(**limits: int) -> App:
        study = folder / "configs" / "local.yaml"
        lines = [f"  {name}: {number}" for name, number in limits.items()]
        study.write_text("\n".join([study.read_text(), "limits:", *lines, ""]))
        return serve(INTERFACE)

    return serve_limited


def from_address(host: str) -> Scope:
    return {"type": "http", "client": (host, 1)}


HERE = from_address("127.0.0.1")


def told(pace: Pace, annotator: str, scope: Scope, count: int, kind: Kind = "turn") -> list[str]:
    """What is said to each of so many gestures; nothing to those that are taken."""
    lines = []
    for _ in range(count):
        try:
            pace.check(annotator, scope, kind)
            lines.append("")
        except GestureRefused as refusal:
            lines.append(str(refusal))
    return lines


# ── rates ──


def test_who_is_too_fast_is_told_how_long_to_wait() -> None:
    pace = Pace(Limits(turns_per_minute=2))
    assert told(pace, "ann", HERE, 3) == ["", "", "That was too fast, so it was not recorded. Wait 30 s."]


def test_thumbs_turns_and_reports_have_rates_of_their_own_and_so_has_each_annotator() -> None:
    pace = Pace(Limits(turns_per_minute=1, gestures_per_minute=2))
    assert [bool(line) for line in told(pace, "ann", HERE, 2)] == [False, True]
    assert [bool(line) for line in told(pace, "ann", HERE, 3, "vote")] == [False, False, True]
    assert [bool(line) for line in told(pace, "ann", HERE, 2, "report")] == [False, True]
    assert [bool(line) for line in told(pace, "bob", HERE, 2)] == [False, True]


def test_an_address_has_a_rate_that_new_names_do_not_help_against_and_this_machine_has_none() -> None:
    pace = Pace(Limits(address_requests_per_minute=3))
    one, other = from_address("203.0.113.7"), from_address("203.0.113.8")
    lines = [told(pace, f"newcomer-{number}", one, 1)[0] for number in range(4)]
    assert lines == ["", "", "", "Too much comes from your address, so this was not recorded. Wait 20 s."]
    assert told(pace, "ann", other, 1) == [""]
    assert told(pace, "ann", HERE, 9) == [""] * 9


def test_without_rates_everybody_may_always() -> None:
    pace = Pace(Limits(turns_per_minute=None, gestures_per_minute=None, address_requests_per_minute=None))
    assert set(told(pace, "ann", from_address("203.0.113.7"), 10_000)) == {""}


def test_threads_that_tell_at_once_share_one_rate() -> None:
    pace = Pace(Limits(turns_per_minute=100))
    with ThreadPoolExecutor(8) as threads:
        lines = [line for each in threads.map(lambda _: told(pace, "ann", HERE, 50), range(8)) for line in each]
    assert lines.count("") in (100, 101)  # a token comes back every 0.6 s


def test_a_thumb_that_comes_too_fast_is_not_recorded_and_the_person_is_told(limited: Limited, new_tab: NewTab) -> None:
    tab = new_tab(limited(gestures_per_minute=2)).welcomed()
    tab.shows("Why?", "Because.").tell("success")
    assert [tab.like(liked=liked) for liked in (True, False, True)] == [False, False, True]
    assert tab.kinds().count("vote_cast") == 2


def test_of_a_report_that_came_too_fast_the_next_one_makes_up(limited: Limited, new_tab: NewTab) -> None:
    tab = new_tab(limited(turns_per_minute=1)).welcomed()
    tab.shows("Why?", "Because.").tell("success")
    tab.shows("Why?", "Because.", "And?", "So.").tell("success")
    assert tab.texts() == ["Why?", "Because."]
    assert not tab.like(3)
    assert tab.texts() == ["Why?", "Because.", "And?", "So."]


def test_an_app_that_writes_into_its_chat_all_the_time_costs_nobody_their_turn(
    limited: Limited, new_tab: NewTab
) -> None:
    tab = new_tab(limited(turns_per_minute=1)).welcomed().shows("Why?", "Because.")
    for _ in range(3):
        tab.tell("success")
    assert not tab.tell("retry", index=0, value="Why?")
    assert tab.tell("retry", index=0, value="Why?")


def test_the_address_is_the_one_that_a_proxy_on_this_machine_names(limited: Limited, new_tab: NewTab) -> None:
    app = limited(address_requests_per_minute=1)
    named: dict[str, Any] = {"headers": {"x-forwarded-for": "203.0.113.7"}}
    first, second = (new_tab(app, **named).welcomed().shows("Why?", "Because.") for _ in range(2))
    assert not first.like()
    assert second.like()
    assert second.events() == []
    assert not new_tab(app).welcomed().shows("Why?", "Because.").like()


# ── lengths ──


def test_a_chat_of_more_messages_than_the_study_takes_is_refused(limited: Limited, new_tab: NewTab) -> None:
    tab = new_tab(limited(conversation_messages=2)).welcomed()
    tab.shows("Why?", "Because.").tell("success")
    tab.shows("Why?", "Because.", "And?", "So.").tell("success")
    assert tab.like(3)
    assert tab.texts() == ["Why?", "Because."]


def test_answers_beside_each_other_count_and_a_full_chat_can_be_cleared(limited: Limited, new_tab: NewTab) -> None:
    tab = new_tab(limited(conversation_messages=3)).welcomed()
    for answer in ("One.", "Two.", "Three."):
        tab.shows("Why?", answer).tell("success")
        tab.tell("retry", index=0, value="Why?")
    assert tab.kinds().count("reply_finished") == 2
    tab.shows().tell("clear")
    assert tab.kinds()[-1] == "conversation_cleared"


def test_a_chat_has_so_many_gestures_and_no_more(limited: Limited, new_tab: NewTab) -> None:
    tab = new_tab(limited(conversation_events=10)).welcomed()
    tab.shows("Why?", "Because.").tell("success")
    refused = [tab.like(liked=bool(number % 2)) for number in range(7)]
    assert refused == [False] * 6 + [True]
    assert len(tab.events()) == 10
