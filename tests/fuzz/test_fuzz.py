"""A sample of scripts/fuzz, and a proof that it would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.fuzzer import LONGEST_SECONDS, PRIVATE, faults_in, fuzz
from tests.fuzz.requests import Forger, World


def test_fifteen_hundred_forged_requests_break_nothing_change_nothing_and_learn_nothing(tmp_path: Path) -> None:
    outcome = fuzz(tmp_path, 1_500, seed=20261129)
    assert outcome.faults == []
    # They were not all turned away at the outermost door.
    assert outcome.statuses["joined"] > 50
    assert outcome.statuses["422"] > 100
    assert {"200", "400", "401", "403", "404", "405", "411", "413", "421"} <= set(outcome.statuses)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", 0.1),
        (b"HTTP/1.1 200 OK\r\n\r\nTraceback (most recent call last)", 0.1),
        (b"HTTP/1.1 200 OK\r\n\r\ndata: " + PRIVATE.encode(), 0.1),
        (b"HTTP/1.1 200 OK\r\n\r\nfine", LONGEST_SECONDS + 1),
        (None, 1.0),
    ],
    ids=["a 500", "a traceback", "another's words", "too late", "never"],
)
def test_an_answer_that_must_not_be_is_noticed(answer: bytes | None, seconds: float) -> None:
    assert len(faults_in(answer, seconds)) == 1


def test_an_answer_that_may_be_is_none() -> None:
    for answer in (b"HTTP/1.1 200 OK\r\n\r\nfine", b"HTTP/1.1 404 Not Found\r\n\r\n", b""):
        assert faults_in(answer, 0.1) == []


def test_the_same_seed_draws_the_same_requests() -> None:
    ids = dict.fromkeys(("conversation", "message", "session", "annotator"), "x")
    world = World("a=b", "127.0.0.1:1", range(3), ids, ids)

    def drawn(seed: int) -> list[bytes]:
        forger = Forger(world, seed)
        return [forger.request().raw for _ in range(50)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
