"""The data loading code of other trainers, as they ship it, without the rest of them.

Each was written for other versions of torch's companions than trl's, and imports far more than reading data takes. So
its packages are entered without running their ``__init__``, and what concerns pictures, configuration files or batches
only is left empty. No line of what reads rows is replaced.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any


def llamafactory() -> tuple[ModuleType, ModuleType]:
    """LLaMA-Factory's ``data.parser`` (reads dataset_info.json) and ``data.converter`` (aligns rows)."""
    _enter("llamafactory", "data", "extras")
    return _module("llamafactory.data.parser"), _module("llamafactory.data.converter")


def llamafactory_processors() -> tuple[ModuleType, ModuleType]:
    """Its tokenizing steps for pairs and for feedback, which drop rows that are not as they should be."""
    _enter("llamafactory", "data", "extras", "data.processor")
    return _module("llamafactory.data.processor.pairwise"), _module("llamafactory.data.processor.feedback")


def torchtune() -> ModuleType:
    """torchtune's ``data._messages``."""
    _enter("torchtune", "data", "modules")
    return _module("torchtune.data._messages")


def verl() -> tuple[ModuleType, ModuleType]:
    """verl's data sets for reward models and for demonstrations."""
    _enter("verl", "utils.dataset")
    _leave_empty("omegaconf", DictConfig=dict, ListConfig=list, OmegaConf=None)
    _leave_empty("tensordict.tensorclass", NonTensorData=None)
    _leave_empty("verl.utils.tensordict_utils", nested_tensor_from_tensor_list=None)
    _leave_empty("verl.models.transformers.qwen2_vl", get_rope_index=None)
    return _module("verl.utils.dataset.rm_dataset"), _module("verl.utils.dataset.multiturn_sft_dataset")


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


def _enter(distributed: str, *packages: str) -> None:
    top = Path(str(distribution(distributed).locate_file(distributed)))
    for package in ("", *packages):
        name = f"{distributed}.{package}".rstrip(".")
        if name not in sys.modules:
            module = ModuleType(name)
            module.__path__ = [str(top.joinpath(*package.split(".")))]
            sys.modules[name] = module


def _leave_empty(name: str, **attributes: Any) -> None:
    if name not in sys.modules:
        module = ModuleType(name)
        vars(module).update(attributes)
        sys.modules[name] = module
