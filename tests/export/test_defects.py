"""The defects that other tools have published, seeded into a log: none of them reaches a package.

An audit of one public corpus found 16.7 % of its votes malformed, a fifth of its conversations broken or without an
answer at the end, and pairs whose sides did not belong together. Such a log can be loaded here, and is read to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from labeler.core.events import (
    Compared,
    ConversationStarted,
    Event,
    MessageSent,
    Payload,
    ReplyFinished,
    ReplyStarted,
    TurnUndone,
    VoteCast,
)
from labeler.export.proof import verify_package
from labeler.store import Store
from labeler.store.transfer import load
from labeler.store.verify import verify_log
from tests.export import dumped, every_row, exported, judged, manifest_of, open_store, rows_of, study_of
from tests.stories import Story, one_log, told

BEGUN = ConversationStarted(study="stories", mode="chat", model="small")


def said(message_id: str, text: str, parent: str | None = None) -> MessageSent:
    return MessageSent(message_id=message_id, parent_id=parent, content=text)


def answered(message_id: str, parent: str, text: str | None, **more: Any) -> list[Payload]:
    started = ReplyStarted(
        message_id=message_id,
        parent_id=parent,
        model="small",
        model_id="small",
        model_revision=None,
        sampling={},
        system_prompt_sha256=None,
    )
    if text is None:
        return [started]
    return [started, ReplyFinished(message_id=message_id, content=text, **{"status": "complete", **more})]


def liked(message_id: str) -> VoteCast:
    return VoteCast(message_id=message_id, vote=1)


def disliked(message_id: str) -> VoteCast:
    return VoteCast(message_id=message_id, vote=-1)


def preferred(one: str, other: str) -> Compared:
    return Compared(message_a=one, message_b=other, winner="a", strength=2, position="a_first")


DEFECTS: dict[str, list[Payload]] = {
    "a vote on a message that is not there": [BEGUN, said("q", "Why?"), *answered("a", "q", "So."), liked("nothing")],
    "a vote on an answer that never came": [BEGUN, said("q", "Why?"), *answered("a", "q", None), liked("a")],
    "a vote on an answer that failed": [
        BEGUN,
        said("q", "Why?"),
        *answered("a", "q", "Error: overloaded", status="failed"),
        liked("a"),
    ],
    "a vote on an empty answer": [BEGUN, said("q", "Why?"), *answered("a", "q", " \n"), liked("a")],
    "a vote on an unfinished answer": [BEGUN, said("q", "Why?"), *answered("a", "q", "It is▌"), liked("a")],
    "a vote under an empty question": [BEGUN, said("q", "  "), *answered("a", "q", "So."), disliked("a")],
    "a conversation without an answer at its end": [
        BEGUN,
        said("q", "Why?"),
        *answered("a", "q", "So."),
        said("r", "?", "a"),
    ],
    "a conversation that begins with an answer": [BEGUN, *answered("a", "nothing", "So."), liked("a")],
    "an answer to an answer": [
        BEGUN,
        said("q", "Why?"),
        *answered("a", "q", "So."),
        *answered("b", "a", "No."),
        liked("b"),
    ],
    "a message that stands twice": [
        BEGUN,
        said("q", "Why?"),
        said("q", "Why?"),
        *answered("a", "q", "So."),
        liked("a"),
    ],
    "a pair whose sides answer different questions": [
        BEGUN,
        said("q", "Why?"),
        *answered("a", "q", "So."),
        said("r", "How?", "a"),
        *answered("b", "r", "Like that."),
        preferred("a", "b"),
    ],
    "a pair of one text": [
        BEGUN,
        said("q", "Why?"),
        *answered("a", "q", "So."),
        *answered("b", "q", "So."),
        preferred("a", "b"),
    ],
    "a pair of an answer with itself": [BEGUN, said("q", "Why?"), *answered("a", "q", "So."), preferred("a", "a")],
    "an undo of a message that is not there": [BEGUN, said("q", "Why?"), TurnUndone(message_id="x", answer_id=None)],
    "an answer that ends twice": [
        BEGUN,
        said("q", "Why?"),
        *answered("a", "q", "So."),
        ReplyFinished(message_id="a", content="", status="complete"),
        liked("a"),
    ],
}


def stream(number: int, payloads: Sequence[Payload]) -> list[Event]:
    """A conversation of these events, whatever sense they make."""
    template = told("ann", f"bad{number}").events[0]
    return [
        replace(template, event_id=f"bad{number}:{seq}", seq=seq, position=seq, payload=payload)
        for seq, payload in enumerate(payloads, 1)
    ]


def loaded(folder: Path, *streams: Sequence[Event] | Story) -> Store:
    store = open_store(folder)
    load(store, dumped(one_log(*streams), folder / "log.jsonl"))
    return store


def flaws(row: dict[str, Any]) -> list[str]:
    """What is wrong with a trainer's row, looked at without the code that made it."""
    found = []
    sides = [row[side] for side in ("chosen", "rejected", "completion") if side in row]
    roles = [message["role"] for message in row["prompt"]]
    if roles[-1] != "user" or any(one == other for one, other in pairwise(roles)):
        found.append("roles")
    if any(len(side) != 1 or side[0]["role"] != "assistant" for side in sides):
        found.append("sides")
    texts = [message["content"] for message in (*row["prompt"], *(side[0] for side in sides))]
    if any(not text.strip() or text.endswith("▌") for text in texts):
        found.append("texts")
    if len(sides) == 2 and sides[0] == sides[1]:
        found.append("same")
    return found


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_costs_its_own_conversation_only(tmp_path: Path, defect: str) -> None:
    """The others' rows are those of a log without it, and everything that is published is sound."""
    clean = exported(loaded(tmp_path, judged(1)), study_of(), tmp_path / "clean")
    (tmp_path / "spoilt").mkdir()
    spoilt = exported(loaded(tmp_path / "spoilt", judged(1), stream(1, DEFECTS[defect])), study_of(), tmp_path / "out")
    own = {row["record_id"] for _, _, row in every_row(clean.package) if "record_id" in row}
    assert own <= {row["record_id"] for _, _, row in every_row(spoilt.package) if "record_id" in row}
    trained_on = [row for config, _, row in every_row(spoilt.package) if config in ("dpo", "reward", "kto", "sft")]
    assert [flaws(row) for row in trained_on if flaws(row)] == []
    assert verify_package(spoilt.package).problems == ()
    assert sum(spoilt.excluded.values()) > sum(clean.excluded.values())


