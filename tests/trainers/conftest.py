"""A fresh export of a simulated log, and a tiny model with its tokenizer, both built here: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import DatasetDict, load_dataset
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    set_seed,
)

from tests.export import exported, judged, open_store, simulated, study_of, tell

CONVERSATIONS = 40
SPECIAL = ["<pad>", "<end>", "<system>", "<user>", "<assistant>"]
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of a simulated log and some told conversations: both splits, several shards."""
    folder = tmp_path_factory.mktemp("log")
    study = study_of(
        name="trainers",
        system_prompt="You are a helpful assistant.",
        dataset={"conversations_per_shard": 25, "test_percent": 30},
    )
    with open_store(folder) as store:
        tell(simulated(store, CONVERSATIONS, study), *(judged(number) for number in range(12)))
        return exported(store, study, folder / "package").package


@pytest.fixture(scope="session")
def load(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], DatasetDict]:
    """Load a config as anybody would, from the folder."""
    cache = tmp_path_factory.mktemp("cache")
    return lambda config: load_dataset(str(package), config, cache_dir=str(cache))


@pytest.fixture(scope="session")
def tokenizer(load: Callable[[str], DatasetDict]) -> PreTrainedTokenizerFast:
    """Byte pairs learned from the package's own texts."""
    tokens = Tokenizer(BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokens.train_from_iterator(load("messages")["train"]["content"], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="<end>")
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture
def language_model(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> LlamaForCausalLM:
    """Saved and loaded: trainers that need a second copy as reference load it by the model's name."""
    set_seed(1)
    LlamaForCausalLM(_config(tokenizer)).save_pretrained(tmp_path / "model")
    return LlamaForCausalLM.from_pretrained(tmp_path / "model")


@pytest.fixture
def scoring_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForSequenceClassification:
    set_seed(1)
    return LlamaForSequenceClassification(_config(tokenizer, num_labels=1))


def _config(tokenizer: PreTrainedTokenizerFast, **more: int) -> LlamaConfig:
    tokens = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    return LlamaConfig(vocab_size=len(tokenizer), **tokens, **SIZES, **more)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    """What all four trainers are told: two steps on the CPU, and no row shortened or dropped for its length."""
    return {
        "output_dir": str(tmp_path),
        "max_steps": 2,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "learning_rate": 1e-2,
        "max_length": None,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
    }
