"""What a monitoring system is told: counters kept while the page works, and what is looked up when it asks.

Every running page has a registry of its own; nothing is kept in the process-wide one of ``prometheus_client``. Labels
hold names of the study, of this code and of repos, never what an annotator or a client chose.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from labeler.core.events import ReplyFinished, VoteCast, VoteWithdrawn
from labeler.errors import EventConflict, SeqConflict
from labeler.watching import Answered, Appended, Watch

COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REPLY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0)
VOTES = {1: "like", -1: "dislike"}


@dataclass(frozen=True, slots=True)
class PushStanding:
    """How far a repo has followed the log. ``age`` is None if nothing was ever pushed to it."""

    repo: str
    age: float | None
    behind: int
    failures: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is looked up for each scrape. ``position`` is None while the database cannot be read.

    ``review`` counts the items of the review queue by state.
    """

    position: int | None
    pushes: Iterable[PushStanding] = ()
    review: Mapping[str, int] = field(default_factory=dict)


class Metrics(Watch):
    """Counts what it hears of. Safe to call from any thread.

    Args:
        build: facts about this program, by name.
        standing: what is looked up for each scrape; it raises nothing.
    """

    def __init__(self, build: Mapping[str, str], standing: Callable[[], Standing]) -> None:
        registry = self._registry = CollectorRegistry(auto_describe=False)
        Info("labeler_build", "What is running.", registry=registry).info(dict(build))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "labeler_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "labeler_http_request_seconds",
            "Time until an answer began.",
            ("route",),
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._events = Counter("labeler_events", "Events that this process stored.", ("kind",), registry=registry)
        self._votes = Counter("labeler_votes", "Votes that this process stored.", ("vote",), registry=registry)
        self._appends = Counter("labeler_appends", "Gestures that the log answered.", ("outcome",), registry=registry)
        self._commit = Histogram(
            "labeler_commit_seconds",
            "Time from a gesture's submission until it was durable.",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self._waiting = Gauge("labeler_writer_queue", "Gestures that wait to be durable.", registry=registry)
        self._running = Gauge("labeler_replies_running", "Answers being written.", ("model",), registry=registry)
        self._replies = Counter("labeler_model_replies", "Answers that ended.", ("model", "status"), registry=registry)
        self._reply_seconds = Histogram(
            "labeler_model_reply_seconds",
            "Time of a complete answer.",
            ("model",),
            buckets=REPLY_BUCKETS,
            registry=registry,
        )
        self._first_token = Histogram(
            "labeler_model_first_token_seconds",
            "Time until an answer's first text.",
            ("model",),
            buckets=REPLY_BUCKETS,
            registry=registry,
        )
        self._reloads = Counter(
            "labeler_study_reloads", "Readings of the study file while serving.", ("outcome",), registry=registry
        )
        registry.register(_Lookup(standing))
        # Finding a child by its labels costs more than counting with it.
        self._known: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}
        self._lock = threading.Lock()

    def exposition(self) -> bytes:
        """All of it in the text format of Prometheus (version 0.0.4). May wait for the database."""
        return generate_latest(self._registry)

    # ── what is heard ──

    def answered(self, answered: Answered) -> None:
        key = (answered.method, answered.route, answered.status)
        counter = self._known.get(key)
        if counter is None:
            counter = self._known[key] = self._requests.labels(*map(str, key))
        timer = self._timed.get(answered.route)
        if timer is None:
            timer = self._timed[answered.route] = self._request_seconds.labels(answered.route)
        counter.inc()
        timer.observe(answered.seconds)

    def submitted(self) -> None:
        self._waiting.inc()

    def appended(self, appended: Appended) -> None:
        self._waiting.dec()
        outcome = _outcome(appended)
        self._appends.labels(outcome).inc()
        if outcome != "stored":
            return
        self._commit.observe(appended.seconds)
        for event in appended.stored:
            payload = event.payload
            self._events.labels(payload.kind).inc()
            if isinstance(payload, VoteCast):
                self._votes.labels(VOTES.get(payload.vote, "other")).inc()
            elif isinstance(payload, VoteWithdrawn):
                self._votes.labels("withdrawn").inc()

    def reply_began(self, model: str) -> None:
        self._running.labels(model).inc()

    def reply_ended(self, model: str, end: ReplyFinished) -> None:
        self._running.labels(model).dec()
        self._replies.labels(model, end.status).inc()
        if end.status == "complete" and end.latency_ms is not None:
            self._reply_seconds.labels(model).observe(end.latency_ms / 1000)
        if end.first_token_ms is not None:
            self._first_token.labels(model).observe(end.first_token_ms / 1000)

    def reloaded(self, ok: bool) -> None:
        self._reloads.labels("taken" if ok else "refused").inc()


def _outcome(appended: Appended) -> str:
    if appended.error is None:
        return "repeated" if appended.repeated else "stored"
    return "conflict" if isinstance(appended.error, (SeqConflict, EventConflict)) else "failed"


class _Lookup(Collector):
    """What is looked up when somebody asks."""

    def __init__(self, standing: Callable[[], Standing]) -> None:
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        standing = self._standing()
        up = standing.position is not None
        yield GaugeMetricFamily("labeler_database_up", "Whether the log can be read.", value=float(up))
        if standing.position is not None:
            yield GaugeMetricFamily("labeler_log_position", "How far the log goes.", value=standing.position)
        age = GaugeMetricFamily("labeler_push_age_seconds", "Since the repo last held all of the log.", labels=["repo"])
        behind = GaugeMetricFamily("labeler_push_behind_events", "What the repo lacks of the log.", labels=["repo"])
        failures = GaugeMetricFamily("labeler_push_failures", "Pushes that failed in a row.", labels=["repo"])
        for push in standing.pushes:
            if push.age is not None:
                age.add_metric([push.repo], push.age)
            behind.add_metric([push.repo], push.behind)
            failures.add_metric([push.repo], push.failures)
        yield from (age, behind, failures)
        review = GaugeMetricFamily("labeler_review_items", "Items of the review queue.", labels=["state"])
        for state, count in standing.review.items():
            review.add_metric([state], count)
        yield review