def test_a_conversation_that_was_never_begun_is_named_by_verify_and_never_published(tmp_path: Path) -> None:
    """It has no number, so no shard holds it."""
    store = loaded(tmp_path, judged(1), stream(1, [said("q", "Why?"), *answered("a", "q", "So."), liked("a")]))
    package = exported(store, study_of(), tmp_path / "out").package
    assert len({row["conversation_id"] for row in rows_of(package, "messages")}) == 1
    assert verify_log(store).problems == (
        "conversation bad1: 'conversation_started' must be its first event and no other",
    )


def test_all_defects_together_leave_nothing_malformed(tmp_path: Path) -> None:
    streams = [stream(number, payloads) for number, payloads in enumerate(DEFECTS.values())]
    store = loaded(tmp_path, judged(1), *streams, judged(2))
    package = exported(store, study_of(), tmp_path / "out").package
    assert [
        flaws(row) for config in ("dpo", "reward", "kto", "sft") for row in rows_of(package, config) if flaws(row)
    ] == []
    excluded = manifest_of(package).excluded
    unreadable = sum(
        "there" in problem or "unknown" in problem or "answers no" in problem for problem in problems(store)
    )
    assert excluded["unreadable"] >= 4
    assert unreadable >= excluded["unreadable"] - 1


def problems(store: Store) -> Sequence[str]:
    return verify_log(store).problems


@pytest.mark.parametrize(
    ("make", "config"),
    [(lambda: judged(1), "dpo"), (lambda: told().asks("Why?").answers("So.").likes(), "kto")],
)
def test_the_same_conversation_loaded_twice_is_published_once(
    tmp_path: Path, make: Callable[[], Story], config: str
) -> None:
    """Where whole conversations are appended again after each vote, every row would stand there many times."""
    store = loaded(tmp_path, make())
    before = rows_of(exported(store, study_of(), tmp_path / "out").package, config)
    load(store, tmp_path / "log.jsonl")
    assert rows_of(exported(store, study_of(), tmp_path / "out").package, config) == before


def test_a_side_of_a_pair_is_the_answers_text_and_not_its_letter(tmp_path: Path) -> None:
    package = exported(loaded(tmp_path, judged(1)), study_of(), tmp_path / "out").package
    sides = {row[side][0]["content"] for row in rows_of(package, "dpo") for side in ("chosen", "rejected")}
    assert {"First answer 1.", "Second answer 1, which is longer."} <= sides


def test_a_like_is_no_win_over_every_sibling(tmp_path: Path) -> None:
    story = told().asks("Why?").answers("One.").retries("Two.").retries("Three.").likes()
    package = exported(loaded(tmp_path, story), study_of(), tmp_path / "out").package
    assert rows_of(package, "dpo") == []


def test_a_tie_does_not_fall_into_a_win(tmp_path: Path) -> None:
    story = told().asks("Why?").answers("One.").retries("Two.").about_the_same()
    package = exported(loaded(tmp_path, story), study_of(), tmp_path / "out").package
    assert rows_of(package, "dpo") == []
    assert [row["winner"] for row in rows_of(package, "comparisons")] == ["tie"]
