"""The contract of verify: a sound log is found sound, and every kind of tampering is told in a line."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from labeler.core.events import ConversationCleared, Payload, ReplyFinished, TurnUndone
from labeler.errors import LogError, StoreError
from labeler.store import Store
from labeler.store.transfer import dump, load
from labeler.store.verify import Report, verify_log
from tests.store.conftest import Place
from tests.store.made import made
from tests.stories import told, told_of


@pytest.fixture
def sound(store: Store) -> Store:
    story = told(conversation_id="c1", system_prompt="Be brief.").asks("Why?").answers("So.").likes().explains("Good")
    story.retries("Thus.").better().edits("Hence.").asks("And?").stopped("Beca").undoes().rewrites("Where?").fails()
    store.append(story.selects("a1").clears().events)
    store.append(told_of("ann").consents().is_excluded().is_included().withdraws_consent().events)
    store.append(told("bea", "c2").asks("What?").answers("That.").by("ann").dislikes().events)
    return store


def tampered(store: Store, statement: str) -> tuple[str, ...]:
    """What is found after somebody changed the database by hand."""
    store.position()  # what is changed by its position has one
    with store.database.writing() as connection:
        assert connection.exec_driver_sql(statement).rowcount > 0
    report = verify_log(store)
    assert not report.ok
    assert all("\n" not in problem for problem in report.problems)
    return report.problems


def rewritten(store: Store, where: str, old: str, new: str) -> tuple[str, ...]:
    """What is found after one text took another's place in a body; single quotes stand for double ones."""
    texts = [f"'{text.replace(chr(39), chr(34))}'" for text in (old, new)]
    return tampered(
        store,
        f"UPDATE events SET body = replace(body, {texts[0]}, {texts[1]})"
        f" WHERE position = (SELECT max(position) FROM events WHERE {where} AND replace(body, {texts[0]}, '') <> body)",
    )


# ── sound ──


def test_a_sound_log_is_found_sound(sound: Store) -> None:
    report = verify_log(sound)
    assert report.problems == ()
    assert report.ok
    assert (report.position, report.conversations) == (sound.position(), 2)


def test_an_empty_log_is_sound(store: Store) -> None:
    assert verify_log(store).ok


def test_equal_logs_have_equal_digests_and_only_they(sound: Store, other_place: Place, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("wb") as out:
        dump(sound, out)
    with other_place.open() as other:
        load(other, path)
        assert verify_log(other).digest == verify_log(sound).digest
        other.append([made("more", "c3", payload=told().events[0].payload)])
        assert verify_log(other).digest != verify_log(sound).digest


def test_verify_tells_how_far_it_is(sound: Store) -> None:
    done: list[int] = []
    verify_log(sound, report=done.append)
    assert sum(done) == 2 * sound.position()


def test_verify_looks_at_what_is_there_when_it_begins(sound: Store) -> None:
    """A log in use can be verified: what is appended meanwhile is not half of a problem."""
    late = iter([told("cid", "late").asks("Late?").events])

    def append(done: int) -> None:
        for events in late:
            sound.append(events)

    before = sound.position()
    report = verify_log(sound, report=append)
    assert report.ok
    assert (report.position, report.conversations) == (before, 2)


# ── tampering ──


def test_a_missing_event_is_found(sound: Store) -> None:
    problems = tampered(sound, "DELETE FROM events WHERE position = 5")
    assert "position 5: no event is there, the next one is at 6" in problems
    assert any(problem.startswith("conversation c1: ") and "expected 4" in problem for problem in problems)


def test_a_missing_beginning_is_found(sound: Store) -> None:
    problems = tampered(sound, "DELETE FROM events WHERE position = 1")
    assert "position 1: no event is there, the next one is at 2" in problems
    with pytest.raises(StoreError, match="the log has lost its beginning"):
        _ = sound.source_id


def test_another_source_is_found(sound: Store) -> None:
    (problem,) = rewritten(sound, "position = 1", "'source_id':'", "'source_id':'x")
    assert problem == "position 1: the ids of this 'log_started' are not made of its source id"


def test_another_beginning_is_found(sound: Store) -> None:
    problems = tampered(sound, "UPDATE events SET kind = 'conversation_cleared', body = '{\"v\":1}' WHERE position = 1")
    assert "position 1: a log begins with 'log_started', not with 'conversation_cleared'" in problems


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("body = substr(body, 2)", "its body is not JSON"),
        ("body = replace(body, ':', ' :')", "its body is not in canonical form"),
        ("body = replace(body, '\"v\":1', '\"v\":7')", "unknown body version 7"),
        ("body = replace(body, '\"content\"', '\"contents\"')", "unknown key 'contents'"),
        ("body = replace(body, '\"Why?\"', '7')", "key 'content' has a wrong value or type"),
        ("kind = 'message_sent_twice'", "unknown event kind 'message_sent_twice'"),
        ("at = '2026'", "'2026' is no time of the form"),
        ("at = '2026-13-45T10:00:00.000000Z'", "'2026-13-45T10:00:00.000000Z' is no time of the form"),
    ],
)
def test_a_row_that_was_changed_is_found_at_its_position(sound: Store, change: str, reason: str) -> None:
    problems = tampered(sound, f"UPDATE events SET {change} WHERE position = 3")
    assert any(problem.startswith("position 3: ") and reason in problem for problem in problems)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("column", ["event_id", "conversation_id", "seq", "kind", "at", "annotator_id", "body"])
