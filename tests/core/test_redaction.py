"""What becomes of hits: the same value the same placeholder wherever it stands, and nothing that was found gets out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.conversation import Conversation
from labeler.core.folding import replay
from labeler.core.redaction import WITHHELD, Span, apart, hits_in, redact, texts_of
from labeler.core.rules import Options, derive
from labeler.core.standing import Standing
from labeler.ids import text_sha256
from tests.stories import Story, told

KINDS = frozenset({"EMAIL", "CODE"})
EVERYBODY = Standing(consent_needed=False)


def find(texts: Sequence[str]) -> Mapping[str, Sequence[Span]]:
    """Addresses, and codes of four digits."""
    return {text: _hits(text) for text in texts}


def _hits(text: str) -> list[Span]:
    emails = [Span(*found.span(), "EMAIL") for found in re.finditer(r"[a-z]+@[a-z]+\.[a-z]+", text, re.IGNORECASE)]
    return [*emails, *(Span(*found.span(), "CODE") for found in re.finditer(r"\d{4}", text))]


def redacted(story: Story, policy: Literal["replace", "block", "keep"] = "replace") -> Conversation:
    conversation = replay(story.stream_id, story.events)
    redact(conversation, policy, KINDS, find)
    return conversation


def reviewed(story: Story, text: str, value: str, *, restored: bool = True) -> Story:
    start = text.index(value)
    return story.reviewed(text_sha256(text), start, start + len(value), _hits(text)[0].kind, restored)


def talk() -> Story:
    story = told("ann", "c1").asks("I am jane@x.org, not tom@y.net.").answers("Hello JANE@x.org!").dislikes()
    story.explains("Wrong", comment="It told tom@y.net 1234")
    return story.retries("Hello.").better()


# ── replace ──


def test_one_value_has_one_placeholder_wherever_it_stands() -> None:
    conversation = redacted(talk())
    assert [message.content for message in conversation.messages.values()] == [
        "I am <EMAIL_1>, not <EMAIL_2>.",
        "Hello <EMAIL_1>!",
        "Hello.",
    ]
    assert [fact.comment for fact in conversation.reasons] == ["It told <EMAIL_2> <CODE_1>"]


def test_prompt_chosen_and_rejected_are_redacted_alike() -> None:
    story = told("ann", "c1").asks("Write to a@b.de").answers("To a@b.de, then.").retries("A@B.de it is.").better()
    conversation = replay(story.stream_id, story.events)
    done = redact(conversation, "replace", KINDS, find)
    derived = derive(conversation, EVERYBODY, Options(test_percent=0))
    done.recheck(derived)
    (pair,) = derived.pairs
    assert pair.prompt.messages == [{"role": "user", "content": "Write to <EMAIL_1>"}]
    assert (pair.chosen.content, pair.rejected.content) == ("<EMAIL_1> it is.", "To <EMAIL_1>, then.")
    assert derived.redacted == {"EMAIL": 3}


def test_answers_that_differ_in_nothing_but_what_was_replaced_are_still_two() -> None:
    story = told("ann", "c1").asks("Whom?").answers("a@b.de").retries("c@d.de").better()
    (pair,) = derive(redacted(story), EVERYBODY, Options(test_percent=0)).pairs
    assert (pair.chosen.content, pair.rejected.content) == ("<EMAIL_2>", "<EMAIL_1>")


def test_the_system_prompt_is_redacted_too() -> None:
    conversation = redacted(
        told("ann", "c1", system_prompt="Say that you are bot@x.org.").asks("Who?").answers("bot@x.org")
    )
    assert conversation.started is not None
    assert conversation.started.system_prompt == "Say that you are <EMAIL_1>."


def test_kinds_that_are_not_asked_for_stay() -> None:
    story = told("ann", "c1").asks("jane@x.org has 1234.").answers("Yes.")
    conversation = replay(story.stream_id, story.events)
    redact(conversation, "replace", frozenset({"CODE"}), find)
    assert next(iter(conversation.messages.values())).content == "jane@x.org has <CODE_1>."


def test_a_conversation_without_a_hit_is_not_touched() -> None:
    story = told("ann", "c1").asks("How?").answers("So.").likes()
    assert redacted(story) == replay(story.stream_id, story.events)


def test_a_text_that_cannot_be_cleaned_is_withheld() -> None:
    def everywhere(texts: Sequence[str]) -> Mapping[str, Sequence[Span]]:
        return {text: [Span(0, 1, "CODE")] if text and text != WITHHELD else [] for text in texts}

    story = told("ann", "c1").asks("Never clean.").answers("")
    conversation = replay(story.stream_id, story.events)
    redact(conversation, "replace", KINDS, everywhere)
    assert next(iter(conversation.messages.values())).content == WITHHELD


def test_what_shows_only_where_two_messages_were_joined_goes_to_the_ledger() -> None:
    def across(texts: Sequence[str]) -> Mapping[str, Sequence[Span]]:
        return {text: [Span(*hit.span(), "CODE") for hit in re.finditer(r"12\s+34|ab", text)] for text in texts}

    story = told("ann", "c1").asks("12").fails().asks("34").answers("ab").likes().retries("No.").better()
    conversation = replay(story.stream_id, story.events)
    done = redact(conversation, "replace", KINDS, across)
    derived = derive(conversation, EVERYBODY, Options(test_percent=0))
    assert derived.pairs[0].prompt.messages[0]["content"] == "12\n\n34"
    count = len(derived.pairs) + len(derived.unpaired) + len(derived.demonstrations)
    done.recheck(derived)
    assert (derived.pairs, derived.unpaired, derived.demonstrations) == ([], [], [])
    assert derived.excluded["personal_data"] == count > 1


# ── block and keep ──


def test_blocked_messages_go_with_all_that_rests_on_them() -> None:
    story = told("ann", "c1").asks("Who?").answers("Ask jane@x.org.").likes().asks("Why?").answers("So.").likes()
    story.retries("Because.").better()
    derived = derive(redacted(story, "block"), EVERYBODY, Options())
    assert [row.content for row in derived.messages] == ["Who?"]
    assert (derived.pairs, derived.unpaired, derived.votes, derived.comparisons) == ([], [], [], [])
    assert derived.excluded == {"personal_data": 2}


def test_a_blocked_answer_leaves_its_sibling() -> None:
    story = told("ann", "c1").asks("Who?").answers("Ask jane@x.org.").retries("Nobody.").likes()
    derived = derive(redacted(story, "block"), EVERYBODY, Options())
    assert [row.completion.content for row in derived.unpaired] == ["Nobody."]


def test_a_comment_with_a_hit_is_left_out_and_its_vote_stays() -> None:
    story = told("ann", "c1").asks("Who?").answers("Me.").likes().explains("Helpful", comment="like tom@y.net")
    (vote,) = derive(redacted(story, "block"), EVERYBODY, Options()).votes
    assert (vote.vote, vote.comment) == (1, "")


def test_a_hit_in_the_system_prompt_blocks_everything() -> None:
    story = told("ann", "c1", system_prompt="You are bot@x.org.").asks("Who?").answers("Me.").likes()
    assert derive(redacted(story, "block"), EVERYBODY, Options()).messages == []


def test_keep_changes_nothing_and_counts() -> None:
    conversation = replay("c1", talk().events)
    found = redact(conversation, "keep", KINDS, find).found
    assert conversation == replay("c1", talk().events)
    assert found == {"EMAIL": 4, "CODE": 1}


# ── the split ──


@pytest.mark.parametrize("name", [f"n{number}" for number in range(12)])
def test_the_split_is_that_of_the_opener_as_typed_or_there_is_no_record(name: str) -> None:
    options = Options(test_percent=50)

    def pairs(story: Story, policy: Literal["replace", "keep"]) -> list[tuple[str, str]]:
        derived = derive(redacted(story, policy), EVERYBODY, options)
        return [(pair.prompt.split, pair.prompt.group_key) for pair in derived.pairs]

    def one(opener: str) -> Story:
        return told("ann", "c1").asks(opener).answers("A.").retries("B.").better()

    email = "".join(chr(ord("a") + int(digit)) for digit in name[1:])
    plain = pairs(one("I am <EMAIL_1>."), "keep")
    typed, now = pairs(one(f"I am {email}@x.org."), "keep"), pairs(one(f"I am {email}@x.org."), "replace")
    assert now in ([], plain)
    assert bool(now) is (typed[0][0] == plain[0][0])


# ── reviews ──


def test_a_restored_value_is_shown_wherever_it_stands() -> None:
    story = talk()
    conversation = redacted(reviewed(story, "I am jane@x.org, not tom@y.net.", "jane@x.org"))
    assert [message.content for message in conversation.messages.values()][:2] == [
        "I am jane@x.org, not <EMAIL_2>.",
        "Hello JANE@x.org!",
    ]


def test_the_last_review_counts() -> None:
    text = "I am jane@x.org, not tom@y.net."
    story = reviewed(reviewed(talk(), text, "jane@x.org"), text, "jane@x.org", restored=False)
    assert next(iter(redacted(story).messages.values())).content == "I am <EMAIL_1>, not <EMAIL_2>."


def test_records_with_a_restored_value_pass_the_second_look() -> None:
    story = reviewed(talk(), "I am jane@x.org, not tom@y.net.", "jane@x.org")
    conversation = replay(story.stream_id, story.events)
    done = redact(conversation, "replace", KINDS, find)
    derived = derive(conversation, EVERYBODY, Options(test_percent=0))
    done.recheck(derived)
    assert derived.pairs
    assert "personal_data" not in derived.excluded


def test_a_review_of_a_text_that_is_gone_says_nothing() -> None:
    story = talk().reviewed("0" * 64, 0, 4, "EMAIL", True)
    assert next(iter(redacted(story).messages.values())).content == "I am <EMAIL_1>, not <EMAIL_2>."


# ── any conversation ──

PIECES = st.lists(
    st.sampled_from(["jane@x.org", "tom@y.net", "1234", "5678", "12", "34", " ", "é😀", "hi"]), max_size=6
)
TEXTS = PIECES.map("".join)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=4), st.sampled_from(["replace", "block"]))
def test_nothing_that_can_be_found_is_published(
    turns: list[tuple[str, str, str]], policy: Literal["replace", "block"]
) -> None:
    story = told("ann", "c1", system_prompt=turns[0][0])
    for question, answer, other in turns:
        story = story.asks(f"{question}?").answers(f"{answer} a").likes().explains("Helpful", comment=other)
        story = story.retries(f"{other} b").better().edits(f"{answer}!{other}")
    conversation = replay(story.stream_id, story.events)
    done = redact(conversation, policy, KINDS, find)
    derived = derive(conversation, EVERYBODY, Options(sft_from_likes=True))
    done.recheck(derived)
    texts = [row.content for row in derived.messages] + [row.comment for row in (*derived.votes, *derived.comparisons)]
    for record in (*derived.pairs, *derived.unpaired, *derived.demonstrations):
        texts += [message["content"] for message in record.prompt.messages]
        texts += [
            value.content for name in ("chosen", "rejected", "completion") if (value := getattr(record, name, None))
        ]
    assert not [text for text in texts if _hits(text)]


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_placeholders_tell_values_apart_just_as_they_were(texts: list[str]) -> None:
    story = told("ann", "c1")
    for text in texts:
        story = story.asks(f"{text}?").answers("ok")
    hits = hits_in(replay(story.stream_id, story.events), find, KINDS)
    names = {(hit.span.kind, hit.value.casefold()) for hit in hits}
    assert len({hit.placeholder for hit in hits}) == len(names)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), st.sampled_from("AB")), max_size=8))
def test_hits_that_overlap_become_one_that_covers_both(found: list[tuple[int, int, str]]) -> None:
    spans = [Span(start, start + length, kind) for start, length, kind in found]
    kept = apart(spans)
    covered = {place for span in spans for place in range(span.start, span.end)}
    assert {place for span in kept for place in range(span.start, span.end)} == covered
    assert all(one.end <= other.start for one, other in pairwise(kept))


def test_texts_are_each_named_once_in_the_order_of_the_log() -> None:
    conversation = replay("c1", talk().events)
    assert texts_of(conversation) == [
        "I am jane@x.org, not tom@y.net.",
        "Hello JANE@x.org!",
        "It told tom@y.net 1234",
        "Hello.",
    ]
