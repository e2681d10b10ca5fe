"""Other trainers take their view as it is loaded: their own code reads every row, and none is dropped or misread."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset, load_dataset
from transformers import PreTrainedTokenizerFast

from tests.export import exported, judged, open_store, rows_of, simulated, study_of, tell
from tests.trainers import loaders

pytestmark = pytest.mark.filterwarnings("default")

Packages = Callable[[str], Path]
CONFIGS = ("dpo", "reward", "kto", "sft")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One log, with a system prompt, several turns and edits, in each view."""
    folder = tmp_path_factory.mktemp("views")
    options = {"conversations_per_shard": 25, "test_percent": 30}
    study = study_of(name="views", system_prompt="Be kind.", dataset=options)
    with open_store(folder) as store:
        tell(simulated(store, 40, study), *(judged(number) for number in range(12)))
        views = ("trl", "implicit", "llamafactory", "text")
        return {view: exported(store, study.with_view(view), folder / view).package for view in views}


def chats(packages: dict[str, Path], config: str, split: str = "train") -> list[dict[str, Any]]:
    """The rows in the canonical form."""
    return rows_of(packages["trl"], config, split)


# ── LLaMA-Factory ──


def aligned(packages: dict[str, Path], name: str, cache: Path) -> list[dict[str, Any]]:
    """What LLaMA-Factory makes of a data set of its list, read as its loader reads one from a folder."""
    parser, converter = loaders.llamafactory()
    folder = packages["llamafactory"]
    (attributes,) = parser.get_dataset_list([name], str(folder))
    assert attributes.load_from == "script"
    rows = load_dataset(
        path=str(folder / attributes.dataset_name),
        name=attributes.subset,
        data_dir=attributes.folder,
        data_files=None,
        split=attributes.split,
        cache_dir=str(cache),
    )
    convert = converter.get_dataset_converter(attributes.formatting, attributes, SimpleNamespace(media_dir=None))
    return [convert(row) for row in rows]


def turns(chat: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in chat]


def said(row: dict[str, Any]) -> list[tuple[str, str]]:
    """A prompt as LLaMA-Factory holds it: the system's words stand apart."""
    return ([("system", row["_system"])] if row["_system"] else []) + turns(row["_prompt"])


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("config", ["dpo", "reward"])
def test_llamafactory_reads_every_pair(packages: dict[str, Path], config: str, split: str, tmp_path: Path) -> None:
    found = aligned(packages, f"views_{config}" + ("_test" if split == "test" else ""), tmp_path)
    wanted = chats(packages, config, split)
    assert [said(row) for row in found] == [turns(row["prompt"]) for row in wanted]
    assert [turns(row["_response"]) for row in found] == [turns(row["chosen"] + row["rejected"]) for row in wanted]
    assert all(len(row["_prompt"]) % 2 == 1 for row in found), "or its tokenizing step would drop the row"
    assert found


def test_llamafactory_reads_every_judgement(packages: dict[str, Path], tmp_path: Path) -> None:
    found, wanted = aligned(packages, "views_kto", tmp_path), chats(packages, "kto")
    assert [said(row) for row in found] == [turns(row["prompt"]) for row in wanted]
    # The good answer stands in the first place, a bad one in the second, and nothing in the other.
    assert [[turn["content"] for turn in row["_response"]] for row in found] == [
        [row["completion"][0]["content"], ""] if row["label"] else ["", row["completion"][0]["content"]]
        for row in wanted
    ]
    assert {row["label"] for row in wanted} == {True, False}


def test_llamafactory_reads_every_demonstration(packages: dict[str, Path], tmp_path: Path) -> None:
    found, wanted = aligned(packages, "views_sft", tmp_path), chats(packages, "sft")
    assert [said(row) for row in found] == [turns(row["prompt"]) for row in wanted]
    assert [turns(row["_response"]) for row in found] == [turns(row["completion"]) for row in wanted]


