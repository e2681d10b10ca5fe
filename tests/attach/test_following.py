"""Following a foreign chat page: whatever it does, the branch that shows is what its browser shows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core import following, gestures
from labeler.core.conversation import Conversation
from labeler.core.copies import Copy, Said
from labeler.core.events import ConversationStarted, NewEvent, Payload, ReplyStarted, Status
from labeler.core.folding import apply
from labeler.core.following import Hand, follow, shown
from labeler.errors import GestureRefused

TEXTS = ("Hi", "Why?", "One.", "Two.")
ENDINGS: tuple[Status, ...] = ("complete", "complete", "complete", "stopped", "failed")


@dataclass
class Page:
    """A foreign chat page, and what is recorded of it: gestures are heard before the page acts, then what it shows."""

    chat: list[Said] = field(default_factory=list)
    conversation: Conversation = field(default_factory=lambda: Conversation("c"))
    cleared: list[Conversation] = field(default_factory=list)
    keeps: bool = False
    answers_in_one_go: bool = True
    log: list[Payload] = field(default_factory=list)
    counter: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._store([ConversationStarted(study="s", mode="attached", model="m")])

    # ── the page ──

    def send(self, text: str, answer: str, ending: Status) -> None:
        self.chat.append(Said("user", text))
        self._answered(answer, ending)

    def retry(self, answer: str, ending: Status) -> None:
        place = self._last_question()
        if place is None or place == len(self.chat) - 1:
            return
        self._heard(following.retry(self._seen(), self.copy, place, self._hand()))
        del self.chat[place + 1 :]
        self._answered(answer, ending)

    def undo(self) -> None:
        place = self._last_question()
        if place is not None:
            self._heard(following.undo(self._seen(), self.copy, place))
            del self.chat[place:]
            self._settled("complete")

    def edit(self, which: int, text: str, answer: str, ending: Status) -> None:
        if not self.chat:
            return
        place = which % len(self.chat)
        self._seen()
        old = self.chat[place]
        self.chat[place] = Said(old.role, text)
        self._heard(following.edit(self.conversation, place, text, self._hand()))
        if self.keeps:
            return self._settled("complete")
        del self.chat[place + 1 :]
        if old.role == "user":
            return self._answered(answer, ending, edited=True)
        return self._settled("complete")

    def clear(self) -> None:
        self._heard(gestures.clear(self.conversation))
        self.chat = []
        self._settled("complete")

    def vote(self, which: int, value: int) -> None:
        answers = [place for place, said in enumerate(self.chat) if said.role == "assistant"]
        if answers:
            place = answers[which % len(answers)]
            node = following.node_at(self._seen(), self.copy, place)
            self._heard(gestures.vote(self.conversation, "ann", node.id, value))
            assert self.conversation.vote_of("ann", node.id) == value

    # ── what is heard of it ──

    @property
    def copy(self) -> Copy:
        return Copy(tuple(self.chat), tuple(range(len(self.chat))))

    def _answered(self, answer: str, ending: Status, *, edited: bool = False) -> None:
        if not self.answers_in_one_go:
            self._store(follow(self.conversation, self.copy, self._hand(ending=None)))
        if not (ending != "complete" and answer == "One."):  # some failures come before the first word
            self.chat.append(Said("assistant", answer))
        self._settled(ending, edited=edited)

    def _settled(self, ending: Status, *, edited: bool = False) -> None:
        if self.conversation.cleared:
            self.cleared.append(self.conversation)
            self.conversation = Conversation(f"c{len(self.cleared)}")
            self._store([ConversationStarted(study="s", mode="attached", model="m")])
        self._store(follow(self.conversation, self.copy, self._hand(ending=ending, answered=edited)))
        self._same()
        again = follow(self.conversation, self.copy, self._hand(ending=ending, answered=edited))
        assert again == [] or self.conversation.cleared, "what is known already is told once"

    def _seen(self) -> Conversation:
        self._store(follow(self.conversation, self.copy, self._hand()))
        self._same()
        return self.conversation

    def _same(self) -> None:
        path = [] if self.conversation.cleared else shown(self.conversation)
        assert [Said(message.role, message.content) for message in path] == self.chat

    def _heard(self, payloads: Sequence[Payload]) -> None:
        self._store(payloads)

    def _store(self, payloads: Sequence[Payload]) -> None:
        for payload in payloads:
            event = NewEvent(
                event_id=f"e{next(self.counter)}",
                conversation_id=self.conversation.id,
                seq=self.conversation.seq + 1,
                at="2026-11-22T10:00:00.000000Z",
                annotator_id="ann",
                payload=payload,
            )
            apply(self.conversation, event)
            self.log.append(payload)

    def _last_question(self) -> int | None:
        return next((place for place in reversed(range(len(self.chat))) if self.chat[place].role == "user"), None)

    def _hand(self, *, ending: Status | None = "complete", answered: bool = False) -> Hand:
        return Hand(ids=lambda: f"m{next(self.counter)}", model="m", ending=ending, answered=answered)


texts = st.sampled_from(TEXTS)
endings = st.sampled_from(ENDINGS)
which = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("send"), texts, texts, endings),
    st.tuples(st.just("send"), texts, texts, endings),
    st.tuples(st.just("retry"), texts, endings),
    st.tuples(st.just("undo")),
    st.tuples(st.just("edit"), which, texts, texts, endings),
    st.tuples(st.just("clear")),
    st.tuples(st.just("vote"), which, st.sampled_from((1, -1, 0))),
)


@given(st.lists(steps, max_size=16), st.booleans(), st.booleans())
def test_after_any_gestures_the_branch_that_shows_is_what_the_browser_shows(
    deeds: list[tuple[object, ...]], keeps: bool, in_one_go: bool
) -> None:
    page = Page(keeps=keeps, answers_in_one_go=in_one_go)
    for name, *words in deeds:
        getattr(page, str(name))(*words)


copies = st.lists(st.builds(Said, st.sampled_from(("user", "assistant")), texts), max_size=7)


def settled(said: Sequence[Said]) -> list[Said]:
    """A copy as it is read: answers follow messages, one answer each."""
    kept: list[Said] = []
    for one in said:
        if one.role == "user" or (kept and kept[-1].role == "user"):
            kept.append(one)
    return kept


@given(st.lists(copies, max_size=6))
def test_whatever_a_page_shows_next_shows_here_too_unless_an_answer_alone_is_gone(
    shown_in_turn: list[list[Said]],
) -> None:
    page = Page()
    for said in shown_in_turn:
        before = page.chat
        page.chat = settled(said)
        if before[: len(page.chat)] == page.chat and page.chat and page.chat[-1].role == "user":
            page.chat = before
        page._settled("complete")


# ── single cases ──


def asked(**how: object) -> Page:
    page = Page(**how)  # type: ignore[arg-type]
    page.send("Why?", "One.", "complete")
    return page


def kinds(page: Page) -> list[str]:
    return [payload.kind for payload in page.log][1:]


def test_a_first_answer_is_three_events() -> None:
    assert kinds(asked()) == ["message_sent", "reply_started", "reply_finished"]


def test_a_retry_keeps_the_answer_that_showed_as_a_sibling() -> None:
    page = asked()
    page.retry("Two.", "complete")
    one, two = page.conversation.messages[shown(page.conversation)[0].id].children
    assert page.conversation.messages[two].retries == one


def test_an_edit_names_what_it_was_made_from() -> None:
    page = asked()
    page.edit(1, "Two.", "", "complete")
    new = shown(page.conversation)[1]
    assert (new.origin, page.conversation.messages[new.edits or ""].content) == ("human_edit", "One.")


def test_what_a_page_keeps_below_an_edit_is_marked_as_carried_over() -> None:
    page = asked(keeps=True)
    page.edit(0, "Hi", "", "complete")
    replies = [payload for payload in page.log if isinstance(payload, ReplyStarted)]
    assert [dict(reply.sampling) for reply in replies] == [{}, following.CARRIED]


def test_an_answer_that_a_page_makes_anew_after_an_edit_is_not_carried_over() -> None:
    page = asked()
    page.edit(0, "Hi", "One.", "complete")
    replies = [payload for payload in page.log if isinstance(payload, ReplyStarted)]
    assert [dict(reply.sampling) for reply in replies] == [{}, {}]


def test_an_answer_that_may_still_be_written_is_not_recorded() -> None:
    page = Page()
    page.chat = [Said("user", "Why?"), Said("assistant", "On")]
    page._store(follow(page.conversation, page.copy, page._hand(ending=None)))
    assert kinds(page) == ["message_sent"]


def test_a_failure_before_the_first_word_is_an_answer_that_failed() -> None:
    page = Page()
    page.send("Why?", "One.", "failed")
    failed = list(page.conversation.messages.values())[-1]
    assert (failed.role, failed.status, failed.content) == ("assistant", "failed", "")


def test_a_page_that_clears_itself_has_cleared_the_conversation() -> None:
    page = asked()
    page.chat = []
    page._store(follow(page.conversation, page.copy, page._hand()))
    assert page.conversation.cleared


def test_a_copy_that_is_not_all_there_is_takes_nothing_back() -> None:
    page = asked()
    part = page.copy.upto(0)
    hand = Hand(ids=str, model="m", whole=False)
    assert follow(page.conversation, part, hand) == []


def test_a_vote_on_other_words_than_those_recorded_is_refused() -> None:
    page = asked()
    with pytest.raises(GestureRefused):
        following.node_at(page.conversation, page.copy.with_text(1, "On"), 1)
