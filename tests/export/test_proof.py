"""A package proves itself: whatever was changed, lost or added since it was made is told by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from labeler.errors import PackageError
from labeler.export.exporter import export
from labeler.export.manifest import MANIFEST_PATH
from labeler.export.proof import verify_package
from labeler.simulate import simulate
from labeler.store import Store
from labeler.study import parse_study

STUDY = parse_study(
    {"name": "proven", "models": [{"kind": "openai", "name": "m", "base_url": "http://x", "model": "m"}]}
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    with Store.open(f"sqlite:///{tmp_path}/log.db") as store:
        store.extend(simulate(40, study=STUDY))
        return export(store, STUDY, tmp_path / "package", key=b"key").package


def votes(package: Path) -> Path:
    return next(package.glob("votes/*.parquet"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def fewer_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


def other_columns(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["comment"]), path)


def other_bytes_same_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path), path, compression="none")


def test_a_package_as_it_was_made_is_sound(package: Path) -> None:
    proven = verify_package(package)
    assert proven.ok
    assert proven.rows == sum(pq.read_metadata(path).num_rows for path in package.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (Path.unlink, ["it is missing"]),
        (cut, ["bytes, the manifest says", "its sha256", "cannot be read as parquet"]),
        (fewer_rows, ["bytes, the manifest says", "its sha256", "rows, the manifest says", "its rows digest"]),
        (other_columns, ["bytes, the manifest says", "its sha256", "its columns are not those of 'votes'"]),
        (other_bytes_same_rows, ["bytes, the manifest says", "its sha256"]),
    ],
)
def test_a_harmed_file_is_named_with_what_is_wrong(
    package: Path, harm: Callable[[Path], None], told: list[str]
) -> None:
    path = votes(package)
    harm(path)
    problems = verify_package(package).problems
    assert all(problem.startswith(f"votes/{path.name}: ") for problem in problems)
    assert len(problems) == len(told)
    assert all(part in problem for part, problem in zip(told, problems, strict=True))


def test_a_file_that_no_export_made_and_a_lost_card_are_told(package: Path) -> None:
    (package / "README.md").unlink()
    stray = package / "votes" / "train-00009-0123456789ab.parquet"
    stray.write_bytes(votes(package).read_bytes())
    assert [problem.partition(":")[0] for problem in verify_package(package).problems] == [
        "votes/train-00009-0123456789ab.parquet",
        "README.md",
    ]


def test_every_file_is_reported_once(package: Path) -> None:
    steps: list[int] = []
    proven = verify_package(package, report=steps.append)
    assert sum(steps) == len(proven.manifest.files)


def test_where_there_is_no_package_there_is_nothing_to_prove(tmp_path: Path, package: Path) -> None:
    with pytest.raises(PackageError, match="there is no package here"):
        verify_package(tmp_path / "nowhere")
    (package / MANIFEST_PATH).write_text("[]", encoding="utf-8")
    with pytest.raises(PackageError, match="manifest"):
        verify_package(package)
