"""What a log holds, as tables: the one room that knows data frames.

One pass, a conversation at a time; what is kept grows with models, annotators and days, not with the log. Votes,
reasons and comparisons are counted as they stand (an annotator's last word), everything else as often as it was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd

from labeler.core.contributions import Key, contributions
from labeler.core.conversation import ComparisonFact, Conversation, Message, VoteFact
from labeler.core.events import LogStarted
from labeler.core.folding import replay
from labeler.core.judging import model_of
from labeler.core.records import Derived
from labeler.core.rules import Options, derive
from labeler.core.standing import standing_of
from labeler.core.wishes import NO_WISHES, Wishes
from labeler.insights.intervals import wilson
from labeler.insights.report import report
from labeler.store import Store, event_of, utc_now
from labeler.store.pushes import push_states
from labeler.study import Study

SLICE = 2000
MEASURES = (
    "conversations",
    "answers",
    "stopped",
    "failed",
    "likes",
    "dislikes",
    "withdrawn",
    "flips",
    "reasons",
    "retries",
    "edits",
    "better",
    "same",
    "worse",
)
AXES = ("model", "annotator", "day")
VOTES = {1: "likes", -1: "dislikes", 0: "withdrawn"}
# A retry's question compares the new answer, b, with the one that showed, a.
OUTCOMES = {"b": "better", "a": "worse", "tie": "same", "both_good": "same", "both_bad": "same"}
# What the tables for people leave to --json.
UNSHOWN = ("withdrawn", "flips", "reasons", "same")
ROWS_SHOWN = 40


def statistics(
    store: Store, study: Study, wishes: Wishes = NO_WISHES, *, report: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """The object that ``labeler stats --json`` prints. ``report`` is told of every conversation that was read."""
    position = store.position()
    about_annotators = list(store.annotator_events(position))
    standing = standing_of(about_annotators, consent_needed=study.consent is not None)
    dataset = study.dataset
    options = Options(**study.rules.model_dump(), test_percent=dataset.test_percent, salt=dataset.salt)
    tally = Tally()
    tally.kinds.update(event.payload.kind for event in about_annotators)
    for conversation in _conversations(store, tally.kinds, position):
        tally.take(conversation)
        tally.take_records(derive(conversation, standing, options))
        tally.judged.update(contributions(conversation, standing))
        report(1)
    # What is left begins a log: this one, and each that was loaded into it.
    tally.kinds[LogStarted.kind] = position - tally.kinds.total()
    pushes = [state.facts(position, utc_now()) for state in push_states(store)]
    named = {"study": study.name, "source_id": store.source_id, "position": position}
    return {**named, **tally.summary(wishes), "pushes": pushes}


def _conversations(store: Store, kinds: Counter[str], upto: int) -> Iterator[Conversation]:
    for first in range(0, store.conversation_count(upto), SLICE):
        for conversation_id, rows in store.shard_rows(first, first + SLICE, upto):
            kinds.update([row.kind for row in rows])
            yield replay(conversation_id, (event_of(conversation_id, row) for row in rows))


@dataclass(slots=True)
class Tally:
    """Counts that grow while conversations go by. ``measured`` counts (axis, key, measure)."""

    kinds: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)
    measured: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, int]] = field(default_factory=Counter)
    records: Counter[tuple[str, str]] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    judged: Counter[Key] = field(default_factory=Counter)

    def take(self, conversation: Conversation) -> None:
        """Count one conversation."""
        model = conversation.started.model if conversation.started else ""
        self._measure("conversations", model, conversation.annotator_id, conversation.started_at)
        self.totals["cleared"] += conversation.cleared
        self.totals["undos"] += len(conversation.undos)
        self.totals["turned_to_another_answer"] += len(conversation.selections)
        for message in conversation.messages.values():
            self._take_message(conversation, message)
        self._take_votes(conversation)
        self._take_comparisons(conversation)

    def take_records(self, derived: Derived) -> None:
        """Count what derivation made of one conversation, and what it left out."""
        for config, records in (("dpo", derived.pairs), ("kto", derived.unpaired), ("sft", derived.demonstrations)):
            self.records.update((config, record.grounds.source) for record in records)
        self.excluded.update(derived.excluded)

    def _measure(self, what: str, model: str, annotator_id: str, at: str, times: int = 1) -> None:
        for axis, key in zip(AXES, (model, annotator_id, at[:10]), strict=True):
            if key:  # side by side a conversation has no model of its own
                self.measured[axis, key, what] += times
        self.totals[what] += times

    def _take_message(self, conversation: Conversation, message: Message) -> None:
        if message.role == "user":
            self.totals["messages_rewritten" if message.edits else "messages_sent"] += 1
            return
        owner = conversation.annotator_id
        if message.origin == "model":
            self._measure("answers", model_of(message), owner, message.at)
        if message.status != "complete":
            # A reply that was started and never finished counts as failed.
            self._measure("stopped" if message.status == "stopped" else "failed", model_of(message), owner, message.at)
        before = {"edits": message.edits, "retries": message.retries}
        for what, answer_id in before.items():
            if answer_id:
                self._measure(what, model_of(conversation.messages[answer_id]), owner, message.at)

    def _take_votes(self, conversation: Conversation) -> None:
        words: dict[tuple[str, str], list[VoteFact]] = {}
        for fact in conversation.votes:
            words.setdefault((fact.annotator_id, fact.message_id), []).append(fact)
        for (annotator_id, message_id), facts in words.items():
            last, model = facts[-1], model_of(conversation.messages[message_id])
            self._measure(VOTES[last.vote], model, annotator_id, last.at)
            self._measure("flips", model, annotator_id, last.at, flips(fact.vote for fact in facts))
            reason = conversation.reason_of(annotator_id, message_id)
            if reason and last.vote:
                self._measure("reasons", model, annotator_id, reason.at)
                self.totals["comments"] += bool(reason.comment)
                self.reasons.update((name, last.vote) for name in reason.reasons)

    def _take_comparisons(self, conversation: Conversation) -> None:
        last: dict[tuple[str, frozenset[str]], ComparisonFact] = {}
        for fact in conversation.comparisons:
            last[fact.annotator_id, fact.pair] = fact
        for fact in last.values():
            answer = conversation.messages[fact.message_b]
            if fact.compared and answer.retries == fact.message_a:
                model = model_of(conversation.messages[fact.message_b])
                self._measure(OUTCOMES[fact.compared.winner], model, fact.annotator_id, fact.at)

    def summary(self, wishes: Wishes = NO_WISHES) -> dict[str, Any]:
        """The counts as the documented JSON object, everything in a fixed order."""
        votes = {name: self.totals[name] for name in ("likes", "dislikes", "withdrawn", "flips")}
        gestures = ("messages_sent", "messages_rewritten", "retries", "edits", "undos", "turned_to_another_answer")
        return {
            "events": dict(sorted(self.kinds.items())),
            "conversations": self.totals["conversations"],
            "answers": {name: self.totals[name] for name in ("answers", "stopped", "failed")},
            "votes": _records(rated(pd.DataFrame([votes])))[0],
            "comparisons": {name: self.totals[name] for name in ("better", "same", "worse")},
            "gestures": {name: self.totals[name] for name in (*gestures, "cleared")},
            "reasons": _reasons(self.reasons),
            "comments": self.totals["comments"],
            **{f"{axis}s": _records(self.table(axis)) for axis in AXES},
            "trust": report(self.judged, wishes),
            "records": _nested(self.records),
            "excluded": dict(sorted(self.excluded.items())),
        }

    def table(self, axis: str) -> pd.DataFrame:
        """The measures by model, annotator or day: one row each, with the like rate and its interval."""
        counted = [(key, what, n) for (of, key, what), n in self.measured.items() if of == axis]
        frame = pd.DataFrame(counted, columns=[axis, "measure", "n"])
        wide = frame.pivot(index=axis, columns="measure", values="n").reindex(columns=MEASURES)
        return rated(wide.fillna(0).astype("int64").sort_index().reset_index())


def flips(votes: Iterable[int]) -> int:
    """How often a like became a dislike or the other way round, a withdrawal between them or not."""
    cast = [vote for vote in votes if vote]
    return sum(one != other for one, other in pairwise(cast))


def rated(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of likes and dislikes with the like rate and its 95 % interval by Wilson's score.

    Where nobody voted there is no rate: not a number, and ``null`` in JSON.
    """
    votes = frame["likes"] + frame["dislikes"]
    bounds = [wilson(*pair) or (None, None) for pair in zip(frame["likes"].tolist(), votes.tolist(), strict=True)]
    measured = pd.DataFrame(bounds, columns=["low", "high"], index=frame.index, dtype="float64")
    rate = frame["likes"] / votes.where(votes > 0).astype("float64")
    return frame.assign(like_rate=rate.round(4), low=measured["low"].round(4), high=measured["high"].round(4))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def _reasons(counts: Counter[tuple[str, int]]) -> list[dict[str, Any]]:
    names = sorted({name for name, _ in counts}, key=lambda name: (-counts[name, 1] - counts[name, -1], name))
    return [{"reason": name, "likes": counts[name, 1], "dislikes": counts[name, -1]} for name in names]


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outer, inner), n in sorted(counts.items()):
        nested.setdefault(outer, {})[inner] = n
    return nested


