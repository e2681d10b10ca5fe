"""exports/sample is what this labeler makes of its log: a golden package, rebuilt and compared."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from labeler.export.proof import verify_package
from labeler.export.schemas import CONFIGS
from tests.export import files_of, manifest_of
from tests.export.sample import PLACE, build_sample


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    return build_sample(folder, folder / "sample")


def test_the_committed_sample_has_the_rows_that_its_log_yields(rebuilt: Path) -> None:
    """Whatever pyarrow wrote it. When rules or columns change on purpose: python -m tests.export.sample."""
    committed, made = manifest_of(PLACE), manifest_of(rebuilt)
    assert [(file.key, file.rows_digest) for file in committed.files] == [
        (file.key, file.rows_digest) for file in made.files
    ]
    assert (committed.totals, committed.excluded, committed.options_digest) == (
        made.totals,
        made.excluded,
        made.options_digest,
    )


def test_the_committed_sample_is_the_same_byte_for_byte_under_the_same_pyarrow(rebuilt: Path) -> None:
    if manifest_of(PLACE).pyarrow != pa.__version__:
        pytest.skip(f"the sample was written by pyarrow {manifest_of(PLACE).pyarrow}, this is {pa.__version__}")
    assert files_of(PLACE) == files_of(rebuilt)


def test_the_committed_sample_is_sound() -> None:
    assert verify_package(PLACE).problems == ()


def test_the_sample_shows_every_config() -> None:
    assert manifest_of(PLACE).totals.keys() == CONFIGS.keys()
