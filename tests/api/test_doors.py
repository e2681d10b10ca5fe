"""The API's door: who may come in, with what, and what is answered to all else. Always JSON, always one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from labeler.accounts import Tokens
from labeler.api.front import PLACES
from labeler.api.routes import MAX_BODY, MAX_BULK, ROUTES
from tests.api.conftest import FrontEnd, Served, api_over
from tests.api.test_reading import page_events

ID = "01a22602-de58-75c2-addb-720f891e3163"


def place(path: str) -> str:
    return path.replace("{conversation_id}", ID)


def line(answer: httpx.Response) -> str:
    """The one line of a refusal."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    said = str(body["error"])
    assert said
    assert "\n" not in said
    assert "Traceback" not in said
    return said


# ── tokens ──


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer lbl_unknown"}, {"authorization": "Basic YTpi"}])
def test_nobody_comes_in_without_a_token(theirs: FrontEnd, route: Any, header: dict[str, str]) -> None:
    answer = theirs.http.request(route.method, f"{theirs.address}/api/v1{place(route.path)}", headers=header)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    line(answer)


@pytest.mark.parametrize("token", ["lbl_\u00e9", "x" * 600, "a b", "lbl_x, Bearer lbl_y"])
def test_what_is_no_token_is_a_refusal(theirs: FrontEnd, token: str) -> None:
    answer = theirs.http.get(f"{theirs.address}/api/v1/study", headers={"authorization": f"Bearer {token}".encode()})
    assert answer.status_code == 401
    line(answer)


def test_a_revoked_token_opens_nothing_after_a_moment(tmp_path: Path) -> None:
    with api_over(tmp_path) as served:
        theirs = served.front_end("theirs")
        assert theirs.call("GET", "/study").status_code == 200
        served.tokens.revoke("theirs")
        served.tokens._seen.clear()
        assert "revoked" in line(theirs.call("GET", "/study"))
        token = served.tokens.renew("theirs")
        assert FrontEnd(served.address, token, served.http).call("GET", "/study").status_code == 200
        assert theirs.call("GET", "/study").status_code == 401


def test_a_token_opens_one_study(served: Served) -> None:
    token = Tokens(served.store, "another-study").add("theirs")
    assert FrontEnd(served.address, token, served.http).call("GET", "/study").status_code == 401


# ── other people's conversations ──


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if "{" in one.path], ids=lambda one: f"{one.method} {one.path}"
)
def test_another_tokens_conversation_is_not_there(served: Served, theirs: FrontEnd, route: Any) -> None:
    conversation, question, answer = theirs.exchange()
    other = served.front_end(f"other-{route.path}".replace("/", "-").replace("{", "").replace("}", "") + route.method)
    bodies = {
        "messages": {"content": "Mine?"},
        "replies": {"model": "m", "parent_id": question},
        "ends": {"message_id": answer, "end": {"content": "Mine."}},
        "edits": {"message_id": answer, "content": "Mine."},
        "selections": {"message_id": answer},
        "undos": {"message_id": question},
        "clears": {},
        "votes": {"message_id": answer, "value": 1},
        "reasons": {"message_id": answer, "comment": "mine"},
        "comparisons": {"message_a": answer, "message_b": question, "winner": "a"},
    }
    before = served.store.position()
    path = route.path.replace("{conversation_id}", conversation)
    answered = other.call(route.method, path, bodies.get(route.path.rpartition("/")[2]), other.key())
    assert answered.status_code == 404
    assert line(answered) == line(
        theirs.call(
            route.method, place(path.replace(conversation, ID)), bodies.get(route.path.rpartition("/")[2]), theirs.key()
        )
    )
    assert served.store.position() == before


def test_the_same_name_of_an_annotator_is_another_one_for_each_token(served: Served, theirs: FrontEnd) -> None:
    other = served.front_end("namesakes")
    mine, yours = theirs.begin("ann"), other.begin("ann")
    assert (
        theirs.read(f"/conversations/{mine}")["annotator_id"] != other.read(f"/conversations/{yours}")["annotator_id"]
    )
    assert other.call("GET", f"/conversations/{mine}").status_code == 404


def test_what_was_collected_on_the_page_is_not_there_either(tmp_path: Path) -> None:
    with api_over(tmp_path) as served:
        conversation = page_events(served)
        theirs = served.front_end()
        assert theirs.call("GET", f"/conversations/{conversation}").status_code == 404
        assert theirs.refused("messages", {"content": "Mine?"}, conversation)[0] == 404
        assert theirs.read("/events")["events"] == []


