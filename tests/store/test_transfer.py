"""The contract of dump and load."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeler.core import bodies
from labeler.core import events as kinds
from labeler.core.events import Erased, MessageSent, ReplyStarted
from labeler.errors import LogError
from labeler.store import Store
from labeler.store.index import differences
from labeler.store.rows import placed
from labeler.store.transfer import LoadReport, dump, load
from tests.store.conftest import Place
from tests.store.made import facts, ids, log_of, made, numbered, votes
from tests.stories import one_log, told, told_of

Line = dict[str, Any]


def dumped(store: Store) -> bytes:
    out = io.BytesIO()
    lines = dump(store, out)
    assert lines == out.getvalue().count(b"\n") == store.position()
    return out.getvalue()


def a_log() -> list[kinds.Event]:
    """A log with a bit of everything, ``LogStarted`` of another source included."""
    first = told(system_prompt="Be brief.").asks("Warum ist der Himmel blau? 🌤\n\tSo?").answers("«Streuung»").likes()
    second = told("bea", "c2").asks("Why?").answers("So.").retries("Thus.").better().edits("Hence.").undoes().clears()
    annotator = told_of("ann").consents().is_excluded().is_included()
    tombstone = placed(made("e1", "c3", payload=Erased(erased_kind="conversation_started")), 0)
    return one_log(first, annotator, second, [tombstone])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A dump of ``a_log``."""
    path = tmp_path / "log.jsonl"
    with path.open("wb") as out:
        for event in a_log():
            line = {name: getattr(event, name, None) for name in ("position", "event_id", "conversation_id", "seq")}
            line |= {"kind": event.payload.kind, "at": event.at, "annotator_id": event.annotator_id}
            out.write(json.dumps(line | {"body": bodies.body_of(event.payload)}).encode() + b"\n")
    return path


def changed(path: Path, number: int, change: Callable[[Line], Any]) -> Path:
    """The dump with one line changed, counted from 1."""
    lines = path.read_text().splitlines()
    line = json.loads(lines[number - 1])
    change(line)
    lines[number - 1] = json.dumps(line)
    path.write_text("\n".join(lines) + "\n")
    return path


# ── round trips ──


def test_a_dump_is_a_line_an_event_in_the_order_of_positions(store: Store) -> None:
    store.append([made("e1", payload=MessageSent(message_id="m", parent_id=None, content='„Grüße"\n'))])
    first, second = dumped(store).decode().splitlines()
    assert json.loads(first)["kind"] == "log_started"
    assert second == (
        '{"position":2,"event_id":"e1","conversation_id":"c1","seq":1,"kind":"message_sent",'
        '"at":"2026-11-22T10:00:00.000000Z","annotator_id":"ann",'
        '"body":{"content":"„Grüße\\"\\n","edits":null,"message_id":"m","parent_id":null,"v":1}}'
    )


def test_an_empty_log_takes_a_dump_as_it_is(store: Store, file: Path) -> None:
    report = load(store, file)
    assert report == LoadReport(source_id="source-of-the-tests", added=len(a_log()), known=0)
    assert list(store.scan()) == a_log()
    assert store.source_id == "source-of-the-tests"
    with store.database.reading() as connection:
        assert list(differences(connection)) == []


def test_a_dump_of_a_loaded_dump_is_the_same_to_the_byte(place: Place, other_place: Place, tmp_path: Path) -> None:
    with place.open() as store, other_place.open() as other:
        store.append(told().asks("Warum? 🌤\u2028").answers("\0\x7f").likes().events)
        store.append([made("e1", "c9")])
        first = dumped(store)
        (tmp_path / "log.jsonl").write_bytes(first)
        load(other, tmp_path / "log.jsonl")
        assert dumped(other) == first
        assert other.source_id == store.source_id


numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(st.none() | st.booleans() | numbers | st.text(), lambda inner: st.lists(inner, max_size=3))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(), min_size=1, max_size=5), sampling=st.dictionaries(st.text(), values, max_size=4))
def test_any_text_and_number_survives_dump_and_load(tmp_path: Path, texts: list[str], sampling: Line) -> None:
    for old in tmp_path.rglob("*.db*"):
        old.unlink()
    gestures = [
        made(f"e{n}", "c1", n, payload=MessageSent(message_id="m", parent_id=None, content=text))
        for n, text in enumerate(texts, 1)
    ]
    reply = ReplyStarted(
        message_id="a",
        parent_id="m",
        model="m",
        model_id="o/m",
        model_revision=None,
        sampling=sampling,
        system_prompt_sha256=None,
    )
    gestures.append(made("last", "c1", len(texts) + 1, payload=reply))
    path = tmp_path / "log.jsonl"
    with Store.open(f"sqlite:///{tmp_path}/1.db") as one, Store.open(f"sqlite:///{tmp_path}/2.db") as two:
        one.append(gestures)
        path.write_bytes(dumped(one))
        load(two, path)
        assert dumped(two) == path.read_bytes()
        assert facts(log_of(two)) == facts(gestures)


