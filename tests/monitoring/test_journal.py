"""The journal: whole lines, no secrets, and nobody waits for it."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.events import Event, NewEvent, VoteCast
from labeler.errors import SeqConflict, StoreError
from labeler.journal import LONGEST_WORDS, Journal, Shape, journaling, said, scrubbed
from labeler.terminal import say
from labeler.watching import Answered, Appended

AT = "2026-11-22T10:00:00.000000Z"


class Kept(io.StringIO):
    """A stream that can be read after the journal is closed."""


def journal_to(stream: Any, shape: Shape = "json") -> Journal:
    return Journal(shape, stream, lambda: AT)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def appended(error: Exception | None = None, *, before: bool = False) -> Appended:
    facts = {
        "event_id": "e",
        "conversation_id": "c1",
        "seq": 5,
        "annotator_id": "ann",
        "payload": VoteCast(message_id="m", vote=1),
    }
    new = NewEvent(**facts, at=AT)
    answer = Event(**facts, at="2026-11-22T09:00:00.000000Z" if before else AT, position=9)
    return Appended([new], [] if error else [answer], error, 0.0123, "req-1")


def test_a_request_and_a_gesture_are_a_line_each_and_share_the_requests_id() -> None:
    stream = Kept()
    journal = journal_to(stream)
    journal.name(lambda annotator: f"p-{len(annotator)}")
    journal.appended(appended())
    journal.answered(Answered("req-1", "POST", "/api/gesture", 200, 0.0125, "ann", "c1"))
    journal.close()
    gesture, request = lines_of(stream)
    assert gesture == {
        **{"at": AT, "level": "info", "event": "gesture", "request": "req-1", "conversation": "c1"},
        **{"kinds": ["vote_cast"], "position": 9, "ms": 12.3, "annotator": "p-3"},
    }
    assert request == {
        **{"at": AT, "level": "info", "event": "request", "request": "req-1", "method": "POST"},
        **{"route": "/api/gesture", "status": 200, "ms": 12.5, "conversation": "c1", "annotator": "p-3"},
    }


def test_before_there_are_pseudonyms_annotators_are_not_named_at_all() -> None:
    stream = Kept()
    journal = journal_to(stream)
    journal.answered(Answered("req-1", "GET", "/", 200, 0.1, "ann"))
    journal.close()
    assert "ann" not in stream.getvalue()


def test_text_lines_say_the_same_in_one_line_each() -> None:
    stream = Kept()
    journal = journal_to(stream, "text")
    journal.answered(Answered("req-1", "GET", "/", 200, 0.1))
    journal.appended(appended())
    journal.close()
    request, gesture = stream.getvalue().splitlines()
    assert request == f"{AT} info request request=req-1 method=GET route=/ status=200 ms=100.0"
    assert gesture == f"{AT} info gesture request=req-1 conversation=c1 kinds=vote_cast position=9 ms=12.3"


def test_a_quiet_journal_tells_faults_alone() -> None:
    stream = Kept()
    journal = journal_to(stream, "quiet")
    journal.answered(Answered("req-1", "GET", "/", 200, 0.1))
    journal.appended(appended())
    journal.appended(appended(SeqConflict("moved on")))
    journal.appended(appended(StoreError("log.db: the disk is full; make room and try again")))
    journal.close()
    assert stream.getvalue() == "labeler: log.db: the disk is full; make room and try again\n"


def test_a_gesture_that_was_stored_before_is_not_told_again() -> None:
    stream = Kept()
    journal = journal_to(stream)
    journal.appended(appended(before=True))
    journal.close()
    assert stream.getvalue() == ""


# ── what others say ──


@pytest.mark.parametrize(
    "words",
    [
        "cannot open postgresql+psycopg://labeler:S3CRET@db/log",
        "postgresql://S3CRET@db/log failed",
        "GET /api/me?text=S3CRET HTTP/1.1",
        "https://hub.example/x?token=S3CRET&y=1",
        "Authorization: Bearer S3CRET",
        "token hf_S3CRET was refused",
        "cookie: labeler_1=S3CRET",
        "password=S3CRET",
        "(sqlite3.Error) x [SQL: INSERT ...] [parameters: ('S3CRET',)]",
        "1 validation error for Turn\ntext\n  too long [input_value='S3CRET']",
    ],
)
def test_words_of_others_lose_what_may_be_secret(words: str) -> None:
    assert "S3CRET" not in scrubbed(words)
    assert scrubbed(words)


@given(st.text())
def test_whatever_is_said_is_one_line_of_bounded_length(words: str) -> None:
    assert len(scrubbed(words)) <= LONGEST_WORDS
    assert len(scrubbed(words).splitlines()) <= 1


@given(st.text(alphabet=st.characters(exclude_characters="/@ \t\n\r", codec="ascii", categories=["L", "N", "P"])))
def test_no_password_of_a_database_url_is_ever_shown(password: str) -> None:
    shown = scrubbed(f"could not connect: postgresql://labeler:{password}MARK@db.example:5432/log refused")
    assert "MARK" not in shown


def test_an_error_of_ours_keeps_its_words_and_any_other_its_kind_alone() -> None:
    assert said(StoreError("the disk is full")) == "the disk is full"
    assert said(ValueError("S3CRET")) == "ValueError"


@contextmanager
def heard() -> Iterator[Kept]:
    """What a journal writes of this process while the block runs; all of it is there when the block is left."""
    stream = Kept()
    journal = journal_to(stream)
    with journaling(journal):
        yield stream
    journal.close()


def broken(text: str) -> None:
    raise ValueError(f"cannot read {text}\nand more of {text}")


def test_a_logged_exception_keeps_its_kind_and_place_and_loses_its_message() -> None:
    with heard() as stream:
        try:
            broken("S3CRET")
        except ValueError:
            logging.getLogger("some.library").exception("a gesture failed")
    (line,) = lines_of(stream)
    assert (line["event"], line["level"]) == ("some.library", "error")
    assert line["words"] == "a gesture failed (ValueError)"
    assert line["where"][-1].endswith("broken")
    assert "S3CRET" not in stream.getvalue()


def test_a_printed_traceback_keeps_its_kind_and_place_and_loses_its_message() -> None:
    with heard() as stream:
        try:
            broken("S3CRET")
        except ValueError:
            traceback.print_exc()
    (line,) = lines_of(stream)
    assert (line["event"], line["words"]) == ("exception", "unexpected ValueError")
    assert line["where"][-1].endswith("broken")
    assert "S3CRET" not in stream.getvalue()


def test_chained_and_grouped_tracebacks_lose_their_messages_too() -> None:
    with heard() as stream:
        try:
            try:
                broken("S3CRET")
            except ValueError as error:
                raise ExceptionGroup("S3CRET things", [error, KeyError("S3CRET")]) from error
        except ExceptionGroup:
            traceback.print_exc()
    assert "S3CRET" not in stream.getvalue()
    words = [line["words"] for line in lines_of(stream)]
    assert words == ["unexpected ValueError", "unexpected ExceptionGroup", "unexpected ValueError"]


def test_our_own_lines_pass_even_right_after_a_traceback() -> None:
    with heard() as stream:
        try:
            broken("x")
        except ValueError:
            traceback.print_exc()
        say("hub/repo: published")
    assert lines_of(stream)[-1] == {"at": AT, "level": "info", "event": "said", "words": "hub/repo: published"}


def test_warnings_go_through_the_journal() -> None:
    with heard() as stream, warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # catch_warnings has put the usual way back
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)
    assert lines_of(stream)[0]["event"] == "py.warnings"


def test_afterwards_everything_is_as_it_was() -> None:
    stderr, handlers = sys.stderr, list(logging.getLogger().handlers)
    journal = journal_to(Kept())
    with journaling(journal):
        assert sys.stderr is not stderr
    journal.close()
    assert sys.stderr is stderr
    assert logging.getLogger().handlers == handlers


def test_whoever_hunts_a_fault_sees_all_of_it() -> None:
    stderr = sys.stderr
    journal = journal_to(Kept())
    with journaling(journal, debug=True):
        assert sys.stderr is stderr
    journal.close()


# ── slow and absent readers ──


def test_a_reader_that_never_reads_keeps_nobody_waiting_and_what_is_lost_is_counted() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", buffering=1)
    journal = journal_to(stream)
    while not journal._dropped:  # far more than a pipe holds
        journal.answered(Answered("request-1", "GET", "/", 200, 0.1))
    words = b""
    while b"dropped" not in words:
        words = words[-200:] + os.read(reading, 1 << 16)
    assert b"lines were dropped: nobody read them in time" in words
    journal.close()
    stream.close()
    os.close(reading)


def test_a_closed_stderr_ends_the_lines_and_nothing_else() -> None:
    stream = Kept()
    journal = journal_to(stream)
    stream.close()
    journal.note("error", "x", "nobody hears this")
    journal.close()
    assert not journal._thread.is_alive()
