"""What an operator sees of a page that people use: figures that add up, lines that belong together, and no texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from labeler.ids import new_id
from tests.model_server import ModelServer
from tests.monitoring.conftest import TOKEN, Monitored, study_of
from tests.page.visitor import Visitor

MARK = "xyzzymark"


@pytest.fixture
def visitor(watched: Monitored) -> Iterator[Visitor]:
    visitor = Visitor(watched)
    yield visitor
    visitor.close()


def figures(served: Monitored) -> dict[str, float]:
    """The counters of the page: name and labels as the text format writes them."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{served.address}/metrics").text):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}"] = one.value
    return found


def grown(after: dict[str, float], before: dict[str, float], name: str) -> float:
    return after.get(name, 0.0) - before.get(name, 0.0)


def test_gestures_of_a_visitor_are_what_the_figures_grow_by(watched: Monitored, visitor: Visitor) -> None:
    before = figures(watched)
    visitor.say("Hello\nsay: Good day")
    for value in (1, -1, 0):
        assert visitor.post(visitor.vote() | {"value": value}).status_code == 200
    twice = visitor.vote()
    assert [visitor.post(twice).status_code, visitor.post(twice).status_code] == [200, 200]
    after = figures(watched)
    assert grown(after, before, "labeler_votes_total{vote=like}") == 2
    assert grown(after, before, "labeler_votes_total{vote=dislike}") == 1
    assert grown(after, before, "labeler_votes_total{vote=withdrawn}") == 1
    assert grown(after, before, "labeler_events_total{kind=reply_finished}") == 1
    assert grown(after, before, "labeler_model_replies_total{model=scripted,status=complete}") == 1
    assert grown(after, before, "labeler_http_requests_total{method=POST,route=/api/gesture,status=200}") == 5
    assert grown(after, before, "labeler_commit_seconds_count{}") == 6
    assert after["labeler_writer_queue{}"] == 0
    assert after["labeler_replies_running{model=scripted}"] == 0
    assert after["labeler_log_position{}"] == visitor.events()
    assert after["labeler_database_up{}"] == 1


def test_a_failing_model_is_seen_in_the_figures(watched: Monitored, visitor: Visitor) -> None:
    before = figures(watched)
    visitor.say("fault: 500")
    assert grown(figures(watched), before, "labeler_model_replies_total{model=scripted,status=failed}") == 1


