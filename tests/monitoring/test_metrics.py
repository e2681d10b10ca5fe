"""What is counted is what happened, in the format that Prometheus reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from labeler.core.events import Event, NewEvent, ReplyFinished, VoteCast, VoteWithdrawn
from labeler.errors import EventConflict, SeqConflict, StoreError
from labeler.metrics import COUNTED, TIMED, Metrics, PushStanding, Standing
from labeler.watching import Answered, Appended

AT = "2026-11-22T10:00:00.000000Z"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    """Every sample of the exposition by its name and labels, as a scraper reads them."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for one in family.samples:
            found[one.name, frozenset(one.labels.items())] = one.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def metrics_of(standing: Standing | None = None) -> Metrics:
    return Metrics({"version": "1"}, lambda: standing or Standing(7))


def vote(number: int, at: str = AT, position: int | None = None) -> NewEvent:
    payload = VoteWithdrawn(message_id="m") if number == 0 else VoteCast(message_id="m", vote=number)
    event = {"event_id": "e", "conversation_id": "c", "seq": 5, "at": at, "annotator_id": "a", "payload": payload}
    return NewEvent(**event) if position is None else Event(**event, position=position)


def stored(number: int, seconds: float = 0.001, *, before: bool = False) -> Appended:
    answer = vote(number, "2026-11-22T09:00:00.000000Z" if before else AT, 9)
    assert isinstance(answer, Event)
    return Appended([vote(number)], [answer], None, seconds, None)


def failed(error: Exception) -> Appended:
    return Appended([vote(1)], [], error, 0.5, None)


@given(st.lists(st.sampled_from([1, -1, 0]), max_size=30))
def test_votes_are_counted_once_each_by_what_they_say(votes: Sequence[int]) -> None:
    metrics = metrics_of()
    for one in votes:
        metrics.submitted()
        metrics.appended(stored(one))
        metrics.submitted()
        metrics.appended(stored(one, before=True))  # delivered again
    found, names = samples(metrics), {1: "like", -1: "dislike", 0: "withdrawn"}
    for number, count in Counter(votes).items():
        assert value(found, "labeler_votes_total", vote=names[number]) == count
    assert (value(found, "labeler_appends_total", outcome="stored") or 0) == len(votes)
    assert (value(found, "labeler_appends_total", outcome="repeated") or 0) == len(votes)
    assert (value(found, "labeler_commit_seconds_count") or 0) == len(votes)
    assert value(found, "labeler_writer_queue") == 0


@given(st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=40))
def test_a_histogram_says_how_many_were_at_most_each_bound(spans: Sequence[float]) -> None:
    metrics = metrics_of()
    for seconds in spans:
        metrics.answered(Answered("r", "GET", "/", 200, seconds))
    found = samples(metrics)
    for bound in TIMED["labeler_http_request_seconds"].bounds:
        told = value(found, "labeler_http_request_seconds_bucket", route="/", le=str(bound))
        assert told == sum(one <= bound for one in spans)
    assert value(found, "labeler_http_request_seconds_bucket", route="/", le="+Inf") == len(spans)
    assert value(found, "labeler_http_request_seconds_sum", route="/") == pytest.approx(sum(spans))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(SeqConflict("x"), "conflict"), (EventConflict("x"), "conflict"), (StoreError("x"), "failed")],
)
def test_what_was_not_stored_is_counted_apart_and_waits_no_longer(error: Exception, outcome: str) -> None:
    metrics = metrics_of()
    metrics.submitted()
    assert value(samples(metrics), "labeler_writer_queue") == 1
    metrics.appended(failed(error))
    found = samples(metrics)
    assert value(found, "labeler_appends_total", outcome=outcome) == 1
    assert value(found, "labeler_writer_queue") == 0
    assert not any(name == "labeler_votes_total" for name, _ in found)


def test_an_answer_runs_until_it_has_ended_and_only_a_complete_one_has_a_time() -> None:
    metrics = metrics_of()
    metrics.reply_began("m")
    metrics.reply_began("m")
    assert value(samples(metrics), "labeler_replies_running", model="m") == 2
    metrics.reply_ended("m", ReplyFinished(message_id="a", content="x", status="complete", latency_ms=1500))
    metrics.reply_ended("m", ReplyFinished(message_id="b", content="", status="failed", latency_ms=10, error="no"))
    found = samples(metrics)
    assert value(found, "labeler_replies_running", model="m") == 0
    assert value(found, "labeler_model_replies_total", model="m", status="failed") == 1
    assert value(found, "labeler_model_reply_seconds_count", model="m") == 1
    assert value(found, "labeler_model_reply_seconds_sum", model="m") == 1.5


def test_pushes_and_reviews_are_looked_up_when_somebody_asks() -> None:
    push = PushStanding("hub/a", age=12.5, behind=3, failures=2)
    never = PushStanding("hub/b", age=None, behind=7, failures=0)
    found = samples(metrics_of(Standing(7, [push, never], {"open": 4})))
    assert value(found, "labeler_push_age_seconds", repo="hub/a") == 12.5
    assert value(found, "labeler_push_age_seconds", repo="hub/b") is None
    assert value(found, "labeler_push_behind_events", repo="hub/b") == 7
    assert value(found, "labeler_push_failures", repo="hub/a") == 2
    assert value(found, "labeler_review_items", state="open") == 4
    assert value(found, "labeler_log_position") == 7


def test_without_its_database_a_page_still_says_what_it_counted() -> None:
    metrics = metrics_of(Standing(None))
    metrics.answered(Answered("r", "GET", "/", 200, 0.1))
    found = samples(metrics)
    assert value(found, "labeler_database_up") == 0
    assert value(found, "labeler_log_position") is None
    assert value(found, "labeler_http_requests_total", method="GET", route="/", status="200") == 1


def test_two_pages_in_one_process_count_apart() -> None:
    one, other = metrics_of(), metrics_of()
    one.answered(Answered("r", "GET", "/", 200, 0.1))
    assert value(samples(other), "labeler_http_requests_total", method="GET", route="/", status="200") is None


def test_every_family_says_what_it_is() -> None:
    text = metrics_of().exposition().decode()
    for name in (*COUNTED, *TIMED):
        assert f"# HELP {name}" in text
