"""What holds for every history that gestures can make."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from labeler.core.bodies import body_json, decode
from labeler.core.events import AnswerEdited, Compared, ComparisonWithdrawn, Event, ReasonGiven, VoteCast, VoteWithdrawn
from labeler.core.folding import replay
from labeler.core.records import Candidate, Demonstration, Derived, PreferencePair, Prompt, UnpairedPreference
from labeler.core.rules import REASONS, RULES, Options, derive
from labeler.core.standing import Standing
from labeler.core.text import normal
from tests.histories import ANNOTATORS, histories
from tests.stories import Story

Record = PreferencePair | UnpairedPreference | Demonstration

EVERYBODY = Standing()
JUDGEMENTS = (VoteCast, VoteWithdrawn, ReasonGiven, Compared, ComparisonWithdrawn)
EVERYTHING_ON: dict[str, Any] = {
    "implicit": True,
    "sft_from_likes": True,
    "kto_liked_edits": True,
    "kto_truncated": True,
}
switches = st.fixed_dictionaries(
    {
        **{name: st.booleans() for name in EVERYTHING_ON},
        "max_pairs_per_prompt": st.integers(1, 4),
        "system_prompt": st.sampled_from(("keep", "merge", "drop")),
        "test_percent": st.sampled_from((0, 50)),
    }
)


def derived(events: Sequence[Event], standing: Standing = EVERYBODY, **options: Any) -> Derived:
    return derive(replay(events[0].conversation_id, events), standing, Options(**{"test_percent": 0, **options}))


def records(outcome: Derived) -> list[Record]:
    return [*outcome.pairs, *outcome.unpaired, *outcome.demonstrations]


def candidates(record: Record) -> tuple[Candidate, ...]:
    return (record.chosen, record.rejected) if isinstance(record, PreferencePair) else (record.completion,)


def renumbered(events: Sequence[Event]) -> list[Event]:
    return [replace(event, seq=seq, position=seq) for seq, event in enumerate(events, start=1)]


def without_order(outcome: Derived) -> tuple[Counter[Any], ...]:
    """The records with their events as sets, and the ledger as a bag."""

    def plain(record: Record) -> tuple[Any, ...]:
        grounds = record.grounds._replace(event_ids=tuple(sorted(record.grounds.event_ids)))
        label = record.label if isinstance(record, UnpairedPreference) else None
        return type(record), candidates(record), record.prompt.key, label, grounds

    return Counter(map(plain, records(outcome))), Counter(outcome.ledger)


# ── replay ──


@given(histories(), switches)
def test_the_same_log_gives_the_same_records(story: Story, options: dict[str, Any]) -> None:
    stored = [replace(event, payload=decode(event.payload.kind, _body(event))) for event in story.events]
    assert derived(stored, **options) == derived(story.events, **options)


def _body(event: Event) -> dict[str, Any]:
    return json.loads(body_json(event.payload))  # type: ignore[no-any-return]


@given(histories(), switches, st.data())
def test_a_withdrawn_vote_equals_none_cast(story: Story, options: dict[str, Any], data: st.DataObject) -> None:
    events = story.events
    place = data.draw(st.integers(2, len(events)), label="where")
    before = replay(story.stream_id, events[:place])
    voter = data.draw(st.sampled_from(ANNOTATORS), label="who")
    free = [
        one.id
        for one in before.messages.values()
        if one.role == "assistant" and one.status is not None and before.vote_of(voter, one.id) == 0
    ]
    assume(free)
    voted = data.draw(st.sampled_from(free), label="on what")
    cast = _between(events[place - 1], voter, VoteCast(message_id=voted, vote=data.draw(st.sampled_from((1, -1)))))
    back = _between(events[place - 1], voter, VoteWithdrawn(message_id=voted))
    with_it = renumbered([*events[:place], cast, back, *events[place:]])
    expected, found = derived(events, **options), derived(with_it, **options)
    assert replace(found, votes=[]) == replace(expected, votes=[])


def _between(event: Event, annotator_id: str, payload: VoteCast | VoteWithdrawn) -> Event:
    return replace(event, event_id=payload.kind, annotator_id=annotator_id, payload=payload)


@given(histories(), switches)
def test_when_others_judged_does_not_matter(story: Story, options: dict[str, Any]) -> None:
    """Judgements of somebody else may arrive at any time after what they judge: here, all at the end."""
    theirs = [one for one in story.events if one.annotator_id != "ann" and isinstance(one.payload, JUDGEMENTS)]
    own = [event for event in story.events if event not in theirs]
    late = renumbered([*own, *theirs])
    assert without_order(derived(late, **options)) == without_order(derived(story.events, **options))


@given(histories(), switches)
def test_who_may_not_be_heard_was_never_there(story: Story, options: dict[str, Any]) -> None:
    without = renumbered([event for event in story.events if event.annotator_id != "bob"])
    expected = derived(without, **options)
    found = derived(story.events, Standing(excluded=frozenset({"bob"})), **options)
    assert records(found) == records(expected)
    assert (found.votes, found.comparisons, found.messages) == (expected.votes, expected.comparisons, expected.messages)


@given(histories(), switches)
def test_nothing_goes_out_when_the_owner_may_not_be_heard(story: Story, options: dict[str, Any]) -> None:
    outcome = derived(story.events, Standing(consent_needed=True), **options)
    assert not records(outcome)
    assert (outcome.votes, outcome.comparisons, outcome.messages) == ([], [], [])


# ── what a trainer needs ──


@given(histories(), switches)
def test_chosen_is_never_rejected(story: Story, options: dict[str, Any]) -> None:
    for pair in derived(story.events, **options).pairs:
        assert normal(pair.chosen.content) != normal(pair.rejected.content)


@given(histories(), switches)
def test_no_pair_spans_two_prompts(story: Story, options: dict[str, Any]) -> None:
    for record in records(derived(story.events, **options)):
        messages = story.conversation.messages
        assert {messages[one.message_id].parent_id for one in candidates(record)} == {record.prompt.parent_id}


@given(histories(), switches)
def test_no_answer_is_empty_failed_or_unfinished(story: Story, options: dict[str, Any]) -> None:
    for record in records(derived(story.events, **options)):
        for candidate in candidates(record):
            assert candidate.content.strip()
            message = story.conversation.messages[candidate.message_id]
            assert message.status == "complete" or record.grounds.truncated


@given(histories(), switches)
def test_prompts_alternate_and_end_with_the_user(story: Story, options: dict[str, Any]) -> None:
    for record in records(derived(story.events, **options)):
        messages = record.prompt.messages
        assert all(message.keys() == {"role", "content"} and message["content"] for message in messages)
        roles = [message["role"] for message in messages if message["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert [message["role"] for message in messages].count("system") == (options["system_prompt"] == "keep")


@given(st.lists(histories(longest=8), min_size=2, max_size=5), st.sampled_from(("keep", "merge", "drop")))
def test_no_prompt_is_in_both_splits(stories: list[Story], system_prompt: str) -> None:
    splits: dict[str, set[str]] = {}
    for story in stories:
        for prompt in _prompts(derived(story.events, test_percent=50, system_prompt=system_prompt)):
            splits.setdefault(prompt.key, set()).add(prompt.split)
    assert all(len(found) == 1 for found in splits.values())


def _prompts(outcome: Derived) -> Iterator[Prompt]:
    return (record.prompt for record in records(outcome))


# ── what a reader needs ──


@given(histories(), switches)
def test_every_record_names_events_that_are_there_in_the_order_of_the_log(
    story: Story, options: dict[str, Any]
) -> None:
    seqs = {event.event_id: event.seq for event in story.events}
    days = {event.event_id: event.at[:10] for event in story.events}
    for record in records(derived(story.events, **options)):
        named = [seqs[event_id] for event_id in record.grounds.event_ids]
        assert named
        assert named == sorted(set(named))
        assert record.grounds.created_at == max(days[event_id] for event_id in record.grounds.event_ids)


@given(histories(), switches)
def test_every_answer_is_in_a_record_or_in_the_ledger(story: Story, options: dict[str, Any]) -> None:
    outcome = derived(story.events, **options)
    answers = {one.id for one in story.conversation.messages.values() if one.role == "assistant"}
    in_records = {one.message_id for record in records(outcome) for one in candidates(record)}
    in_ledger = {one for exclusion in outcome.ledger for one in exclusion.candidates}
    assert answers == in_records | in_ledger


@given(histories(), switches)
def test_every_row_names_messages_that_have_a_row(story: Story, options: dict[str, Any]) -> None:
    """Even where all rewrites are those of somebody who may not be heard."""
    events = [
        replace(one, annotator_id="bob") if isinstance(one.payload, AnswerEdited) else one for one in story.events
    ]
    outcome = derived(events, Standing(excluded=frozenset({"bob"})), **options)
    there = {row.message_id for row in outcome.messages}
    assert {row.parent_id for row in outcome.messages} <= {None, *there}
    assert {row.message_id for row in outcome.votes} <= there
    assert {one for row in outcome.comparisons for one in (row.message_a, row.message_b)} <= there
    assert {one.message_id for record in records(outcome) for one in candidates(record)} <= there


@given(histories(), switches)
def test_no_record_comes_twice(story: Story, options: dict[str, Any]) -> None:
    outcome = derived(story.events, **options)
    keys = Counter(
        (type(record), frozenset(one.message_id for one in candidates(record))) for record in records(outcome)
    )
    assert set(keys.values()) <= {1}


@given(histories(), switches)
def test_grounds_are_within_their_bounds(story: Story, options: dict[str, Any]) -> None:
    for record in records(derived(story.events, **options)):
        grounds = record.grounds
        assert 0 < grounds.confidence <= 0.99
        assert 0 < grounds.weight <= 1
        assert 0.5 <= grounds.agreement <= 1
        assert grounds.source in grounds.sources
        assert set(grounds.sources) <= RULES.keys()
        assert grounds.annotator_ids == tuple(sorted(set(grounds.annotator_ids)))
        assert (grounds.strength in (1, 2, 3)) or not isinstance(record, PreferencePair)


@given(histories(), switches)
def test_pairs_from_votes_weigh_no_more_than_one_pair_under_a_prompt(story: Story, options: dict[str, Any]) -> None:
    voted: dict[str, list[float]] = {}
    for pair in derived(story.events, **options).pairs:
        if set(pair.grounds.sources) & {"R4", "R4x"} and pair.grounds.weight < 1:
            voted.setdefault(pair.prompt.parent_id, []).append(pair.grounds.weight)
    for weights in voted.values():
        assert len(weights) <= options["max_pairs_per_prompt"]
        assert sum(weights) < 1.001


@given(histories(), switches)
def test_the_ledger_speaks_the_books_language(story: Story, options: dict[str, Any]) -> None:
    for exclusion in derived(story.events, **options).ledger:
        assert exclusion.rule == REASONS[exclusion.reason][0]
        assert exclusion.candidates


@given(histories())
def test_what_is_optional_is_off_unless_asked_for(story: Story) -> None:
    conversation = replay(story.stream_id, story.events)
    for record in records(derive(conversation, EVERYBODY, Options())):
        assert not set(record.grounds.sources) & {"R2s", "R5", "R5b", "R6", "R10", "R20"}


@given(histories())
def test_an_option_adds_and_never_takes_away(story: Story) -> None:
    plain, full = derived(story.events), derived(story.events, **EVERYTHING_ON)
    assert [_named(one) for one in records(plain) if _named(one) not in {_named(one) for one in records(full)}] == []


def _named(record: Record) -> tuple[type, tuple[str, ...]]:
    return type(record), tuple(one.message_id for one in candidates(record))