def test_metrics_are_for_this_machine_and_for_who_has_the_token(watched: Monitored) -> None:
    url, right = f"{watched.address}/metrics", {"authorization": f"Bearer {TOKEN}"}
    here = httpx.get(url)
    assert (here.status_code, here.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    for header in ({"x-forwarded-for": "203.0.113.9"}, {"x-forwarded-for": "127.0.0.1"}, {"via": "1.1 proxy"}):
        refused = httpx.get(url, headers=header)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert "LABELER_METRICS_TOKEN" in refused.json()["error"]
        assert httpx.get(url, headers=header | right).status_code == 200
    assert httpx.get(url, headers={"authorization": "Bearer guessed"}).status_code == 401


def test_a_page_and_its_lines_share_the_requests_id(watched: Monitored, visitor: Visitor) -> None:
    visitor.say("Once\nsay: Twice")
    mine = new_id()
    body = json.dumps(visitor.vote()).encode()
    answered = visitor.http.post("/api/gesture", content=body, headers={"x-request-id": mine})
    assert answered.headers["x-request-id"] == mine
    request = watched.line(lambda line: line["event"] == "request" and line.get("request") == mine)
    gesture = watched.line(lambda line: line["event"] == "gesture" and line.get("request") == mine)
    assert (request["route"], request["status"], request["conversation"]) == ("/api/gesture", 200, visitor.conversation)
    assert (gesture["kinds"], gesture["conversation"]) == (["vote_cast"], visitor.conversation)
    assert gesture["position"] == answered.json()["position"]
    assert request["annotator"] == gesture["annotator"] != visitor.http.get("/api/me").json()["annotator"]


def test_a_gesture_that_came_through_gradio_names_the_request_that_brought_it(
    watched: Monitored, visitor: Visitor
) -> None:
    visitor.say("Asked\nsay: Answered")
    sent = watched.line(
        lambda line: line.get("conversation") == visitor.conversation and "message_sent" in line.get("kinds", ())
    )
    brought = watched.line(lambda line: line["event"] == "request" and line.get("request") == sent["request"])
    assert brought["route"] == "/gradio_api/queue/join"


def test_a_malformed_request_id_is_replaced(watched: Monitored) -> None:
    answered = httpx.get(f"{watched.address}/healthz", headers={"x-request-id": f"{MARK} {MARK}"})
    assert re.fullmatch(r"[0-9a-f]{20}", answered.headers["x-request-id"])


def test_refused_and_unknown_requests_are_counted_without_their_addresses(watched: Monitored) -> None:
    before = figures(watched)
    assert httpx.get(f"{watched.address}/{MARK}/{MARK}?{MARK}={MARK}").status_code == 404
    assert httpx.post(f"{watched.address}/api/gesture", headers={"origin": "https://evil.example"}).status_code == 403
    after = figures(watched)
    assert grown(after, before, "labeler_http_requests_total{method=GET,route=other,status=404}") == 1
    assert grown(after, before, "labeler_http_requests_total{method=POST,route=/api/gesture,status=403}") == 1
    assert not any(MARK in name for name in after)


def everything(visitor: Visitor) -> None:
    """All that a visitor can say to the page, with a mark in every text, and a few things that nobody should say."""
    visitor.say(f"{MARK} question\nsay: {MARK} answer")
    vote = visitor.vote()
    reason = {key: value for key, value in visitor.vote().items() if key != "value"} | {"kind": "reason"}
    visitor.post(vote)
    visitor.post(reason | {"reasons": ["Wrong"], "comment": f"{MARK} comment"})
    visitor.post(reason | {"nonce": new_id(), "reasons": [f"{MARK} reason"]})
    visitor.post(vote | {"conversation": f"{MARK} conversation", "nonce": f"{MARK}-nonce"})
    visitor.post(f'{{"{MARK}": '.encode())
    claims = {"nonce": new_id(), "conversation": visitor.conversation, "text": f"{MARK} text"}
    for seq, kind in enumerate(("edit", "retry", "undo", "clear", "select", MARK)):
        visitor.call(claims | {"kind": kind, "nonce": new_id(), "message": visitor.answer, "turn_seq": 3 + seq})
    visitor.say(f"fault: 500\nsay: {MARK} went wrong")
    # Gradio itself fails over these, and prints why.
    for data in ([MARK], {"a": MARK}, [{"kind": MARK}, None, MARK]):
        body = {"data": data, "fn_index": 0, "session_hash": MARK, "event_data": {MARK: MARK}}
        visitor.http.post("/gradio_api/queue/join", json=body)
    with visitor.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": MARK}) as stream:
        for line in stream.iter_lines():
            if "close_stream" in line or "unexpected_error" in line:
                break
    visitor.http.post("/gradio_api/queue/join", content=MARK.encode(), headers={"content-type": "application/json"})
    visitor.http.get(f"/api/me?mode={MARK}&conversations={MARK}", headers={"authorization": f"Bearer {MARK}"})
    visitor.http.get(f"/{MARK}", headers={"cookie": f"labeler_{MARK}={MARK}", "x-forwarded-for": MARK})
    visitor.http.get("/metrics", headers={"authorization": f"Bearer {MARK}", "x-forwarded-for": "203.0.113.9"})


def test_nothing_that_was_typed_or_is_secret_stands_in_journal_metrics_or_another_page(
    model: ModelServer, tmp_path: Path
) -> None:
    with Monitored(tmp_path, study_of(model)) as served:
        visitor = Visitor(served)
        everything(visitor)
        other = Visitor(served)
        told = {
            "metrics": other.http.get("/metrics").text,
            "page": other.page,
            "health": other.http.get("/healthz").text,
            "me": other.http.get("/api/me").text,
        }
        served.line(lambda line: line.get("route") == "/api/me" and line["annotator"] is not None)
        cookies = [next(iter(one.http.cookies.jar)).value or "" for one in (visitor, other)]
        visitor.close()
        other.close()
        assert served.terminate() == 0
    told["journal"] = "".join(served.errors)
    assert told["journal"].count("\n") > 20
    secret = (tmp_path / ".labeler" / "secret").read_bytes().hex()
    annotators = [cookie.partition(".")[0] for cookie in cookies]
    for where, text in told.items():
        for word in (MARK, TOKEN, secret, *(cookie.partition(".")[2] for cookie in cookies)):
            assert word not in text, (where, word)
    for annotator in annotators:
        assert annotator not in told["journal"] + told["metrics"]
    for line in served.lines():
        assert {"at", "level", "event"} <= line.keys()


def test_health_names_what_is_wrong_when_the_log_cannot_be_read(model: ModelServer, tmp_path: Path) -> None:
    with Monitored(tmp_path, study_of(model)) as served:
        assert served.health()["status"] == "ok"
        for path in tmp_path.glob("log.db*"):
            path.write_bytes(b"no database " * 1000)
        ill = httpx.get(f"{served.address}/healthz", timeout=30)
        assert ill.status_code == 503
        assert ill.json().keys() == {"status", "study", "error"}
        assert (ill.json()["status"], ill.json()["study"]) == ("unavailable", "watched")
        assert "\n" not in ill.json()["error"]
        found = figures(served)
        assert found["labeler_database_up{}"] == 0
        assert found["labeler_http_requests_total{method=GET,route=/healthz,status=503}"] == 1


@pytest.mark.parametrize(("openness", "status"), [("token", 401), ("off", 404)])
def test_a_study_can_keep_its_metrics_to_itself(model: ModelServer, tmp_path: Path, openness: str, status: int) -> None:
    with Monitored(tmp_path, study_of(model, metrics=openness)) as served:
        assert httpx.get(f"{served.address}/metrics").status_code == status
        with_token = httpx.get(f"{served.address}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert with_token.status_code == (200 if openness == "token" else 404)


def test_a_quiet_page_writes_nothing_while_all_is_well(model: ModelServer, tmp_path: Path) -> None:
    with Monitored(tmp_path, study_of(model, log="quiet")) as served:
        visitor = Visitor(served)
        visitor.say("Hello\nsay: Good day")
        assert visitor.post(visitor.vote()).status_code == 200
        visitor.close()
        assert served.terminate() == 0
        assert served.errors == []


def test_the_command_lines_word_on_the_journal_stands_over_the_studys(model: ModelServer, tmp_path: Path) -> None:
    with Monitored(tmp_path, study_of(model), "--log", "text") as served:
        httpx.get(f"{served.address}/healthz")
        assert served.terminate() == 0
    assert re.fullmatch(
        r"\S+Z info request request=[0-9a-f]{20} method=GET route=/healthz status=200 ms=[0-9.]+\n", served.errors[0]
    )
