"""The scripted model keeps its word, also to other processes."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import Answer, ModelServer, default_text, tokens_of

ROOT = Path(__file__).parents[2]


def post(root: str, path: str, body: Any = None) -> bytes:
    request = urllib.request.Request(root + path, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as response:
        content: bytes = response.read()
    return content


def ask(server: ModelServer, text: str, **body: Any) -> str:
    """The answer in one piece."""
    whole = {"messages": [{"role": "user", "content": text}], **body}
    answer = json.loads(post(server.base_url, "/chat/completions", whole))
    return str(answer["choices"][0]["message"]["content"])


def test_directives_are_read_from_any_line() -> None:
    text = "Please.\nsay: a\\n  b\npace: 20\nwait: 0.5\ngate: here 3\nwords: 7\ntimes: 2\nfault: die-after 5\nThanks."
    assert Answer.parse(text) == Answer(
        say="a\n  b", pace=20, wait=0.5, gate="here", gate_at=3, words=7, times=2, fault="die-after 5"
    )
    assert Answer.parse("Say: no directive, and this is say: none") == Answer()


@pytest.mark.parametrize("wrong", ["fault: explode", "fault: 200", "pace: fast", "fault: die-after"])
def test_a_directive_that_makes_no_sense_is_refused(server: ModelServer, wrong: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        ask(server, wrong)
    caught.value.close()


def test_the_default_text_depends_on_message_and_seed_alone(server: ModelServer) -> None:
    assert ask(server, "hi", seed=1) == ask(server, "hi", seed=1) == default_text("hi", 1)
    assert len({ask(server, text, seed=seed) for text in ("hi", "ho") for seed in (None, 1, 2)}) == 6
    assert len(ask(server, "words: 50").split()) == 50


def test_attempts_are_counted_per_conversation(server: ModelServer) -> None:
    assert [ask(server, "say: take {attempt} of {seed}", seed=9) for _ in range(2)] == ["take 1 of 9", "take 2 of 9"]
    assert ask(server, "say: take {attempt} of {seed}!", seed=9) == "take 1 of 9!"


def test_a_fault_with_times_is_over_after_them(server: ModelServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="500") as caught:
        ask(server, "fault: 500\ntimes: 1\nsay: ok")
    caught.value.close()
    assert ask(server, "fault: 500\ntimes: 1\nsay: ok") == "ok"


def test_plans_win_over_directives_and_are_used_once(server: ModelServer) -> None:
    server.plan(Answer(say="first"), Answer(say="second"))
    assert [ask(server, "say: third") for _ in range(3)] == ["first", "second", "third"]


def test_tokens_joined_are_the_text() -> None:
    for text in ("", " ", "a", "  a  b\n\n c \n"):
        assert "".join(tokens_of(text)) == text


def test_as_a_program_it_prints_its_address_is_driven_over_http_and_ends_with_its_input() -> None:
    command = [sys.executable, "-m", "tests.model_server", "--until-eof", "--pace", "500"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as program:
        assert program.stdout is not None
        base = program.stdout.readline().decode().strip()
        root = base.removesuffix("/v1")
        post(root, "/_release/door")
        body = {"messages": [{"role": "user", "content": "gate: door\nsay: through"}], "stream": True}
        assert b"through" in post(base, "/chat/completions", body)
        with urllib.request.urlopen(f"{root}/_requests") as response:
            (record,) = json.load(response)
        assert (record["sent"], record["outcome"], record["attempt"]) == ("through", "done", 1)
        post(root, "/_reset")
        with urllib.request.urlopen(f"{root}/_requests") as response:
            assert json.load(response) == []
        assert program.stdin is not None
        program.stdin.close()
        assert program.wait(5) == 0
