"""What an answer is: exact text, a known seed, counted tokens, and a request that says all of it."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack

import pytest
from huggingface_hub import ChatCompletionStreamOutput, constants, get_session
from huggingface_hub.inference import _providers
from hypothesis import given
from hypothesis import strategies as st

from labeler.errors import ModelError
from labeler.models import Chunk, Sampling, open_models
from labeler.models.client import chunks_of, whole_unicode
from labeler.models.faults import NoAnswer
from labeler.models.opening import HUB_SECONDS
from labeler.study import HuggingFaceModel, OpenAIModel
from tests.model_server import Answer, ModelServer, default_text
from tests.models.conftest import Ask, answer, said


def test_text_comes_in_pieces_and_the_last_chunk_ends_it_with_its_counts(asking: Ask) -> None:
    model = asking()
    chunks = list(model.stream(said("say: one two three"), model.sampling(7)))
    assert [chunk.text for chunk in chunks] == ["one", " two", " three", ""]
    assert chunks[-1] == Chunk("", "stop", prompt_tokens=4, completion_tokens=3)
    assert {chunk.finish_reason for chunk in chunks[:-1]} == {None}


@pytest.mark.parametrize(
    "text",
    [
        "    indented\n\tdef f():\n\t    return 1\n\n",
        "line\u2028separator, next\u0085line, form\x0cfeed",
        "  two  spaces  and a tail ",
        "naïve 🦊👩‍🚀 עברית",
        "data: not an event\n\ndata: [DONE]",
    ],
)
def test_text_is_exactly_what_the_model_wrote(asking: Ask, server: ModelServer, text: str) -> None:
    server.plan(Answer(say=text))
    assert answer(asking(), "anything") == text


def test_the_same_seed_repeats_an_answer_and_another_seed_changes_it(asking: Ask) -> None:
    model = asking()
    first, again, other = (answer(model, "hello", seed=seed) for seed in (1, 1, 2))
    assert first == again == default_text("hello", 1)
    assert other != first


def test_the_request_carries_how_the_answer_is_drawn(asking: Ask, server: ModelServer) -> None:
    model = asking(sampling={"temperature": 0.5, "top_p": 0.9, "max_tokens": 33, "stop": ["END"]})
    assert model.sampling(5) == Sampling(0.5, 0.9, 33, 5, ("END",))
    answer(model, "hi", seed=5)
    body = server.requests[-1].body
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["seed"]) == (0.5, 0.9, 33, 5)
    assert (body["stop"], body["model"], body["stream"]) == (["END"], "fox-1b", True)
    assert body["messages"] == said("hi")
    assert "top_k" not in body


def test_an_endpoint_is_asked_not_to_use_its_prompt_cache(asking: Ask, server: ModelServer) -> None:
    answer(asking(), "hi")
    assert server.requests[-1].body["cache_prompt"] is False


def test_max_tokens_ends_an_answer_with_the_reason_length(asking: Ask) -> None:
    model = asking(sampling={"max_tokens": 3})
    chunks = list(model.stream(said("say: a b c d e"), model.sampling(1)))
    assert "".join(chunk.text for chunk in chunks) == "a b c"
    assert chunks[-1].finish_reason == "length"


def test_models_come_in_the_order_of_the_study_with_their_weights_and_revisions() -> None:
    specs = [
        OpenAIModel(kind="openai", name=name, base_url="http://127.0.0.1:1/v1", model=name * 2, revision=rev, weight=w)
        for name, rev, w in [("b", "r1", 2.0), ("a", None, 0.5)]
    ]
    with open_models(specs, {}) as models:
        assert list(models) == ["b", "a"]
        assert [(m.model_id, m.revision, m.weight) for m in models.values()] == [("bb", "r1", 2.0), ("aa", None, 0.5)]


# ── servers that are choosy about fields ──


def test_a_field_that_a_server_refuses_is_left_out_and_not_tried_again() -> None:
    with ModelServer(strict=True) as server:
        spec = OpenAIModel(kind="openai", name="fox", base_url=server.base_url, model="m")
        with open_models([spec], {}) as models:
            assert answer(models["fox"], "say: yes") == "yes"
            assert answer(models["fox"], "say: again") == "again"
        assert ["cache_prompt" in request.body for request in server.requests] == [True, False, False]
        assert all(request.body["stream_options"] == {"include_usage": True} for request in server.requests)


def test_a_request_that_is_wrong_in_itself_does_not_cost_the_extras(asking: Ask, server: ModelServer) -> None:
    model = asking()
    server.plan(*[Answer(fault="400")] * 3)
    with pytest.raises(ModelError, match="status 400"):
        answer(model, "bad")
    answer(model, "good")
    assert server.requests[-1].body["cache_prompt"] is False


# ── shapes of streams in the wild ──

END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'


def event(**delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("raw", "text", "reason"),
    [
        (event(content="a") + END, "a", "stop"),
        (b": ping\r\n\r\n" + event(content="a").replace(b"\n", b"\r\n") + END + b"data: [DONE]\r\n\r\n", "a", "stop"),
        (b'data: {"choices": []}\n\n' + event(role="assistant", content=None) + event(content="a") + END, "a", "stop"),
        (event(content="a") + END.replace(b"stop", b"eos_token"), "a", "stop"),
        (event(content="a") + END.replace(b"stop", b"content_filter"), "a", "content_filter"),
        (event(reasoning="hm") + event(content="a") + END, "a", "stop"),
        (event(content="a\ud83e") + event(content="\udd8ab") + END, "a\N{FOX FACE}b", "stop"),
        (event(content="a\ud83e") + END, "a\N{REPLACEMENT CHARACTER}", "stop"),
        (event(content="a") + END + b"data: nonsense after the end\n\n", "a", "stop"),
        (event(content="a") + END.rstrip(), "a", "stop"),
    ],
    ids=[
        *("no-done", "crlf-and-comment", "empty-choices", "tgi", "filtered", "reasoning"),
        *("split-emoji", "half-emoji", "late-noise", "no-newline"),
    ],
)
def test_streams_that_differ_in_manner_are_read_alike(
    asking: Ask, server: ModelServer, raw: bytes, text: str, reason: str
) -> None:
    server.plan(Answer(raw=raw))
    model = asking()
    chunks = list(model.stream(said("hi"), model.sampling(1)))
    assert "".join(chunk.text for chunk in chunks) == text
    assert chunks[-1].finish_reason == reason


@pytest.mark.parametrize(
    "line",
    [
        *(b"5", b"null", b"[]", b'"text"', b"\xff", b"{}" * 9),
        *(b'{"choices": 5}', b'{"choices": [5]}', b'{"choices": [{"delta": 5}]}'),
        *(b'{"choices": [{"delta": {"content": 5}}]}', b'{"choices": [{"delta": {"content": ["a"]}}]}'),
    ],
)
def test_an_event_that_is_no_chunk_is_a_clear_failure(asking: Ask, server: ModelServer, line: bytes) -> None:
    server.plan(Answer(raw=b"data: " + line + b"\n\n"))
    with pytest.raises(ModelError, match=r"^model 'fox' sent something that is no chat completion"):
        answer(asking(), "hi")


def test_a_line_without_end_is_not_read_for_ever(asking: Ask, server: ModelServer) -> None:
    server.plan(Answer(raw=b"data: " + b"x" * (3 << 20)))
    with pytest.raises(ModelError, match="no chat completion"):
        answer(asking(), "hi")


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_whatever_comes_out_can_be_stored(text: str) -> None:
    whole = whole_unicode(text)
    whole.encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert whole == text


@pytest.mark.parametrize(
    ("reason", "count", "chunk"),
    [
        ("stop", 10**12, Chunk("", "stop", None, 3)),
        ("stop", -1, Chunk("", "stop", None, 3)),
        ("stop", True, Chunk("", "stop", None, 3)),
        (7, 2, Chunk("", "7", 2, 3)),
        ("\ud800", 2, Chunk("", "\ufffd", 2, 3)),
    ],
)
def test_what_a_server_says_of_its_answer_can_be_stored_and_exported(
    reason: object, count: object, chunk: Chunk
) -> None:
    choice = {"index": 0, "delta": {"role": "assistant", "content": "So."}, "finish_reason": reason}
    usage = {"prompt_tokens": count, "completion_tokens": 3, "total_tokens": 5}
    output = {"id": "1", "created": 1, "model": "m", "system_fingerprint": "", "choices": [choice], "usage": usage}
    *_, last = chunks_of([ChatCompletionStreamOutput.parse_obj_as_instance(output)], 10)
    assert last == chunk


def test_a_stream_without_events_is_not_an_answer() -> None:
    with pytest.raises(NoAnswer):
        list(chunks_of([], 10))


# ── many at once ──


def test_more_answers_than_a_shared_pool_would_hold_are_open_at_once(asking: Ask, server: ModelServer) -> None:
    model, wanted = asking(), 130
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(answer(model, "gate: all 1\nsay: a b"))) for _ in range(wanted)
    ]
    for thread in threads:
        thread.start()
    server.wait_for(wanted, timeout=30)
    server.release("all")
    for thread in threads:
        thread.join(30)
    assert texts == ["a b"] * wanted


# ── keys ──


def test_the_key_is_taken_from_the_variable_that_the_study_names(server: ModelServer, asking: Ask) -> None:
    server.key = "sk-right"
    assert answer(asking(key_env="FOX_KEY", environ={"FOX_KEY": "sk-right"}), "say: in") == "in"


@pytest.mark.parametrize("environ", [{}, {"FOX_KEY": ""}, {"FOX_KEY": "  "}])
def test_a_key_that_is_not_set_is_told_at_the_start(asking: Ask, environ: dict[str, str]) -> None:
    with pytest.raises(ModelError, match=r"^model 'fox' needs a key: put it into the environment variable FOX_KEY"):
        asking(key_env="FOX_KEY", environ=environ)


@pytest.mark.parametrize("key", ["sk-naïve", "sk-two\nlines", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_told_at_the_start_and_not_shown(asking: Ask, key: str) -> None:
    with pytest.raises(ModelError, match="what FOX_KEY holds is no key") as caught:
        asking(key_env="FOX_KEY", environ={"FOX_KEY": key})
    assert key not in str(caught.value)


def test_the_machines_hugging_face_token_is_not_sent_to_other_servers(
    asking: Ask, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_machine")
    answer(asking(environ={"HF_TOKEN": "hf_machine"}), "hi")
    assert "hf_machine" not in json.dumps(server.requests[-1].headers)
    assert "authorization" not in server.requests[-1].headers


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    asking: Ask, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert answer(asking(), "say: direct") == "direct"


# ── Hugging Face ──


@pytest.fixture
def router(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """The scripted server in the place of the Hub, which knows the providers' names of models, and of its router."""
    root = server.base_url.removesuffix("/v1")
    monkeypatch.setattr(constants, "INFERENCE_PROXY_TEMPLATE", root + "/{provider}")
    monkeypatch.setattr(_providers.CONVERSATIONAL_AUTO_ROUTER, "base_url", root)
    monkeypatch.setattr(constants, "ENDPOINT", root)
    return server