@pytest.mark.parametrize(("config", "step"), [("dpo", 0), ("kto", 1)])
def test_llamafactorys_tokenizing_step_drops_no_row(
    packages: dict[str, Path], config: str, step: int, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    module = loaders.llamafactory_processors()[step]
    kind = getattr(module, ("PairwiseDatasetProcessor", "FeedbackDatasetProcessor")[step])
    template = SimpleNamespace(
        efficient_eos=False,
        mm_plugin=SimpleNamespace(
            process_messages=lambda messages, *_: messages, process_token_ids=lambda ids, labels, *_: (ids, labels)
        ),
        encode_oneturn=lambda _, messages, *__: (
            tokenizer.encode("".join(turn["content"] for turn in messages[:-1])),
            tokenizer.encode(messages[-1]["content"]),
        ),
    )
    processor = kind(template, tokenizer, None, SimpleNamespace(cutoff_len=4096))
    rows = aligned(packages, f"views_{config}", tmp_path)
    made = processor.preprocess_dataset(Dataset.from_list(rows).to_dict())
    assert len(next(iter(made.values()))) == len(chats(packages, config))
    if config == "kto":
        assert made["kto_tags"] == [row["label"] for row in chats(packages, "kto")]


def test_without_the_view_llamafactory_does_not_see_pairs(packages: dict[str, Path], tmp_path: Path) -> None:
    """Why there is one: the canonical form's lists are taken for a plain answer, without a word."""
    _, converter = loaders.llamafactory()
    attributes = loaders.llamafactory()[0].get_dataset_list(["views_dpo"], str(packages["llamafactory"]))[0]
    attributes.messages = "prompt"
    convert = converter.get_dataset_converter("sharegpt", attributes, SimpleNamespace(media_dir=None))
    assert len(convert(chats(packages, "dpo")[0])["_response"]) == 1


def test_the_hubs_entries_read_the_repo(tmp_path: Path) -> None:
    study = study_of(name="views", dataset={"repo": "someone/votes", "view": "llamafactory"})
    with tell(open_store(tmp_path), *(judged(number) for number in range(6))) as store:
        package = exported(store, study, tmp_path / "p").package
    (attributes,) = loaders.llamafactory()[0].get_dataset_list(["views_dpo_hub"], str(package))
    assert (attributes.load_from, attributes.dataset_name) == ("hf_hub", "someone/votes")
    assert (attributes.subset, attributes.split, attributes.ranking) == ("dpo", "train", True)


# ── torchtune ──


@pytest.mark.parametrize("config", ["dpo", "reward"])
def test_torchtune_reads_every_pair(packages: dict[str, Path], config: str, tmp_path: Path) -> None:
    messages = loaders.torchtune()
    transform = messages.ChosenRejectedToMessages()
    rows = load_dataset(str(packages["implicit"]), config, split="train", cache_dir=str(tmp_path))
    for row, wanted in zip(rows, chats(packages, config), strict=True):
        found = transform(row)
        for side in ("chosen", "rejected"):
            messages.validate_messages(found[side])
            assert [(one.role, one.text_content) for one in found[side]] == turns(wanted["prompt"] + wanted[side])
            assert not found[side][-1].masked


def test_torchtune_reads_every_demonstration(packages: dict[str, Path], tmp_path: Path) -> None:
    messages = loaders.torchtune()
    transform = messages.OpenAIToMessages()
    rows = load_dataset(str(packages["implicit"]), "sft", split="train", cache_dir=str(tmp_path))
    for row, wanted in zip(rows, chats(packages, "sft"), strict=True):
        found = transform(row)["messages"]
        messages.validate_messages(found)
        assert [(one.role, one.text_content) for one in found] == turns(wanted["prompt"] + wanted["completion"])


# ── verl ──


def shards(package: Path, config: str, copy: Path) -> list[str]:
    """Copies of the train shards, since verl may write to the list of them."""
    return [str(shutil.copy(file, copy / file.name)) for file in sorted((package / config).glob("train-*.parquet"))]


def test_verls_reward_model_reads_every_pair(
    packages: dict[str, Path], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    rewards, _ = loaders.verl()
    files = shards(packages["text"], "reward", tmp_path)
    rows = rewards.RMDataset(files, tokenizer, max_length=8192, cache_dir=str(tmp_path / "cache"))
    wanted = rows_of(packages["text"], "reward", "train")
    assert len(rows) == len(wanted)
    assert rows.prompts == [row["prompt"] for row in wanted]
    for place, row in enumerate(wanted):
        tokens = rows[place]
        length = int(tokens["attention_mask"][0].sum())
        text = tokenizer.decode(tokens["input_ids"][0][: length - 1])
        assert text == row["prompt"] + row["chosen"]
        assert int(tokens["input_ids"][0][length - 1]) == tokenizer.eos_token_id


def test_verl_reads_every_demonstration(
    packages: dict[str, Path], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    _, demonstrations = loaders.verl()
    files = shards(packages["text"], "sft", tmp_path)
    settings = {"max_length": 8192, "truncation": "error"}
    rows = demonstrations.MultiTurnSFTDataset(files, tokenizer, settings)
    wanted = chats(packages, "sft")
    assert [turns(chat) for chat in rows.messages] == [turns(row["prompt"] + row["completion"]) for row in wanted]
    for place in range(len(rows)):
        assert int(rows[place]["loss_mask"].sum()) > 0
