"""Edit, retry, undo, clear, new and stop: nothing is thrown away, and what shows is one click from what showed."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.model_server import ModelServer
from tests.page.chat import Chat
from tests.page.conftest import NewChat, kinds, stored
from tests.page.visitor import Visitor
from tests.served import Served


def test_an_edited_answer_is_a_sibling_and_later_turns_wait_on_the_other_branch(shared: Served, chat: Chat) -> None:
    chat.send("say: The sun is cold.")
    chat.send("say: Thank you.")
    chat.rewrite("The sun is hot.", place=1)  # the first answer: the first question's Edit comes before it
    chat.expect_answers("The sun is hot.")
    expect(chat.siblings).to_contain_text("2 / 2")
    edited = stored(shared, chat)[-1]
    assert (edited.kind, edited.content) == ("answer_edited", "The sun is hot.")
    chat.press("Previous answer")
    chat.expect_answers("The sun is cold.", "Thank you.")
    chat.reload()
    chat.expect_answers("The sun is cold.", "Thank you.")
    chat.press("Next answer")
    chat.expect_answers("The sun is hot.")


def test_an_edited_message_opens_a_branch_that_is_answered_again(shared: Served, chat: Chat) -> None:
    chat.send("say: About cats")
    chat.rewrite("say: About dogs", place=0)
    chat.expect_answers("About dogs")
    versions = chat.page.get_by_role("group", name="Versions")
    expect(versions).to_contain_text("2 / 2")
    versions.get_by_role("button", name="Previous version").click()
    chat.expect_answers("About cats")
    assert kinds(shared, chat)[4:] == ["message_sent", "reply_started", "reply_finished", "answer_selected"]


def test_a_retry_keeps_the_old_answer_one_click_away(chat: Chat) -> None:
    chat.send("a retry keeps the old answer one click away\nsay: Take {attempt}")
    chat.press("Retry")
    chat.answered()
    chat.press("Retry")
    chat.answered()
    chat.expect_answers("Take 3")
    expect(chat.siblings).to_contain_text("3 / 3")
    expect(chat.button("Next answer")).to_be_disabled()
    chat.press("Previous answer")
    chat.expect_answers("Take 2")
    chat.press("Previous answer")
    chat.expect_answers("Take 1")
    expect(chat.button("Previous answer")).to_be_disabled()


def test_gestures_of_the_same_moment_are_told_apart(chat: Chat) -> None:
    chat.send("gestures of the same moment\nsay: Take {attempt}")
    chat.press("Retry")
    chat.answered()
    chat.button("Previous answer").evaluate("button => { button.click(); button.click(); }")
    chat.expect_answers("Take 1")
    expect(chat.notice).to_have_text("")
    chat.send("say: And on")


def test_a_retry_of_an_older_branch_goes_on_from_there(chat: Chat) -> None:
    chat.send("a retry of an older branch goes on from there\nsay: Take {attempt}")
    chat.press("Retry")
    chat.answered()
    chat.press("Previous answer")
    chat.send("say: And on")
    chat.expect_answers("Take 1", "And on")


def test_undo_gives_the_text_back_to_the_box(shared: Served, chat: Chat) -> None:
    chat.send("First\nsay: One")
    chat.send("Second\nsay: Two")
    chat.press("Undo")
    chat.expect_answers("One")
    expect(chat.box).to_have_value("Second\nsay: Two")
    assert kinds(shared, chat)[-1] == "turn_undone"
    chat.button("Send").click()
    chat.answered()
    chat.expect_answers("One", "Two")


def test_undo_of_the_only_turn_leaves_an_empty_conversation_that_goes_on(chat: Chat) -> None:
    chat.send("say: One")
    here = chat.conversation_id()
    chat.press("Undo")
    expect(chat.messages).to_have_count(0)
    chat.box.fill("say: Other")
    chat.button("Send").click()
    chat.answered()
    chat.expect_answers("Other")
    assert chat.conversation_id() == here


def test_clear_closes_the_conversation_and_the_next_one_is_another(shared: Served, chat: Chat) -> None:
    chat.send("say: One")
    first = chat.conversation_id()
    assert kinds(shared, chat)[-1] == "reply_finished"
    chat.press("Clear")
    expect(chat.messages).to_have_count(0)
    expect(chat.conversations).to_have_count(0)
    chat.reload()
    expect(chat.messages).to_have_count(0)
    chat.send("say: Two")
    assert chat.conversation_id() not in ("", first)
    expect(chat.conversations).to_have_count(1)


def test_clear_while_an_answer_is_written_stays_cleared(chat: Chat) -> None:
    chat.send("words: 200\npace: 40", wait=False)
    expect(chat.answers).to_contain_text("Answer")
    chat.press("Clear")
    expect(chat.messages).to_have_count(0)
    chat.answered()
    chat.page.wait_for_timeout(1500)  # a watcher that spoke late would have put it back by now
    expect(chat.messages).to_have_count(0)


def test_new_conversation_keeps_the_old_one_in_the_list(shared: Served, chat: Chat) -> None:
    chat.send("Tell me about stars\nsay: They are far.")
    first = chat.conversation_id()
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.reload()
    expect(chat.messages).to_have_count(0)
    chat.send("Tell me about the sea\nsay: It is wet.")
    assert chat.conversation_id() != first
    expect(chat.conversations).to_have_count(2)
    expect(chat.conversations.first).to_contain_text("Tell me about the sea")
    chat.conversations.last.click()
    chat.expect_answers("They are far.")
    assert chat.conversation_id() == first
    assert kinds(shared, chat)[-1] == "reply_finished"
    chat.page.go_back()
    chat.expect_answers("It is wet.")


def test_back_leads_from_a_new_conversation_to_the_one_before(chat: Chat) -> None:
    chat.send("say: One")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.page.go_back()
    chat.expect_answers("One")
    chat.page.go_forward()
    expect(chat.messages).to_have_count(0)


def test_stop_keeps_what_was_written_and_says_so(shared: Served, chat: Chat) -> None:
    expect(chat.button("Stop")).to_be_disabled()
    chat.send("words: 300\npace: 30", wait=False)
    expect(chat.answers).to_contain_text("Answer")
    chat.button("Stop").click()
    chat.answered()
    expect(chat.answers).to_contain_text("Stopped")
    ended = stored(shared, chat)[-1]
    assert ended.status == "stopped"
    assert chat.page.locator("[data-testid=bot]").inner_text().strip() == ended.content.strip()
    chat.send("say: And on")
    expect(chat.answers).to_have_count(2)


def test_another_conversation_does_not_stop_an_answer(chat: Chat, model: ModelServer) -> None:
    chat.send("say: Short")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.send("say: Slow answer of many words\ngate: away 2", wait=False)
    chat.conversations.filter(has_text="Short").click()
    chat.expect_answers("Short")
    chat.answered()
    model.release("away")
    chat.conversations.filter(has_text="Slow").click()
    chat.expect_answers("Slow answer of many words")
    chat.answered()


def test_a_reload_does_not_stop_an_answer(chat: Chat, model: ModelServer) -> None:
    chat.send("say: Slow answer of many words\ngate: reloaded 2", wait=False)
    chat.reload()
    expect(chat.button("Send")).to_be_disabled()
    expect(chat.answers).to_contain_text("Slow answer")
    model.release("reloaded")
    chat.answered()
    chat.expect_answers("Slow answer of many words")


def test_new_conversation_stops_the_answer_it_leaves(shared: Served, chat: Chat) -> None:
    chat.send("words: 300\npace: 30", wait=False)
    expect(chat.answers).to_contain_text("Answer")
    left = chat.conversation_id()
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.conversations.first.click()
    expect(chat.answers).to_contain_text("Stopped")
    assert chat.conversation_id() == left
    assert stored(shared, chat)[-1].status == "stopped"


def test_of_two_tabs_one_wins_and_the_other_decides_again(shared: Served, chat: Chat, new_chat: NewChat) -> None:
    chat.send("say: One")
    other = new_chat(shared, beside=chat)
    other.expect_answers("One")
    chat.send("say: Two")
    other.box.fill("say: Two as well")
    other.button("Send").click()
    expect(other.notice).to_contain_text("moved on in another tab")
    other.expect_answers("One", "Two")
    expect(other.box).to_have_value("say: Two as well")
    other.button("Send").click()
    other.answered()
    other.expect_answers("One", "Two", "Two as well")


REDRAW = """async () => {
  const look = Document.prototype.querySelectorAll;
  let looks = 0;
  Document.prototype.querySelectorAll = function (selector) { looks += 1; return look.call(this, selector); };
  document.body.append(document.createElement("i"));
  await new Promise((resolve) => setTimeout(resolve));
  Document.prototype.querySelectorAll = look;
  return looks;
}"""


def test_a_redraw_looks_through_a_long_conversation_no_more_often_than_through_a_short_one(chat: Chat) -> None:
    chat.send("say: One")
    chat.page.wait_for_timeout(1000)  # the sidebar follows a little later
    few = chat.page.evaluate(REDRAW)
    for text in ("Two", "Three", "Four"):
        chat.send(f"say: {text}")
    chat.page.wait_for_timeout(1000)
    assert chat.page.evaluate(REDRAW) <= few


def test_a_refused_message_is_never_called_saved(shared: Served, chat: Chat, new_chat: NewChat) -> None:
    chat.send("say: One")
    other = new_chat(shared, beside=chat)
    other.vote("Like")
    chat.send("say: Two")
    other.box.fill("say: Too late")
    other.button("Send").click()
    expect(other.status).to_have_text("Not saved")
    expect(other.button("Save again")).to_be_hidden()
    assert other.page.locator("#status").inner_text().count(other.notice.inner_text()) == 1
    other.vote("Like", place=0)
    other.expect_thumbs(None, None)


def test_code_keeps_its_indentation_and_its_exact_text(shared: Served, chat: Chat) -> None:
    code = "def f():\n    # four spaces\n    return [\n        1,\n    ]"
    chat.send("say: " + f"Here:\n\n```python\n{code}\n```\n\nDone.".replace("\n", "\\n"))
    assert chat.page.locator("[data-testid=bot] pre code").inner_text().rstrip("\n") == code
    chat.rewrite(f"```python\n{code}\n```")
    chat.expect_answers(re.compile(r"def f"))  # type: ignore[arg-type]
    assert stored(shared, chat)[-1].content == f"```python\n{code}\n```"
    assert chat.page.locator("[data-testid=bot] pre code").inner_text().rstrip("\n") == code


def test_formulas_are_set_and_prices_stay_prices(shared: Served, chat: Chat) -> None:
    text = r"Inline \(x^2\) costs $5 or $6, and \[ \frac{a}{b} \] or $$y$$; `\(code\)` is not one."
    chat.send(f"say: {text}")
    expect(chat.answers.locator(".katex")).to_have_count(3)
    expect(chat.answers.locator(".katex-display")).to_have_count(2)
    expect(chat.answers).to_contain_text("costs $5 or $6, and")
    expect(chat.answers.locator("code")).to_have_text(r"\(code\)")
    assert stored(shared, chat)[-1].content == text


def test_a_typed_message_is_stored_as_typed(shared: Served, chat: Chat) -> None:
    text = "   say: ok\n\tindented <b>not bold</b> $$x$$ \u00e9\U0001f600  "
    chat.send(text)
    assert stored(shared, chat)[1].content == text


def test_a_model_that_dies_leaves_its_partial_text_and_a_line(shared: Served, chat: Chat) -> None:
    chat.send("say: one two three four five\nfault: die-after 3")
    expect(chat.answers).to_contain_text("one two three")
    expect(chat.answers.locator(".outcome")).to_be_visible()
    assert stored(shared, chat)[-1].status == "failed"
    chat.send("say: still alive")
    expect(chat.answers.last).to_contain_text("still alive")


def test_an_answer_that_never_began_says_why_and_can_be_retried(chat: Chat) -> None:
    chat.send("say: better now\nfault: 500\ntimes: 20")
    expect(chat.answers.locator(".outcome")).to_be_visible()
    expect(chat.button("Retry")).to_be_enabled()


def test_prompts_are_offered_on_an_empty_page_and_go_into_the_box(chat: Chat) -> None:
    chat.page.get_by_role("button", name="Why is the sea salty?").click()
    expect(chat.box).to_have_value("Why is the sea salty?")
    expect(chat.box).to_be_focused()
    chat.page.keyboard.press("Enter")
    chat.answered()
    expect(chat.questions).to_contain_text("Why is the sea salty?")


def test_a_message_that_is_too_long_is_refused_before_it_leaves(chat: Chat) -> None:
    chat.box.fill("x" * 20_001)
    chat.button("Send").click()
    expect(chat.notice).to_have_text("Too long by 1 character: at most 20,000 fit.")
    expect(chat.box).to_have_value("x" * 20_001)
    expect(chat.messages).to_have_count(0)


def test_the_sidebar_counts_what_was_done(chat: Chat) -> None:
    chat.send("the sidebar counts what was done\nsay: Take {attempt}")
    chat.vote("Like")
    chat.press("Retry")
    chat.answered()
    chat.better.get_by_role("button", name="Better").click()
    chat.rewrite("Mine")
    counts = chat.page.locator("#sidebar .counts")
    expect(counts).to_have_text("answers2votes1edits1comparisons1")
    expect(chat.page.locator("#sidebar")).to_contain_text("Judge kindly.")


def test_every_conversation_can_be_reached_from_the_sidebar(chat: Chat, visitor: Visitor) -> None:
    for number in range(52):
        visitor.conversation = ""
        visitor.say(f"say: Number {number}")
    theirs = {"name": visitor.cookie.name, "value": str(visitor.cookie.value), "url": chat.address}
    chat.page.context.add_cookies([theirs])
    chat.page.goto("about:blank")
    chat.open("#new")
    expect(chat.conversations).to_have_count(50)
    chat.press("Older conversations")
    expect(chat.conversations).to_have_count(52)
    expect(chat.button("Older conversations")).to_have_count(0)
    expect(chat.conversations.nth(50)).to_be_focused()
    chat.page.keyboard.press("Enter")
    chat.expect_answers("Number 1")
    expect(chat.conversations).to_have_count(52)
