"""What a monitoring system is told: counters kept while the page works, and what is looked up when it asks.

Every running page has a registry of its own; nothing is kept in the process-wide one of ``prometheus_client``. Labels
hold names of the study, of this code and of repos, never what an annotator or a client chose.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from labeler.core.events import ReplyFinished, VoteCast, VoteWithdrawn
from labeler.errors import EventConflict, SeqConflict
from labeler.watching import Answered, Appended, Watch

COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REPLY_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0)
VOTES = {1: "like", -1: "dislike"}


@dataclass(frozen=True, slots=True)
class Timed:
    """What a histogram is told of, by which labels, and the upper bounds of its buckets in seconds."""

    words: str
    labels: Sequence[str]
    bounds: Sequence[float]


COUNTED: Mapping[str, tuple[str, Sequence[str]]] = {
    "labeler_http_requests": ("Requests answered.", ("method", "route", "status")),
    "labeler_events": ("Events that this process stored.", ("kind",)),
    "labeler_votes": ("Votes that this process stored.", ("vote",)),
    "labeler_appends": ("Gestures that the log answered.", ("outcome",)),
    "labeler_model_replies": ("Answers that ended.", ("model", "status")),
    "labeler_study_reloads": ("Readings of the study file while serving.", ("outcome",)),
}
TIMED: Mapping[str, Timed] = {
    "labeler_http_request_seconds": Timed("Time until an answer began.", ("route",), REQUEST_BOUNDS),
    "labeler_commit_seconds": Timed("Time from a gesture's submission until it was durable.", (), COMMIT_BOUNDS),
    "labeler_model_reply_seconds": Timed("Time of a complete answer.", ("model",), REPLY_BOUNDS),
    "labeler_model_first_token_seconds": Timed("Time until an answer's first text.", ("model",), REPLY_BOUNDS),
}


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

    Counting is a few plain additions under one lock: the client library's own counters, found by their labels, would be
    a tenth of what a vote costs. Its families are made when somebody asks.

    Args:
        build: facts about this program, by name.
        standing: what is looked up for each scrape; it raises nothing.
    """

    def __init__(self, build: Mapping[str, str], standing: Callable[[], Standing]) -> None:
        self._build, self._standing = dict(build), standing
        self._lock = threading.Lock()
        self._counts: dict[str, defaultdict[tuple[str, ...], int]] = {name: defaultdict(int) for name in COUNTED}
        self._times: dict[str, dict[tuple[str, ...], _Times]] = {name: {} for name in TIMED}
        self._waiting = 0
        self._running: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._book = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._book)
        PlatformCollector(registry=self._book)
        self._book.register(_Collected(self._families))

    def exposition(self) -> bytes:
        """All of it in the text format of Prometheus (version 0.0.4). May wait for the database."""
        return generate_latest(self._book)

    # ── what is heard ──

    def answered(self, answered: Answered) -> None:
        with self._lock:
            self._counts["labeler_http_requests"][answered.method, answered.route, str(answered.status)] += 1
            self._time("labeler_http_request_seconds", (answered.route,), answered.seconds)

    def submitted(self) -> None:
        with self._lock:
            self._waiting += 1

    def appended(self, appended: Appended) -> None:
        outcome = _outcome(appended)
        with self._lock:
            self._waiting -= 1
            self._counts["labeler_appends"][outcome,] += 1
            if outcome != "stored":
                return
            self._time("labeler_commit_seconds", (), appended.seconds)
            for event in appended.stored:
                payload = event.payload
                self._counts["labeler_events"][payload.kind,] += 1
                if isinstance(payload, VoteCast):
                    self._counts["labeler_votes"][VOTES.get(payload.vote, "other"),] += 1
                elif isinstance(payload, VoteWithdrawn):
                    self._counts["labeler_votes"]["withdrawn",] += 1

    def reply_began(self, model: str) -> None:
        with self._lock:
            self._running[model,] += 1

    def reply_ended(self, model: str, end: ReplyFinished) -> None:
        with self._lock:
            self._running[model,] -= 1
            self._counts["labeler_model_replies"][model, end.status] += 1
            if end.status == "complete" and end.latency_ms is not None:
                self._time("labeler_model_reply_seconds", (model,), end.latency_ms / 1000)
            if end.first_token_ms is not None:
                self._time("labeler_model_first_token_seconds", (model,), end.first_token_ms / 1000)

    def reloaded(self, ok: bool) -> None:
        with self._lock:
            self._counts["labeler_study_reloads"]["taken" if ok else "refused",] += 1

    def _time(self, name: str, labels: tuple[str, ...], seconds: float) -> None:
        times = self._times[name].get(labels)
        if times is None:
            times = self._times[name][labels] = _Times(TIMED[name].bounds)
        times.add(seconds)

    # ── what is told ──

    def _families(self) -> Iterator[Metric]:
        yield InfoMetricFamily("labeler_build", "What is running.", value=self._build)
        with self._lock:
            yield from [*self._counters(), *self._histograms(), *self._gauges()]
        yield from _looked_up(self._standing())

    def _counters(self) -> Iterator[Metric]:
        for name, (words, labels) in COUNTED.items():
            counter = CounterMetricFamily(name, words, labels=labels)
            for values, count in self._counts[name].items():
                counter.add_metric(values, count)
            yield counter

    def _histograms(self) -> Iterator[Metric]:
        for name, timed in TIMED.items():
            histogram = HistogramMetricFamily(name, timed.words, labels=timed.labels)
            for values, times in self._times[name].items():
                histogram.add_metric(values, times.buckets(), times.total)
            yield histogram

    def _gauges(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("labeler_writer_queue", "Gestures that wait to be durable.", value=self._waiting)
        running = GaugeMetricFamily("labeler_replies_running", "Answers being written.", labels=["model"])
        for values, count in self._running.items():
            running.add_metric(values, count)
        yield running


class _Times:
    """A histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds, each with how many were at most that."""
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


@dataclass(frozen=True, slots=True)
class _Collected(Collector):
    """What a registry asks."""

    families: Callable[[], Iterator[Metric]]

    def collect(self) -> Iterator[Metric]:
        return self.families()


def _outcome(appended: Appended) -> str:
    if appended.error is None:
        return "repeated" if appended.repeated else "stored"
    return "conflict" if isinstance(appended.error, (SeqConflict, EventConflict)) else "failed"


def _looked_up(standing: Standing) -> Iterator[Metric]:
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