def test_bytes_in_the_place_of_text_are_found_and_not_dumped(sound: Store, column: str) -> None:
    problems = tampered(sound, f"UPDATE events SET {column} = CAST({column} AS BLOB) WHERE position = 5")
    assert "position 5: bytes stand where text should" in problems
    with pytest.raises(LogError, match="event at position 5: bytes stand where text should; run labeler verify"):
        dump(sound, BytesIO())


def test_a_changed_seq_is_found(sound: Store) -> None:
    problems = tampered(sound, "UPDATE events SET seq = 99 WHERE conversation_id = 'c2' AND seq = 2")
    assert any(problem.startswith("conversation c2: ") and "expected 2" in problem for problem in problems)


def test_a_gap_in_an_annotators_stream_is_found(sound: Store) -> None:
    problems = tampered(sound, "UPDATE events SET seq = 9 WHERE conversation_id = 'ann' AND seq = 4")
    assert problems == ("ann: seq 9 where 4 should be",)


def test_an_event_moved_to_another_conversation_is_found(sound: Store) -> None:
    move = "UPDATE events SET conversation_id = 'c1', seq = 40 WHERE conversation_id = 'c2' AND seq = 4"
    assert any("conversation c1: " in problem and "seq 40" in problem for problem in tampered(sound, move))


def test_an_event_in_the_wrong_kind_of_stream_is_found(sound: Store) -> None:
    problems = tampered(sound, "UPDATE events SET conversation_id = 'c1', seq = 99 WHERE kind = 'consent_withdrawn'")
    assert any("'consent_withdrawn' is not an event of a conversation" in p or "expected" in p for p in problems)


def test_an_unknown_parent_is_found(sound: Store) -> None:
    problems = rewritten(sound, "kind = 'reply_started'", "c2.q1", "c9.q1")
    assert any("names an unknown message 'c9.q1'" in problem for problem in problems)


def test_a_vote_on_nothing_is_found(sound: Store) -> None:
    problems = rewritten(sound, "kind = 'vote_cast'", "c2.a1", "c2.a7")
    assert any("names an unknown message 'c2.a7'" in problem for problem in problems)


@pytest.mark.parametrize(("key", "origin"), [("edits", "c1.a2"), ("retries", "c1.a1")])
def test_a_message_made_from_no_sibling_is_found(sound: Store, key: str, origin: str) -> None:
    problems = rewritten(sound, "conversation_id = 'c1'", f"'{key}':'{origin}'", f"'{key}':'c1.q1'")
    message = {"edits": "c1.a3", "retries": "c1.a2"}[key]
    assert any(problem.startswith("conversation c1: ") and message in problem for problem in problems)


def test_an_answer_to_an_answer_is_found(sound: Store) -> None:
    problems = rewritten(sound, "kind = 'reply_started'", "'parent_id':'c2.q1'", "'parent_id':'c2.a1'")
    assert any(problem.startswith("conversation c2: ") and "c2.a1" in problem for problem in problems)


def test_a_question_under_a_question_is_found(sound: Store) -> None:
    problems = rewritten(sound, "kind = 'message_sent'", "'parent_id':'c1.a3'", "'parent_id':'c1.q1'")
    assert any("answers one of the same role" in problem for problem in problems)


def test_another_system_prompt_is_found(sound: Store) -> None:
    problems = rewritten(sound, "position = 2", "Be brief.", "Be long.")
    assert "conversation c1: message c1.a1 was written under another system prompt than the conversation's" in problems


@pytest.mark.parametrize(
    "payload",
    [
        TurnUndone(message_id="c1.q1", answer_id="c1.a99"),
        ReplyFinished(message_id="c1.a99", content="", status="failed"),
    ],
    ids=lambda payload: payload.kind,
)
def test_what_a_program_wrote_wrongly_is_found(sound: Store, payload: Payload) -> None:
    sound.append([made("wrong", "c1", len(sound.load("c1")) + 1, payload=payload)])
    report = verify_log(sound)
    assert any("names an unknown message 'c1.a99'" in problem for problem in report.problems)


def test_a_conversation_without_a_beginning_is_found(sound: Store) -> None:
    sound.append([made("odd", "c9", payload=ConversationCleared())])
    assert any(problem.startswith("conversation c9: ") for problem in verify_log(sound).problems)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM conversations WHERE ordinal = 1", "table conversations: (1, 'c2', 'bea', "),
        ("UPDATE conversations SET ordinal = 7 WHERE ordinal = 1", "table conversations: (7, 'c2', 'bea', "),
        ("UPDATE conversations SET annotator_id = 'eve' WHERE ordinal = 0", "table conversations: (0, 'c1', 'eve', 2)"),
        ("UPDATE conversations SET first_position = 3 WHERE ordinal = 0", "table conversations: (0, 'c1', 'ann', 3)"),
        ("INSERT INTO conversations VALUES (2, 'c3', 'ann', 4)", "table conversations: (2, 'c3', 'ann', 4)"),
        ("DELETE FROM touches WHERE conversation_id = 'c2'", "table touches: ('ann', 'c2') is missing"),
        ("INSERT INTO touches VALUES ('eve', 'c1')", "table touches: ('eve', 'c1') does not follow from the log"),
    ],
)
def test_a_derived_table_that_says_something_else_is_found(sound: Store, statement: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in tampered(sound, statement))


def test_problems_do_not_pile_up_without_end(sound: Store) -> None:
    sound.extend([made(f"odd-{number}", f"odd-{number}", payload=ConversationCleared())] for number in range(300))
    assert len(verify_log(sound).problems) == 100


def test_a_report_says_what_it_is_about(sound: Store) -> None:
    assert verify_log(sound) == Report(sound.position(), 2, verify_log(sound).digest, ())
