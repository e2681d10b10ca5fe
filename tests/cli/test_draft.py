"""``labeler draft``: a pool of prompts, answered by several models, to be reviewed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from labeler.chat import Opinion, Reviewer, Writing
from labeler.core.conversation import Conversation
from labeler.core.folding import replay
from labeler.core.roles import Visitor
from labeler.core.text import normal
from labeler.store import Store, event_of, utc_now
from labeler.store.projections import follow
from labeler.store.reviews import Rules, counts
from labeler.store.verify import verify_log
from labeler.study import load_study
from tests.cli.conftest import Run, command, environment, write_study
from tests.cli.test_import import jsonl
from tests.model_server import ModelServer

PROMPTS = [f"Why is number {number} odd?" for number in range(6)]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def pool(place: Path, model: ModelServer) -> Path:
    """A study with three models, and a file of prompts."""
    spec = {"kind": "openai", "base_url": model.base_url, "model": "scripted"}
    models = [spec | {"name": name} for name in ("red", "green", "blue")]
    write_study(place, models=models, modes=["review"], system_prompt="Be brief.", review={"overlap": 1})
    (place / "prompts.txt").write_text("\n\n".join(PROMPTS) + "\n", encoding="utf-8")
    return place


def drafted(place: Path) -> list[Conversation]:
    with closing(Store.open(f"sqlite:///{place}/.labeler/tried.db")) as store:
        assert verify_log(store).problems == ()
        upto = store.position()
        streams = store.shard_rows(0, store.conversation_count(upto), upto)
        return [replay(name, [event_of(name, row) for row in rows]) for name, rows in streams]


def answers_in(conversation: Conversation) -> list[Any]:
    return [one for one in conversation.messages.values() if one.role == "assistant"]


def items(place: Path) -> dict[str, int]:
    with closing(Store.open(f"sqlite:///{place}/.labeler/tried.db")) as store:
        follow(store, Rules(overlap=1).projection)
        return counts(store, Rules(overlap=1))


def test_each_prompt_is_answered_by_different_models_and_goes_into_the_queue(run: Run, pool: Path) -> None:
    assert run("draft", "prompts.txt").out == "6 prompts answered, 0 known before, 0 refused, 0 failed\n"
    for conversation in drafted(pool):
        first, second = answers_in(conversation)
        assert conversation.mode == "pool"
        assert (first.complete, second.complete) == (True, True)
        assert first.started.model != second.started.model
        assert conversation.started is not None
        assert conversation.started.system_prompt == "Be brief."
        assert first.started.sampling["seed"] != second.started.sampling["seed"]
    asked = [next(iter(one.messages.values())).content for one in drafted(pool)]
    assert sorted(asked) == PROMPTS
    assert items(pool) == {"open": 6}


def test_again_it_answers_only_what_is_new(run: Run, pool: Path, model: ModelServer) -> None:
    run("draft", "prompts.txt")
    before = len(model.requests)
    with (pool / "prompts.txt").open("a", encoding="utf-8") as file:
        file.write("And seven?\n")
    assert run("draft", "prompts.txt").out == "1 prompts answered, 6 known before, 0 refused, 0 failed\n"
    assert len(model.requests) == before + 2


def test_which_models_answer_follows_from_the_prompt_alone(run: Run, pool: Path) -> None:
    run("draft", "prompts.txt", "--parallel", "1")
    first = {one.id: [each.started.model for each in answers_in(one)] for one in drafted(pool)}
    assert len({tuple(names) for names in first.values()}) > 1
    (pool / ".labeler" / "tried.db").unlink()
    run("draft", "prompts.txt", "--parallel", "6")
    assert {one.id: [each.started.model for each in answers_in(one)] for one in drafted(pool)} == first


def test_as_many_answers_as_are_asked_for_make_every_pair_of_them(run: Run, pool: Path) -> None:
    run("draft", "prompts.txt", "--answers", "3")
    assert {len(answers_in(one)) for one in drafted(pool)} == {3}
    distinct = sum(
        normal(one.content) != normal(other.content)
        for conversation in drafted(pool)
        for place, one in enumerate(answers_in(conversation))
        for other in answers_in(conversation)[place + 1 :]
    )
    assert items(pool) == {"open": distinct}


def test_a_prompt_may_be_a_conversation(run: Run, pool: Path, model: ModelServer) -> None:
    messages = [
        {"role": "system", "content": "You are a cook."},
        {"role": "user", "content": "Rice?"},
        {"role": "assistant", "content": "Rice."},
        {"role": "user", "content": "How long?"},
    ]
    jsonl(pool / "prompts.jsonl", [{"prompt": messages}])
    run("draft", "prompts.jsonl")
    (conversation,) = drafted(pool)
    assert conversation.started is not None
    assert conversation.started.system_prompt == "You are a cook."
    assert [one.content for one in conversation.messages.values()][:3] == ["Rice?", "Rice.", "How long?"]
    assert len({one.parent_id for one in answers_in(conversation)[1:]}) == 1
    assert [one["content"] for one in model.requests[-1].body["messages"]] == [one["content"] for one in messages]


def test_parquet_is_read_and_what_is_no_prompt_is_named(run: Run, pool: Path) -> None:
    rows = [{"prompt": "One?"}, {"prompt": " "}, {"prompt": None}]
    pq.write_table(pa.Table.from_pylist(rows), pool / "prompts.parquet")
    said = run("draft", "prompts.parquet")
    assert said.out.splitlines() == [
        "1 prompts answered, 0 known before, 2 refused, 0 failed",
        "  row 2: a message is empty",
        "  row 3: no column 'prompt'",
    ]
    told = json.loads(run("draft", "prompts.parquet", "--json").out)
    assert (told["drafted"], told["known"], sum(told["refused"].values())) == (0, 1, 2)


def test_a_prompt_whose_model_fails_is_stored_by_halves_never_and_tried_again(run: Run, pool: Path) -> None:
    jsonl(pool / "prompts.jsonl", [{"prompt": "Fine?"}, {"prompt": "fault: 500"}])
    said = run("draft", "prompts.jsonl")
    assert said.line == "1 prompts were not answered; the same command tries them again"
    assert said.out.splitlines()[0] == "1 prompts answered, 0 known before, 0 refused, 1 failed"
    assert said.out.splitlines()[1].startswith("  line 2: ")
    assert len(drafted(pool)) == 1
    assert "1 known before, 0 refused, 1 failed" in run("draft", "prompts.jsonl").out


@pytest.mark.parametrize(
    ("models", "options", "line"),
    [
        (1, (), "2 answers to a prompt need 2 models, and the study has 1; add one to models, or say --answers"),
        (2, ("--answers", "3"), "3 answers to a prompt need 3 models, and the study has 2; add one to models"),
    ],
)
def test_a_study_with_too_few_models_is_told_so(
    run: Run, place: Path, models: int, options: tuple[str, ...], line: str
) -> None:
    spec = {"kind": "openai", "base_url": "http://127.0.0.1:1", "model": "m"}
    write_study(place, models=[spec | {"name": f"m{number}"} for number in range(models)])
    (place / "prompts.txt").write_text("Why?\n", encoding="utf-8")
    assert run("draft", "prompts.txt", *options).line.startswith(line)


def test_files_that_are_not_there_or_not_text_are_one_line(run: Run, pool: Path) -> None:
    assert run("draft", "nowhere.txt").line.startswith("nowhere.txt: no such file")
    (pool / "bytes.txt").write_bytes(b"\xff\xfe\x00why")
    assert run("draft", "bytes.txt").line == "bytes.txt: this is not UTF-8 text; write one prompt a line"
    (pool / "empty.txt").write_text("\n \n", encoding="utf-8")
    assert run("draft", "empty.txt").out == "0 prompts answered, 0 known before, 0 refused, 0 failed\n"


def test_broken_off_it_keeps_what_was_answered_and_goes_on(pool: Path) -> None:
    slow = "\n".join(f"Prompt {number} pace" for number in range(8))
    (pool / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": f"{line}\nwords: 12\npace: 4"}) + "\n" for line in slow.splitlines()),
        encoding="utf-8",
    )
    arguments = command("draft", "prompts.jsonl", "--parallel", "2")
    with subprocess.Popen(arguments, cwd=pool, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (pool / ".labeler" / "tried.db").exists() or len(drafted(pool)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(20) == 130
    assert "Traceback" not in said
    kept = len(drafted(pool))
    assert 2 <= kept < 8
    done = subprocess.run(arguments, cwd=pool, env=environment(), capture_output=True, text=True, check=True)
    assert f"{8 - kept} prompts answered, {kept} known before" in done.stdout
    assert len(drafted(pool)) == 8


def test_what_is_reviewed_of_it_becomes_rows(run: Run, pool: Path) -> None:
    run("draft", "prompts.txt")
    study = load_study(pool / "configs" / "local.yaml")
    with closing(Store.open(study.database_url)) as store:
        reviewer = Reviewer(Writing(study, store, {}, clock=utc_now), utc_now)
        eve = Visitor("eve", "reviewer")
        while task := reviewer.task(eve):
            reviewer.say(eve, task.lease, Opinion(choice="a"))
    assert items(pool) == {"settled": 6}
    run("export")
    loaded = {
        config: load_dataset(str(pool / "exports" / "tried"), config, cache_dir=str(pool / "cache"))
        for config in ("comparisons", "dpo")
    }
    assert [sum(rows.num_rows.values()) for rows in loaded.values()] == [6, 6]
    pairs = loaded["dpo"]["train"]
    assert Counter(message["role"] for message in pairs[0]["prompt"]) == {"system": 1, "user": 1}