@pytest.mark.parametrize(
    ("provider", "path", "asked_for"),
    [(None, "/v1/chat/completions", "org/fox"), ("together", "/together/v1/chat/completions", "org-fox-turbo")],
)
def test_a_model_behind_the_hubs_router_is_asked_with_the_token_and_without_cache(
    router: ModelServer, provider: str | None, path: str, asked_for: str
) -> None:
    spec = HuggingFaceModel(kind="huggingface", name="fox", model="org/fox", provider=provider)
    with open_models([spec], {"HF_TOKEN": "hf_test"}) as models:
        assert models["fox"].model_id == "org/fox"
        assert answer(models["fox"], "say: routed") == "routed"
    request = router.requests[-1]
    assert (request.path, request.body["model"]) == (path, asked_for)
    assert request.headers["authorization"] == "Bearer hf_test"
    assert request.headers["x-use-cache"] == "false"


def test_the_hub_is_not_waited_for_without_end() -> None:
    spec = HuggingFaceModel(kind="huggingface", name="fox", model="org/fox", provider="together")
    with open_models([spec], {"HF_TOKEN": "hf_test"}):
        assert get_session().timeout.read == HUB_SECONDS


def test_a_hub_model_needs_a_token() -> None:
    spec = HuggingFaceModel(kind="huggingface", name="fox", model="org/fox")
    with pytest.raises(ModelError, match="variable HF_TOKEN"), ExitStack() as opened:
        opened.enter_context(open_models([spec], {}))


def test_an_unknown_provider_is_named() -> None:
    spec = HuggingFaceModel(kind="huggingface", name="fox", model="org/fox", provider="nobody")
    with open_models([spec], {"HF_TOKEN": "hf_test"}) as models, pytest.raises(ModelError) as caught:
        answer(models["fox"], "hi")
    assert str(caught.value).startswith("model 'fox' cannot be asked for (Provider 'nobody' not supported.")
    assert "\n" not in str(caught.value)
