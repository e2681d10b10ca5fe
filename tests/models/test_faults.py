"""Whatever fails, the person in front of the page reads one line, and what came before is kept."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Callable

import pytest

from labeler.errors import ModelError
from labeler.models import Answer as Stream
from labeler.models import ChatModel
from labeler.models.faults import one_line, place, quote
from tests.model_server import Answer, ModelServer
from tests.models.conftest import Ask, answer, said

TEXT = "one two three four"
KEY = "sk-very-secret-key"

FAULTS = [
    ("401", "", "refused the key; put a valid one into FOX_KEY and start again (one two three four)"),
    ("403", "", "may not be used with the key in FOX_KEY; ask for access to 'fox-1b' (one two three four)"),
    ("404", "", "is not there: {url} does not know 'fox-1b'; correct it in the study file (one two three four)"),
    ("429", "", "is asked too often; wait 1 s and press Retry (one two three four)"),
    ("418", "", "refused the request with status 418; check its entry in the study file (one two three four)"),
    ("500", "", "failed with status 500; press Retry in a moment (one two three four)"),
    ("503", "", "failed with status 503; press Retry in a moment (one two three four)"),
    (
        "308",
        "",
        "has moved from {url} to http://elsewhere.example/v1/chat/completions; put the new address into the study file",
    ),
    ("refuse", "", "broke off its answer; what came is kept, and Retry asks again"),
    ("hang", "", "gave no token for 0.4 s; press Retry, or raise its timeout in the study file"),
    ("hang-after 2", "one two", "gave no token for 0.4 s; press Retry, or raise its timeout in the study file"),
    ("ping-after 2", "one two", "gave no token for 0.4 s; press Retry, or raise its timeout in the study file"),
    ("die-after 0", "", "broke off its answer; what came is kept, and Retry asks again"),
    ("die-after 2", "one two", "broke off its answer; what came is kept, and Retry asks again"),
    ("reset-after 2", "one two", "broke off its answer; what came is kept, and Retry asks again"),
    ("cut-after 2", "one two", "broke off its answer; what came is kept, and Retry asks again"),
    (
        "error-after 2",
        "one two",
        "failed in mid-answer (scripted failure in the stream); what came is kept, and Retry asks again",
    ),
    (
        "invalid-after 2",
        "one two",
        "sent something that is no chat completion; check that {url} is an OpenAI-compatible server",
    ),
    ("empty", "", "gave an empty answer; press Retry for another"),
    (
        "html",
        "",
        "is not served at {url}: what answers there is no OpenAI-compatible server; correct base_url",
    ),
]


def until_failure(chunks: Stream) -> tuple[str, ModelError]:
    """Read an answer until it fails: the text before, and the failure."""
    text = ""
    try:
        for chunk in chunks:
            text += chunk.text
    except ModelError as error:
        return text, error
    pytest.fail(f"it did not fail: {text!r}")


@pytest.fixture
def fox(asking: Ask) -> ChatModel:
    return asking(key_env="FOX_KEY", environ={"FOX_KEY": KEY}, timeout=0.4)


@pytest.mark.parametrize(("fault", "kept", "line"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_a_fault_is_one_line_that_says_what_to_do_and_what_came_is_kept(
    fox: ChatModel, server: ModelServer, fault: str, kept: str, line: str
) -> None:
    text, error = until_failure(fox.stream(said(f"say: {TEXT}\nfault: {fault}"), fox.sampling(1)))
    assert text == kept
    assert str(error) == f"model 'fox' {line.format(url=server.base_url)}"
    assert answer(fox, "say: and now?") == "and now?"


@pytest.mark.parametrize("fault", [fault for fault, _, _ in FAULTS])
def test_no_error_shows_the_key_even_if_the_server_repeats_it(fox: ChatModel, fault: str) -> None:
    _, error = until_failure(fox.stream(said(f"say: {TEXT}\nfault: {fault}"), fox.sampling(1)))
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + repr(fox)


def test_a_server_that_echoes_the_key_is_blotted_out(fox: ChatModel, server: ModelServer) -> None:
    server.plan(Answer(raw=b'data: {"error": "bad key ' + KEY.encode() + b'"}\n\n'))
    _, error = until_failure(fox.stream(said("hi"), fox.sampling(1)))
    assert "bad key ***" in str(error)
    assert KEY not in str(error)


def test_a_missing_key_is_asked_for_by_the_name_of_its_setting(asking: Ask, server: ModelServer) -> None:
    server.key = "sk-right"
    with pytest.raises(ModelError, match="wants a key: name the variable that holds it with key_env"):
        answer(asking(), "hi")


def test_a_server_that_is_down_is_named_and_found_again_when_it_is_up(asking: Ask, server: ModelServer) -> None:
    model = asking()
    server.stop()
    _, error = until_failure(model.stream(said("hi"), model.sampling(1)))
    line = f"no server answers at {server.base_url}; start it, or correct its address in the study file"
    assert str(error) == f"model 'fox' is not there: {line}"
    with ModelServer(port=server.port):
        assert answer(model, "say: back") == "back"


@pytest.mark.parametrize("place", ["no-such-host.invalid", "127.0.0.1:99999", "a%20b"])
def test_a_host_without_address_is_told_when_it_is_asked(asking: Ask, place: str) -> None:
    model = asking(base_url=f"http://{place}/v1")
    _, error = until_failure(model.stream(said("hi"), model.sampling(1)))
    assert str(error).startswith(f"model 'fox' is not there: no server answers at http://{place}/v1;")


@pytest.mark.parametrize("url", ["http://[::1", "http://1.2.3.4:port/v1"])
def test_an_address_that_is_none_is_told_at_the_start(asking: Ask, url: str) -> None:
    with pytest.raises(ModelError, match="model 'fox': its base_url is no address; correct it in the study file"):
        asking(base_url=url)


def test_https_to_a_server_that_speaks_plainly_is_not_trusted(asking: Ask, server: ModelServer) -> None:
    model = asking(base_url=server.base_url.replace("http:", "https:"))
    _, error = until_failure(model.stream(said("hi"), model.sampling(1)))
    assert "check https and the certificate" in str(error)


def test_a_conversation_beyond_the_context_asks_for_a_new_one(asking: Ask, server: ModelServer) -> None:
    words = "request (6031 tokens) exceeds the available context size (4096 tokens)"
    server.plan(*[Answer(fault="400", say=words)] * 3)
    _, error = until_failure((model := asking()).stream(said("hi"), model.sampling(1)))
    assert str(error) == f"model 'fox' cannot read so long a conversation; begin a new one ({words})"


def test_an_endless_answer_is_cut_and_the_server_stops(asking: Ask, server: ModelServer) -> None:
    model = asking(sampling={"max_tokens": 10})
    text, error = until_failure(model.stream(said("fault: endless\npace: 5000\nsay: and"), model.sampling(1)))
    assert "went on past its max_tokens and was cut" in str(error)
    assert 20 < text.count("and") < 200
    server.wait_for(outcome="client-gone")


# ── ending an answer ──


def first_words(stream: Stream, count: int = 1) -> None:
    for _ in range(count):
        next(stream)


def test_closing_an_answer_stops_the_server(asking: Ask, server: ModelServer) -> None:
    stream = (model := asking()).stream(said("fault: endless\npace: 100"), model.sampling(1))
    first_words(stream, 3)
    stream.close()
    assert list(stream) == []
    (record,) = server.wait_for(outcome="client-gone")
    time.sleep(0.1)
    assert record.tokens < 40


@pytest.mark.parametrize("fault", ["hang", "hang-after 1", "ping-after 1"])
def test_an_answer_that_hangs_is_ended_from_another_thread_at_once(
    asking: Ask, server: ModelServer, fault: str
) -> None:
    stream = (model := asking(timeout=60)).stream(said(f"say: one\nfault: {fault}"), model.sampling(1))
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.extend(chunk.text for chunk in stream))
    reader.start()
    server.wait_for(1)
    time.sleep(0.1)
    stream.close()
    reader.join(2)
    assert not reader.is_alive()
    assert texts == ([] if fault == "hang" else ["one"])
    server.wait_for(outcome="client-gone", timeout=2)


def test_an_answer_closed_before_it_began_asks_nothing(asking: Ask, server: ModelServer) -> None:
    stream = (model := asking()).stream(said("hi"), model.sampling(1))
    stream.close()
    stream.close()
    assert list(stream) == []
    assert server.requests == []


def test_an_answer_that_nobody_holds_any_more_is_ended(asking: Ask, server: ModelServer) -> None:
    stream = (model := asking()).stream(said("fault: endless\npace: 100"), model.sampling(1))
    first_words(stream)
    del stream
    gc.collect()
    server.wait_for(outcome="client-gone")


def test_closing_while_chunks_come_never_raises(asking: Ask, server: ModelServer) -> None:
    model = asking(sampling={"max_tokens": 4000})
    failures: list[BaseException] = []

    def read(stream: Stream) -> None:
        try:
            for _ in stream:
                pass
        except BaseException as error:  # noqa: BLE001  # the very thing that is tested
            failures.append(error)

    for attempt in range(40):
        stream = model.stream(said("fault: endless"), model.sampling(attempt))
        reader = threading.Thread(target=read, args=(stream,))
        reader.start()
        time.sleep(0.001 * attempt)
        stream.close()
        reader.join(5)
        assert not reader.is_alive()
    assert failures == []


# ── words ──


@pytest.mark.parametrize(
    ("build", "shown"),
    [
        (lambda: place("http://user:pass@host:80/v1?key=x#y"), "http://host:80/v1"),
        (lambda: one_line("a\n b\t c"), "a b c"),
        (lambda: one_line("key K!", "K"), "key ***!"),
        (lambda: quote(""), ""),
        (lambda: quote("x" * 300), f" ({'x' * 200}…)"),
    ],
)
def test_words_for_people_are_short_plain_and_without_secrets(build: Callable[[], str], shown: str) -> None:
    assert build() == shown