# ── paths and methods ──


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/nothing",
        "//study",
        "/study/x",
        "/v2",
        "/conversations/",
        "/conversations/%00",
        "/conversations/%ED%A0%80",
        "/conversations/a%2Fb/votes",
        f"/conversations/{'x' * 200}",
        f"/conversations/{ID}/",
        f"/conversations/{ID}/votes/x",
    ],
)
def test_where_there_is_nothing_the_answer_says_so(theirs: FrontEnd, path: str) -> None:
    answer = theirs.call("GET", path)
    assert answer.status_code == 404
    line(answer)


@pytest.mark.parametrize("words", PLACES, ids="/".join)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_another_method_is_named_the_right_one(theirs: FrontEnd, words: tuple[str, ...], method: str) -> None:
    if method in PLACES[words]:
        return
    path = "/" + "/".join(word or ID for word in words)
    answer = theirs.call(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == set(PLACES[words])
    line(answer)


def test_head_is_a_get_without_a_body(theirs: FrontEnd) -> None:
    answer = theirs.call("HEAD", "/study")
    assert (answer.status_code, answer.content) == (200, b"")


def test_every_answer_is_for_nobodys_cache_and_for_no_frame(theirs: FrontEnd) -> None:
    for answer in (theirs.call("GET", "/study"), theirs.call("GET", "/nothing")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers


# ── bodies ──


def post(theirs: FrontEnd, path: str, content: Any, **headers: str) -> httpx.Response:
    sent = {
        "authorization": f"Bearer {theirs.token}",
        "idempotency-key": theirs.key(),
        "content-type": "application/json",
    }
    return theirs.http.post(f"{theirs.address}/api/v1{path}", content=content, headers=sent | headers)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_is_not_said_to_be_json_is_not_read(theirs: FrontEnd, media_type: str) -> None:
    answer = post(theirs, "/conversations", b'{"annotator": "ann"}', **{"content-type": media_type})
    assert answer.status_code == 415
    line(answer)


def test_the_media_type_may_name_its_charset(theirs: FrontEnd) -> None:
    answer = post(
        theirs, "/conversations", b'{"annotator": "ann"}', **{"content-type": "Application/JSON; charset=utf-8"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(("path", "most"), [("/conversations", MAX_BODY), ("/bulk", MAX_BULK)])
def test_a_body_has_its_bound_whether_it_says_its_length_or_not(theirs: FrontEnd, path: str, most: int) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"annotator": "'
        for _ in range(most // 65536 + 1):
            yield b"x" * 65536

    assert post(theirs, path, b" " * (most + 1)).status_code == 413
    assert post(theirs, path, chunks()).status_code == 413
    assert post(theirs, path, b" " * most).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"annotator": "ann", "annotator": "bob", "more": 1}',
        b'{"annotator": 1}',
        b'{"annotator": ""}',
        b'{"annotator": null}',
        b'{"annotator": "a\\u0000b"}',
        b'{"annotator": "a\\ud800b"}',
        b'{"annotator": "\xed\xa0\x80"}',
        b'{"annotator": "ann", "language": "' + b"x" * 36 + b'"}',
        b'{"annotator": "' + b"x" * 201 + b'"}',
        b"[" * 100_000,
        b'{"annotator":' * 5000 + b"1" + b"}" * 5000,
        b'{"annotator": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_none_is_refused_with_one_line(served: Served, theirs: FrontEnd, body: bytes) -> None:
    before = served.store.position()
    answer = post(theirs, "/conversations", body)
    assert answer.status_code == 422
    assert len(line(answer)) < 600
    assert served.store.position() == before


@pytest.mark.parametrize(
    "sampling",
    [
        b'{"temperature": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": 1e999}',
        b'{"seed": 99999999999999999999999}',
        b'{"stop": "a\\u0000"}',
        b'{"a\\u0000": 1}',
        b'{"stop": "a\\udfff"}',
        b'{"much": "' + b"x" * 20_000 + b'"}',
        b'{"deep": ' + b"[" * 300 + b"]" * 300 + b"}",
        b"[]",
    ],
)
def test_parameters_that_the_log_cannot_keep_are_refused(served: Served, theirs: FrontEnd, sampling: bytes) -> None:
    conversation, _, _ = theirs.exchange()
    theirs.asked(conversation, "And?")
    before = served.store.position()
    answer = post(theirs, f"/conversations/{conversation}/replies", b'{"model": "m", "sampling": ' + sampling + b"}")
    assert answer.status_code == 422
    line(answer)
    assert served.store.position() == before


def test_a_nul_is_refused_in_every_text(served: Served, theirs: FrontEnd) -> None:
    conversation, _, answer = theirs.exchange()
    before = served.store.position()
    bad = "a\0b"
    for noun, body in (
        ("messages", {"content": bad}),
        ("messages", {"content": "And?", "parent_id": bad}),
        ("replies", {"model": bad}),
        ("replies", {"model": "m", "model_revision": bad}),
        ("replies", {"model": "m", "end": {"content": bad}}),
        ("replies", {"model": "m", "end": {"content": "Hm.", "error": bad}}),
        ("edits", {"message_id": answer, "content": bad}),
        ("reasons", {"message_id": answer, "reasons": [bad]}),
        ("reasons", {"message_id": answer, "comment": bad}),
    ):
        assert theirs.refused(noun, body, conversation)[0] == 422, (noun, body)
    assert served.store.position() == before


@pytest.mark.parametrize(
    "query",
    [
        "after=",
        "after=-1",
        "after=x",
        "after=9999999999999999999999",
        "after=%00",
        "limit=0",
        "limit=1001",
        "limit=%F0",
        "other=1",
    ],
)
def test_a_query_that_is_none_is_refused(theirs: FrontEnd, query: str) -> None:
    answer = theirs.call("GET", f"/events?{query}")
    assert answer.status_code == 422
    line(answer)


# ── limits, consent, a database that is away ──


def test_whoever_comes_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    with api_over(tmp_path, limiter=lambda token_id: 7.2 if token_id else None) as served:
        answer = served.front_end().call("GET", "/study")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "8")
    line(answer)


def test_nothing_is_told_before_consent(tmp_path: Path) -> None:
    with api_over(tmp_path, consent={"version": "2", "text": "May we?"}) as served:
        theirs = served.front_end()
        assert theirs.read("/study")["consent"] == {"version": "2", "text": "May we?"}
        status, said = theirs.refused("conversations", {"annotator": "ann"})
        assert (status, "consent" in said) == (403, True)
        assert theirs.refused("consents", {"annotator": "ann", "version": "1"})[0] == 422
        assert theirs.tell("consents", {"annotator": "ann", "version": "2"}) == {"version": "2"}
        conversation, _, answer = theirs.exchange("ann")
        assert theirs.refused("conversations", {"annotator": "bob"})[0] == 403
        theirs.tell("consents", {"annotator": "ann", "version": None})
        assert theirs.refused("votes", {"message_id": answer, "value": 1}, conversation)[0] == 403
        kinds = [event["kind"] for event in theirs.read("/events")["events"]]
        assert (kinds[0], kinds[-1]) == ("consent_given", "consent_withdrawn")


def test_while_the_database_is_away_it_says_when_to_come_again_and_then_goes_on(tmp_path: Path) -> None:
    with api_over(tmp_path) as served:
        theirs = served.front_end()
        conversation, _, answer = theirs.exchange()
        shutil.move(tmp_path / "log.db", tmp_path / "away.db")
        vote = {"message_id": answer, "value": 1}
        refused = theirs.call("POST", f"/conversations/{conversation}/votes", vote, "one-vote-of-theirs")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        line(refused)
        shutil.move(tmp_path / "away.db", tmp_path / "log.db")
        assert theirs.tell("votes", vote, conversation, "one-vote-of-theirs")["event_ids"]
        assert served.kinds(conversation).count("vote_cast") == 1


def test_a_defect_is_a_503_without_a_traceback(
    served: Served, theirs: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(type(served.intake), "conversation", broken)
    answer = theirs.call("GET", f"/conversations/{ID}")
    assert answer.status_code == 503
    assert "secret" not in line(answer)


def test_everything_answered_is_documented(theirs: FrontEnd) -> None:
    document = theirs.http.get(f"{theirs.address}/api/v1/openapi.json").json()
    for route in ROUTES:
        operation = document["paths"][f"/api/v1{route.path}"][route.method.lower()]
        assert set(operation["responses"]) == {"200", *map(str, route.statuses)}
    assert json.dumps(document).count('"#/components/schemas/ErrorAnswer"') > len(ROUTES)
