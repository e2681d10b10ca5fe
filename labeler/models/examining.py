"""Does each model of a study answer? A remote one is asked for a single token; of a local one the file is looked at."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from labeler.checkup import Check, failed, told, well
from labeler.errors import ModelError
from labeler.models.local import weights
from labeler.models.opening import open_models
from labeler.study import LocalModel, ModelSpec

PATIENCE_SECONDS = 20.0
MAGIC = b"GGUF"
QUESTION = ({"role": "user", "content": "Say ok."},)


def examine_models(specs: Sequence[ModelSpec], environ: Mapping[str, str]) -> Iterator[Check]:
    """One check a model, in the study's order."""
    for spec in specs:
        name = f"model {spec.name}"
        try:
            yield _file(name, spec) if isinstance(spec, LocalModel) else _asked(name, spec, environ)
        except ModelError as error:
            yield told(name, str(error))


def _file(name: str, spec: LocalModel) -> Check:
    if importlib.util.find_spec("xllamacpp") is None:
        return failed(name, "its engine is not installed", "run scripts/setup or: pip install 'labeler[local]'")
    path, _ = weights(spec)
    try:
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
    except OSError as error:
        return failed(name, f"{path} cannot be read ({error.strerror})", "give labeler access to it")
    if begins != MAGIC:
        return failed(name, f"{path} is no GGUF file", "download it again, or correct its path in the study file")
    return well(name, f"{path.name} is there ({path.stat().st_size / 1e6:,.0f} MB)")


def _asked(name: str, spec: ModelSpec, environ: Mapping[str, str]) -> Check:
    hurried = spec.model_copy(update={"timeout": min(spec.timeout, PATIENCE_SECONDS)})
    with open_models([hurried], environ) as opened:
        model = opened[spec.name]
        with closing(model.stream(QUESTION, replace(model.sampling(seed=1), max_tokens=1))) as answer:
            for _ in answer:
                break
    return well(name, "it answers")