# ── for people ──


def tables(document: Mapping[str, Any]) -> Iterator[str]:
    """The statistics as text: a line for the whole log, then titled tables, empty ones left out."""
    yield f"{document['study']}: {document['conversations']:,} conversations, {document['position']:,} events"
    yield from _titled("Events", _pairs(document["events"], "kind"))
    yield from _titled("Votes as they stand", _percent(pd.DataFrame([document["votes"]])))
    yield from _titled("Was this answer better?", pd.DataFrame([document["comparisons"]]))
    yield from _titled("What was done", _pairs(document["gestures"], "gesture"))
    yield from _titled("Reasons", pd.DataFrame(document["reasons"]))
    yield from _trusted(document["trust"])
    for axis in AXES:
        yield from _titled(f"By {axis}", _percent(pd.DataFrame(document[f"{axis}s"]), UNSHOWN))
    records = [(config, rule, n) for config, rules in document["records"].items() for rule, n in rules.items()]
    yield from _titled("Records by rule", pd.DataFrame(records, columns=["config", "rule", "records"]))
    yield from _titled("Left out, by reason", _pairs(document["excluded"], "reason"))
    yield from _pushed(document["pushes"])


def _trusted(trust: Mapping[str, Any]) -> Iterator[str]:
    """How far people agree, how models rank, and whom to look at."""
    rows = [
        {
            "judged": name.replace("_", " "),
            "units": found["units"],
            "agree": _shown(found["percent"], "{:.0%}"),
            "alpha": _shown(found["alpha"], "{:.2f}", "undefined"),
            "95 %": "" if found["low"] is None else f"{found['low']:.2f} to {found['high']:.2f}",
        }
        for name, found in trust["agreement"].items()
        if name != "reasons" and found["units"]
    ]
    yield from _titled("Agreement (Krippendorff's alpha)", pd.DataFrame(rows))
    board = trust["leaderboard"]
    models = [
        {
            "rank": _shown(one["rank"], "{}"),
            "model": one["model"],
            "rating": _shown(one["rating"], "{:.0f}", "cannot be placed"),
            "95 %": "" if one["low"] is None else f"{one['low']:.0f} to {one['high']:.0f}",
            "comparisons": one["comparisons"],
        }
        for one in board["models"]
    ]
    yield from _titled("Models by comparisons (Bradley-Terry)", pd.DataFrame(models))
    if board["flips_to_lose_first"] is not None:
        yield f"another model is first if {board['flips_to_lose_first']} votes are turned"
    left = trust["position"]["left"]
    if left["n"]:
        yield f"the left answer was preferred {left['share']:.0%} of the time ({left['low']:.0%} to {left['high']:.0%})"
    flagged = [one for one in trust["raters"] if one["flagged"]]
    columns = ["annotator", "shared", "agreed", "z"]
    yield from _titled("Annotators who disagree more than by chance", pd.DataFrame(flagged, columns=columns))