def test_loading_twice_adds_nothing(store: Store, file: Path) -> None:
    load(store, file)
    before = dumped(store)
    assert load(store, file) == LoadReport(source_id="source-of-the-tests", added=0, known=len(a_log()))
    assert dumped(store) == before


def test_a_longer_dump_of_the_same_log_adds_what_is_new(place: Place, other_place: Place, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with place.open() as store, other_place.open() as copy:
        store.append(votes("c1", 3))
        path.write_bytes(dumped(store))
        load(copy, path)
        store.append([made("late", "c1", 4)])
        path.write_bytes(dumped(store))
        report = load(copy, path)
        assert (report.added, report.known) == (1, 4)
        assert dumped(copy) == path.read_bytes()


def test_another_log_is_appended_at_new_positions_and_says_whence_it_came(store: Store, file: Path) -> None:
    source_id = store.source_id
    mine = store.append(votes("mine", 3))
    report = load(store, file)
    assert (report.source_id, report.added, report.known) == ("source-of-the-tests", len(a_log()), 0)
    assert store.source_id == source_id
    assert log_of(store)[:3] == numbered(store, mine)
    assert facts(log_of(store)[3:]) == facts(a_log())
    assert [event.position for event in store.scan()] == list(range(1, store.position() + 1))
    assert load(store, file).added == 0
    with store.database.reading() as connection:
        assert list(differences(connection)) == []


def test_a_dump_written_by_hand_may_order_and_space_its_keys_as_it_likes(store: Store, file: Path) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("\n".join(json.dumps(line, sort_keys=True, indent=None, ensure_ascii=True) for line in lines))
    load(store, file)
    assert list(store.scan()) == a_log()


def test_a_body_of_an_older_version_is_kept_as_it_is(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies are upcast when they are read, not when they are moved."""
    monkeypatch.setitem(bodies.UPCASTS, ("message_sent", 0), lambda body: {"edits": None} | body)
    changed(file, 3, lambda line: (line["body"].update(v=0), line["body"].pop("edits")))
    load(store, file)
    assert b'"parent_id":null,"v":0}}' in dumped(store)
    assert list(store.scan()) == a_log()


# ── what is refused ──


def put(**members: Any) -> Callable[[Line], Any]:
    return lambda line: line.update(members)


def in_body(**members: Any) -> Callable[[Line], Any]:
    return lambda line: line["body"].update(members)


BAD_LINES: dict[str, tuple[int, Callable[[Line], Any], str]] = {
    "no beginning": (1, put(kind="conversation_cleared", body={"v": 1}), "a log begins with 'log_started'"),
    "another id": (1, put(event_id="0" * 32), "not made of its source id"),
    "another source": (1, in_body(source_id="another"), "not made of its source id"),
    "position gap": (2, put(position=3), "position 3 where 2 should be"),
    "position text": (2, put(position="2"), "key 'position': Input should be a valid integer"),
    "position truth": (2, put(position=True), "key 'position': Input should be a valid integer"),
    "unknown kind": (3, put(kind="vote_counted"), "unknown event kind 'vote_counted'"),
    "another kind": (3, put(kind="vote_cast"), "event kind 'vote_cast'"),
    "seq zero": (3, put(seq=0), "key 'seq'"),
    "seq too large": (3, put(seq=10**30), "key 'seq'"),
    "seq taken": (3, put(seq=1), "seq 1 of c1 where 2 should be"),
    "seq gap": (3, put(seq=5), "seq 5 of c1 where 2 should be"),
    "time": (3, put(at="2026-11-22 10:00"), "key 'at': '2026-11-22 10:00' is no time of the form"),
    "no such day": (3, put(at="2026-02-30T10:00:00.000000Z"), "key 'at'"),
    "no such hour": (3, put(at="2026-11-22T25:00:00.000000Z"), "key 'at'"),
    "digits": (3, put(at="٢026-11-22T10:00:00.000000Z"), "key 'at'"),
    "nobody": (3, put(annotator_id=""), "key 'annotator_id'"),
    "body text": (3, put(body="{}"), "key 'body': Input should be an object"),
    "key too many": (3, put(extra=1), "key 'extra': Extra inputs are not permitted"),
    "key too few": (3, lambda line: line.pop("at"), "key 'at': Field required"),
    "body type": (3, in_body(content=7), "key 'content' has a wrong value or type"),
    "body version": (3, in_body(v=2), "unknown body version 2"),
    "body key too many": (3, in_body(more=1), "unknown key 'more'"),
    "body key too few": (3, lambda line: line["body"].pop("content"), "key 'content' is missing"),
    "not a number": (4, lambda line: line["body"]["sampling"].update(seed=float("nan")), "has no canonical form"),
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_is_named_and_nothing_is_loaded(store: Store, file: Path, bad: str) -> None:
    number, change, reason = BAD_LINES[bad]
    before = dumped(store)
    with pytest.raises(LogError) as refused:
        load(store, changed(file, number, change))
    line = str(refused.value)
    assert line.startswith(f"{file}, line {number}: ")
    assert reason in line
    assert line.endswith("; nothing was loaded")
    assert "\n" not in line
    assert dumped(store) == before


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "not an event in JSON"),
        (b"", "not an event in JSON"),
        (b"[]", "not an event in JSON"),
        (b"\xff\xfe", "not an event in JSON"),
        (b'{"position": 2, "kind": "\\ud800"}', "not an event in JSON"),
    ],
    ids=["broken", "blank", "list", "not UTF-8", "surrogate"],
)
def test_what_is_not_json_is_named(store: Store, file: Path, bad: bytes, reason: str) -> None:
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([*lines[:2], bad, *lines[3:]]))
    with pytest.raises(LogError, match=f"line 3: .*{reason}"):
        load(store, file)
    assert store.position() == 1


def test_a_dump_that_was_cut_off_in_mid_line_is_refused(store: Store, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(LogError, match=f"line {len(a_log())}: this is not an event in JSON"):
        load(store, file)
    assert store.position() == 1


def test_a_bad_line_late_in_a_long_dump_leaves_nothing_behind(place: Place, other_place: Place, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with place.open() as store:
        store.extend([event] for event in votes("c1", 2500))
        path.write_bytes(dumped(store))
    changed(path, 2400, put(seq=7))
    with other_place.open() as other:
        with pytest.raises(LogError, match="line 2400: seq 7 of c1 where 2399 should be"):
            load(other, path)
        assert other.position() == 1
        other.append(votes("c1", 2))


def test_an_event_that_stands_on_two_lines_is_named(store: Store, file: Path) -> None:
    first = json.loads(file.read_text().splitlines()[1])
    with pytest.raises(LogError, match=r"line 3: event [0-9a-f]+ stands on an earlier line, too"):
        load(store, changed(file, 3, put(**first | {"position": 3})))


def test_an_event_that_stands_on_two_lines_far_apart_is_named(place: Place, other_place: Place, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with place.open() as store:
        store.append(votes("mine", 2))
        store.extend([event] for event in votes("c1", 2500))
        path.write_bytes(dumped(store))
    changed(path, 2400, put(event_id="c1-5"))
    with other_place.open() as other:
        other.append(votes("theirs", 2))
        with pytest.raises(LogError, match="line 2400: event c1-5 "):
            load(other, path)


@pytest.mark.parametrize("member", ["at", "seq", "annotator_id", "body"])
def test_an_event_that_is_stored_otherwise_is_named(store: Store, file: Path, member: str) -> None:
    load(store, file)
    before = dumped(store)
    other = {"at": "2026-01-01T00:00:00.000000Z", "seq": 2, "annotator_id": "eve"}
    change = in_body(content="Something else") if member == "body" else put(**{member: other[member]})
    number = 3 if member == "body" else 2
    with pytest.raises(LogError, match=rf"line {number}: event [0-9a-f]+ is stored with another content; nothing was"):
        load(store, changed(file, number, change))
    assert dumped(store) == before


def test_a_conversation_that_went_on_in_both_logs_is_refused(place: Place, other_place: Place, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with place.open() as store, other_place.open() as copy:
        store.append(votes("c1", 2))
        path.write_bytes(dumped(store))
        load(copy, path)
        store.append([made("here", "c1", 3)])
        copy.append([made("there", "c1", 3)])
        path.write_bytes(dumped(store))
        with pytest.raises(LogError, match="line 4: seq 3 of c1 where 4 should be"):
            load(copy, path)
        assert ids(log_of(copy)) == ["c1-1", "c1-2", "there"]


def test_a_file_that_cannot_be_read_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"nowhere\.jsonl: cannot read it \(No such file or directory\)"):
        load(store, tmp_path / "nowhere.jsonl")
    with pytest.raises(LogError, match="cannot read it"):
        load(store, tmp_path)


def test_an_empty_file_is_no_log(store: Store, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(LogError, match="this is empty"):
        load(store, tmp_path / "log.jsonl")
    assert store.position() == 1
