"""trl takes every trainer config as it is loaded: no mapping step, no row lost, weights that move."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from datasets import DatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer
from trl import (
    DPOConfig,
    DPOTrainer,
    KTOConfig,
    KTOTrainer,
    RewardConfig,
    RewardTrainer,
    SFTConfig,
    SFTTrainer,
)

Load = Callable[[str], DatasetDict]
Settings = dict[str, Any]

IGNORED = -100  # what torch's losses leave out

# trl and torch warn about their own futures and about tiny models; what the data is to blame for raises or is counted.
pytestmark = pytest.mark.filterwarnings("default")


def trained(trainer: Trainer, rows: DatasetDict) -> list[float]:
    """Train two steps and evaluate once; the losses. Every row went in, and the weights moved."""
    assert len(trainer.train_dataset) == len(rows["train"])
    assert len(trainer.eval_dataset) == len(rows["test"])
    model: PreTrainedModel = trainer.model
    before = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    trainer.train()
    trainer.evaluate()
    moved = [
        name for name, weight in model.named_parameters() if name in before and not torch.equal(before[name], weight)
    ]
    assert moved
    losses = [entry[key] for entry in trainer.state.log_history for key in ("loss", "eval_loss") if key in entry]
    assert len(losses) == 3
    assert all(math.isfinite(loss) for loss in losses)
    return losses


def test_dpo_trains_on_the_dpo_config(
    load: Load, language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> None:
    rows = load("dpo")
    trainer = DPOTrainer(
        language_model,
        args=DPOConfig(**settings),
        train_dataset=rows["train"],
        eval_dataset=rows["test"],
        processing_class=tokenizer,
    )
    losses = trained(trainer, rows)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3), "before the first step no answer is preferred"


def test_reward_trains_on_the_reward_config_and_reads_its_margin(
    load: Load, scoring_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> None:
    rows = load("reward")
    trainer = RewardTrainer(
        scoring_model,
        args=RewardConfig(**settings),
        train_dataset=rows["train"],
        eval_dataset=rows["test"],
        processing_class=tokenizer,
    )
    trained(trainer, rows)
    assert "margin" in trainer.train_dataset.column_names


def test_kto_trains_on_the_kto_config_in_the_order_of_the_files(
    load: Load, language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> None:
    rows = load("kto")
    trainer = KTOTrainer(
        language_model,
        args=KTOConfig(**settings),
        train_dataset=rows["train"],
        eval_dataset=rows["test"],
        processing_class=tokenizer,
    )
    trained(trainer, rows)
    assert list(trainer.train_dataset["label"]) == list(rows["train"]["label"])
    assert {type(label) for label in rows["train"]["label"]} == {bool}


def test_sft_trains_on_the_sft_config_and_on_the_completion_only(
    load: Load, language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> None:
    rows = load("sft")
    trainer = SFTTrainer(
        language_model,
        args=SFTConfig(**settings),
        train_dataset=rows["train"],
        eval_dataset=rows["test"],
        processing_class=tokenizer,
    )
    trained(trainer, rows)
    learned = [token for token in trainer.train_dataset[0]["labels"] if token != IGNORED]
    assert tokenizer.decode(learned).startswith(rows["train"][0]["completion"][0]["content"])


@pytest.mark.parametrize(("trainer", "config"), [(RewardTrainer, RewardConfig), (KTOTrainer, KTOConfig)])
def test_the_dpo_config_serves_the_other_preference_trainers_too(
    load: Load,
    request: pytest.FixtureRequest,
    tokenizer: PreTrainedTokenizerFast,
    settings: Settings,
    trainer: type[Trainer],
    config: type[Any],
) -> None:
    model = request.getfixturevalue("scoring_model" if trainer is RewardTrainer else "language_model")
    rows = load("dpo")["train"]
    running = trainer(model, args=config(**settings), train_dataset=rows, processing_class=tokenizer)
    assert len(running.train_dataset) == len(rows) * (2 if trainer is KTOTrainer else 1)
    running.train()
    assert all(math.isfinite(entry["loss"]) for entry in running.state.log_history if "loss" in entry)
