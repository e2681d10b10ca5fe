"""Thumbs, reasons and comparisons: what is pressed is what is stored, and what is stored is what is shown."""

from __future__ import annotations

import random

from playwright.sync_api import expect

from tests.model_server import ModelServer
from tests.page.chat import Chat
from tests.page.conftest import NewChat, kinds, stored
from tests.served import Served


def test_a_like_is_shown_as_saved_and_is_in_the_log(shared: Served, chat: Chat) -> None:
    expect(chat.status).to_have_text("")
    chat.send("say: Salt comes from rocks.")
    chat.vote("Like")
    chat.expect_thumbs("Like")
    assert kinds(shared, chat) == [
        "conversation_started",
        "message_sent",
        "reply_started",
        "reply_finished",
        "vote_cast",
    ]
    assert stored(shared, chat)[-1].vote == 1


def test_a_second_like_withdraws_and_a_dislike_flips(shared: Served, chat: Chat) -> None:
    chat.send("say: One")
    chat.vote("Like")
    chat.vote("Like")
    chat.expect_thumbs(None)
    chat.vote("Like")
    chat.vote("Dislike")
    chat.expect_thumbs("Dislike")
    assert kinds(shared, chat)[4:] == ["vote_cast", "vote_withdrawn", "vote_cast", "vote_cast"]
    assert [vote.vote for vote in stored(shared, chat)[-2:]] == [1, -1]


def test_two_fast_clicks_are_two_votes(shared: Served, chat: Chat) -> None:
    chat.send("say: One")
    chat.button("Like").dblclick()
    expect(chat.status).to_have_text("Saved")
    chat.expect_thumbs(None)
    assert kinds(shared, chat)[4:] == ["vote_cast", "vote_withdrawn"]


def test_thumbs_come_back_after_the_next_turn_and_after_a_reload(chat: Chat) -> None:
    chat.send("say: One")
    chat.vote("Like")
    chat.send("say: Two")
    chat.vote("Dislike")
    chat.send("say: Three")
    chat.expect_thumbs("Like", "Dislike", None)
    chat.reload()
    chat.expect_thumbs("Like", "Dislike", None)


def test_a_vote_its_reasons_and_a_comparison_stay_shown_however_long_nothing_else_happens(chat: Chat) -> None:
    chat.send("what is judged stays shown\nsay: Take {attempt}")
    chat.press("Retry")
    chat.answered()
    chat.better.get_by_role("button", name="Better").click()
    chat.vote("Like")
    chat.why.get_by_label("Helpful").check()
    chat.why.get_by_role("button", name="Save reason").click()
    expect(chat.status).to_have_text("Saved")
    chat.page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3_600_000; }")
    chat.page.locator("body").press("?")  # any redraw would do
    chat.page.keyboard.press("Escape")
    chat.expect_thumbs("Like")
    expect(chat.why).to_contain_text("Why? Helpful")
    expect(chat.better.locator("[aria-pressed=true]")).to_have_text("Better")
    chat.vote("Like")
    chat.expect_thumbs(None)


def test_an_older_answer_takes_a_vote_while_another_is_written(chat: Chat, model: ModelServer) -> None:
    chat.send("say: One")
    chat.send("say: Two and more\ngate: votes-during 1", wait=False)
    chat.vote("Like", place=0)
    chat.expect_thumbs("Like", None)
    model.release("votes-during")
    chat.answered()
    chat.expect_thumbs("Like", None)


def test_an_answer_that_is_being_written_takes_no_vote(chat: Chat, model: ModelServer) -> None:
    chat.send("say: Not so fast\ngate: too-early 1", wait=False)
    expect(chat.answers).to_have_count(1)
    chat.press("Like")
    expect(chat.notice).to_contain_text("still being written")
    model.release("too-early")
    chat.answered()
    chat.expect_thumbs(None)


def test_a_vote_asks_why_and_keeps_the_reasons(shared: Served, chat: Chat) -> None:
    chat.send("say: One")
    expect(chat.why).to_have_count(0)
    chat.vote("Dislike")
    chat.why.get_by_label("Wrong").check()
    chat.why.get_by_label("Comment (optional)").fill("  It is not so.  ")
    chat.why.get_by_role("button", name="Save reason").click()
    expect(chat.status).to_have_text("Saved")
    expect(chat.why).to_contain_text("Wrong · “It is not so.”")
    given = stored(shared, chat)[-1]
    assert (given.kind, given.reasons, given.comment) == ("reason_given", ("Wrong",), "It is not so.")
    chat.reload()
    chat.why.get_by_text("Why?").click()
    expect(chat.why.get_by_label("Wrong")).to_be_checked()
    expect(chat.why.get_by_label("Helpful")).not_to_be_checked()
    expect(chat.why.get_by_label("Comment (optional)")).to_have_value("It is not so.")