def _shown(value: float | None, form: str, nothing: str = "") -> str:
    return nothing if value is None else form.format(value)


def _pushed(pushes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A few lines on each repo: what it holds, and what becomes of it."""
    for push in pushes:
        behind = f"{push['behind']:,} events behind" if push["behind"] else "up to date"
        yield f"\nPushed to {push['repo']}"
        if push["pushed_at"]:
            yield f"log position {push['position']:,} ({behind}) at {push['pushed_at'][:19]}Z, commit {push['commit']}"
        if push["error"]:
            yield f"failed {push['failures']} times in a row: {push['error']}"
        if push["next_at"] or push["state"] == "pushing":
            yield "being pushed now" if push["state"] == "pushing" else f"next push at {push['next_at'][:19]}Z"


def _pairs(counts: Mapping[str, int], name: str) -> pd.DataFrame:
    return pd.DataFrame(list(counts.items()), columns=[name, "count"])


def _percent(frame: pd.DataFrame, unshown: Sequence[str] = ()) -> pd.DataFrame:
    """The three columns of a rate as one that people read, and no more columns than fit."""
    if frame.empty:
        return frame
    said = [
        "" if pd.isna(rate) else f"{rate:.0%} ({low:.0%} to {high:.0%})"
        for rate, low, high in zip(frame["like_rate"], frame["low"], frame["high"], strict=True)
    ]
    return frame.drop(columns=["low", "high", *unshown]).assign(like_rate=said)


def _titled(title: str, frame: pd.DataFrame) -> Iterator[str]:
    """A table of at most so many rows: the last ones, and a word on how many were left out."""
    if frame.empty:
        return
    left_out = len(frame) - ROWS_SHOWN
    yield f"\n{title}" + (f" (the last {ROWS_SHOWN} of {len(frame):,}; all with --json)" if left_out > 0 else "")
    text: str = frame.tail(ROWS_SHOWN).to_string(index=False)
    yield text