def test_a_withdrawn_vote_asks_nothing(chat: Chat) -> None:
    chat.send("say: One")
    chat.vote("Like")
    expect(chat.why).to_have_count(1)
    chat.vote("Like")
    expect(chat.why).to_have_count(0)


def test_a_half_written_comment_survives_the_next_answer_and_a_reload(chat: Chat) -> None:
    chat.send("say: One")
    chat.vote("Like")
    chat.why.get_by_label("Comment (optional)").fill("because")
    chat.send("say: Two")
    chat.why.get_by_text("Why?").click()
    expect(chat.why.get_by_label("Comment (optional)")).to_have_value("because")
    chat.reload()
    chat.why.get_by_text("Why?").click()
    expect(chat.why.get_by_label("Comment (optional)")).to_have_value("because")


def test_a_retry_asks_which_was_better_and_takes_the_answer_back(shared: Served, chat: Chat) -> None:
    chat.send("a retry asks which was better and takes the answer back\nsay: Take {attempt}")
    expect(chat.better).to_have_count(0)
    chat.press("Retry")
    chat.answered()
    chat.expect_answers("Take 2")
    for name, winner in (("Better", "b"), ("About the same", "tie"), ("Worse", "a")):
        chat.better.get_by_role("button", name=name).click()
        expect(chat.better.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
        expect(chat.better.locator("[aria-pressed=true]")).to_have_count(1)
        expect(chat.status).to_have_text("Saved")
        assert stored(shared, chat)[-1].winner == winner
    chat.reload()
    expect(chat.better.get_by_role("button", name="Worse")).to_have_attribute("aria-pressed", "true")
    chat.better.get_by_role("button", name="Worse").click()
    expect(chat.better.locator("[aria-pressed=true]")).to_have_count(0)
    expect(chat.status).to_have_text("Saved")
    assert kinds(shared, chat)[-1] == "comparison_withdrawn"


def test_equal_answers_are_not_asked_about(chat: Chat) -> None:
    chat.send("say: Always the same")
    chat.press("Retry")
    chat.answered()
    expect(chat.siblings).to_contain_text("2 / 2")
    expect(chat.better).to_have_count(0)


def test_a_vote_in_one_tab_shows_in_another(chat: Chat, shared: Served, new_chat: NewChat) -> None:
    chat.send("say: One")
    other = new_chat(shared, beside=chat)
    other.expect_answers("One")
    chat.vote("Like")
    other.expect_thumbs("Like")
    other.vote("Dislike")
    chat.expect_thumbs("Dislike")


def test_another_vote_begins_without_the_reasons_of_the_one_before(shared: Served, chat: Chat) -> None:
    chat.send("say: One")
    chat.vote("Like")
    chat.why.get_by_label("Helpful").check()
    chat.why.get_by_role("button", name="Save reason").click()
    expect(chat.status).to_have_text("Saved")
    chat.vote("Dislike")
    expect(chat.why.get_by_label("Helpful")).not_to_be_checked()
    chat.why.get_by_label("Wrong").check()
    chat.why.get_by_role("button", name="Save reason").click()
    expect(chat.why).to_contain_text("Why? Wrong")
    expect(chat.status).to_have_text("Saved")
    assert [payload.reasons for payload in stored(shared, chat) if payload.kind == "reason_given"] == [
        ("Helpful",),
        ("Wrong",),
    ]


def test_thirty_votes_at_random_while_an_answer_streams_are_all_stored_in_order(shared: Served, chat: Chat) -> None:
    chat.send("say: One")
    chat.send("say: Two")
    chat.send("pace: 30\nfault: endless", wait=False)  # it streams however slow the clicks are
    expect(chat.answers).to_have_count(3)
    draw, standing, wanted = random.Random(6), [0, 0], []
    for _ in range(30):
        place, value = draw.randrange(2), draw.choice((1, -1))
        # By key: an answer scrolls the thumbs from under a mouse, and a press here with its release there is no click.
        chat.button("Like" if value == 1 else "Dislike").nth(place).press("Enter")
        standing[place] = 0 if standing[place] == value else value
        wanted.append((place, standing[place]))
    chat.button("Stop").click()
    chat.answered()
    expect(chat.status).to_have_text("Saved")
    names = {1: "Like", -1: "Dislike", 0: None}
    chat.expect_thumbs(*(names[value] for value in standing), None)
    ids = [chat.answers.nth(place).get_attribute("data-message") for place in range(2)]
    cast = [payload for payload in stored(shared, chat) if payload.kind.startswith("vote_")]
    assert [(ids.index(payload.message_id), getattr(payload, "vote", 0)) for payload in cast] == wanted
