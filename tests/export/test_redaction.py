"""A package under a policy on personal data: nothing found is in any byte of it, and each text was scanned once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from labeler.errors import PackageError, StudyError
from labeler.export import redacting
from labeler.export.crews import processes
from labeler.export.explaining import explain
from labeler.export.exporter import export
from labeler.export.proof import verify_package
from labeler.redaction import Finder, finder_of, finders
from labeler.redaction.reviewing import found_hits, review
from labeler.store import Store
from labeler.store.transfer import dump, load
from labeler.study import Study
from tests.export import KEY, exported, files_of, judged, open_store, rows_of, study_of, tell
from tests.stories import told

AT = "2026-11-26T10:00:00.000000Z"
EMAIL = "jane.doe@example.org"
KEYS = "AKIA" + "IOSFODNN7EXAMPLE"


def confiding(number: int) -> Any:
    """A conversation with an address everywhere and a secret in the answer, and something for every config."""
    story = told("ann", f"s{number}").asks(f"Write {number} to {EMAIL}.").answers(f"{number}: to {EMAIL}, with {KEYS}.")
    story.dislikes().explains("Wrong", comment=f"no key to {EMAIL}")
    story.retries(f"{number}: to {EMAIL}, then.").better().likes()
    return story.asks("And then?").answers(f"Ask {EMAIL}.").edits(f"Ask {EMAIL} first, {number}.")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with tell(open_store(tmp_path), judged(1), confiding(2), confiding(3), judged(4), confiding(5)) as store:
        yield store


def study(policy: Any = "replace", **keys: Any) -> Study:
    return study_of(redaction=policy, **keys)


def words(package: Path) -> str:
    """All that a package says."""
    return "\n".join(
        str(pq.read_table(io.BytesIO(content)).to_pylist()) if content[:4] == b"PAR1" else content.decode()
        for content in files_of(package).values()
    )


@pytest.mark.parametrize("policy", ["replace", "block"])
@pytest.mark.parametrize("view", ["trl", "implicit", "llamafactory", "text"])
def test_nothing_that_was_found_is_in_any_byte_of_the_package(
    store: Store, tmp_path: Path, policy: str, view: str
) -> None:
    package = exported(store, study(policy, dataset={"view": view}), tmp_path / "p").package
    assert EMAIL not in words(package)
    assert KEYS not in words(package)
    assert "First answer 1." in words(package)
    assert verify_package(package).problems == ()
    assert EMAIL in words(exported(store, study("keep", dataset={"view": view}), tmp_path / "kept").package)


def test_rows_stay_and_say_the_same_of_both_sides(store: Store, tmp_path: Path) -> None:
    package = exported(store, study(dataset={"test_percent": 0}), tmp_path / "p").package
    plain = exported(store, study("none", dataset={"test_percent": 0}), tmp_path / "q").package
    for config in ("dpo", "kto", "sft", "votes", "comparisons", "messages"):
        assert len(rows_of(package, config)) == len(rows_of(plain, config))
    pair = next(row for row in rows_of(package, "dpo") if "Write 2" in row["prompt"][0]["content"])
    assert pair["prompt"][0]["content"] == "Write 2 to <EMAIL_1>."
    assert pair["chosen"][0]["content"] == "2: to <EMAIL_1>, then."
    assert pair["rejected"][0]["content"] == "2: to <EMAIL_1>, with <SECRET_1>."
    assert "no key to <EMAIL_1>" in {row["comment"] for row in rows_of(package, "votes")}


def test_ids_of_the_records_do_not_change_with_the_policy(store: Store, tmp_path: Path) -> None:
    packages = [
        exported(store, study(policy, dataset={"test_percent": 0}), tmp_path / policy).package
        for policy in ("none", "replace")
    ]
    ids = [[row["record_id"] for row in rows_of(package, "dpo")] for package in packages]
    assert ids[0] == ids[1]
    keys = [{row["prompt_key"] for row in rows_of(package, "dpo")} for package in packages]
    assert keys[0] != keys[1], "a digest of what was typed would let guesses be confirmed"


def test_the_ledger_and_the_card_say_what_was_found(store: Store, tmp_path: Path) -> None:
    result = exported(store, study("block"), tmp_path / "p")
    assert result.excluded["personal_data"] > 0
    card = (tmp_path / "p" / "README.md").read_text()
    assert "| `EMAIL` | 18 |" in card
    assert "| `SECRET` | 3 |" in card
    assert "| `PHONE` | 0 |" in card
    assert "datafog" in card
    assert "Names of\n  people and places were not looked for" in card


@pytest.mark.parametrize("change", [{"policy": "block"}, {"kinds": ["EMAIL"]}])
def test_another_policy_writes_every_shard_anew(store: Store, tmp_path: Path, change: dict[str, Any]) -> None:
    exported(store, study(), tmp_path / "p")
    again = exported(store, study({"policy": "replace"} | change), tmp_path / "p")
    assert again.shards_unchanged == 0
    once = exported(store, study({"policy": "replace"} | change), tmp_path / "q").package
    assert files_of(tmp_path / "p") == files_of(once)


# ── once ──


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that the finder is given."""
    texts: list[str] = []
    real = finder_of("datafog")

    def counting(_: str) -> Finder:
        return Finder(real.version, lambda text: texts.append(text) or real.find(text))  # type: ignore[func-returns-value]

    monkeypatch.setattr(redacting, "finder_of", counting)
    return texts


def test_every_text_is_scanned_once_and_later_exports_scan_only_what_is_new(
    store: Store, tmp_path: Path, asked: list[str]
) -> None:
    exported(store, study(), tmp_path / "p")
    assert len(asked) == len(set(asked)) > 0
    exported(store, study(), tmp_path / "q")
    assert len(asked) == len(set(asked))
    del asked[:]
    tell(store, told("ann", "new").asks("A new one?").answers("New.").likes())
    exported(store, study(), tmp_path / "p")
    assert asked == ["A new one?", "New."]


def test_what_is_written_is_looked_at_again(store: Store, tmp_path: Path, asked: list[str]) -> None:
    exported(store, study(), tmp_path / "p")
    assert "2: to <EMAIL_1>, then." in asked


def test_redacted_packages_are_the_same_whoever_builds_them(store: Store, tmp_path: Path) -> None:
    one = exported(store, study(), tmp_path / "p").package
    two = export(store, study(), tmp_path / "q", key=KEY, crew=processes(2)).package
    assert files_of(one) == files_of(two)


def test_redacted_packages_survive_a_dump_and_load(store: Store, tmp_path: Path) -> None:
    review(store, study(), next(found_hits(store, study())).id, restored=True, at=AT)
    with (tmp_path / "dump.jsonl").open("wb") as out:
        dump(store, out)
    with open_store(tmp_path, "other") as other:
        load(other, tmp_path / "dump.jsonl")
        assert files_of(exported(other, study(), tmp_path / "q").package) == files_of(
            exported(store, study(), tmp_path / "p").package
        )


def test_a_worker_with_another_finder_is_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redacting, "finder_of", lambda name: Finder("another", lambda text: ()))
    with pytest.raises(PackageError, match="install the same everywhere"):
        exported(store, study(), tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_finder_that_is_not_installed_is_one_line_and_nothing_is_exported(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = finders.version

    def missing(name: str) -> str:
        if name == "presidio-analyzer":
            raise finders.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(finders, "version", missing)
    with pytest.raises(StudyError, match="presidio-analyzer is not installed; pip install"):
        exported(store, study({"finder": "presidio"}), tmp_path / "p")


# ── reviews ──


def test_a_restored_hit_is_published_with_the_next_export_and_only_its_shard_is_written(
    store: Store, tmp_path: Path
) -> None:
    package = exported(store, study(), tmp_path / "p").package
    hit = next(one for one in found_hits(store, study()) if one.conversation_id == "s5")
    review(store, study(), hit.id, restored=True, at=AT)
    again = exported(store, study(), package)
    assert (again.shards_written, again.shards_unchanged) == (1, 1)
    texts = [row["content"] for row in rows_of(package, "messages")]
    assert f"Write 5 to {EMAIL}." in texts
    assert "Write 2 to <EMAIL_1>." in texts
    assert f"5: to {EMAIL}, with <SECRET_1>." in texts
    review(store, study(), hit.id, restored=False, at=AT)
    exported(store, study(), package)
    assert EMAIL not in words(package)


def test_explanations_follow_the_policy(store: Store, tmp_path: Path) -> None:
    found = explain(store, study("block"), "s2", key=KEY)
    assert {one.reason for one in found.decisions} == {"personal_data"}


def test_presidio_is_a_finder_too(store: Store, tmp_path: Path) -> None:
    package = exported(store, study({"finder": "presidio"}), tmp_path / "p").package
    assert EMAIL not in words(package)
    assert "presidio" in (package / "README.md").read_text()


@pytest.mark.parametrize(
    ("redaction", "line"),
    [
        ("everything", "redaction"),
        ({"policy": "burn"}, "redaction"),
        ({"kinds": ["NAME"]}, "'NAME' is no kind"),
        ({"kinds": []}, "redaction"),
        ({"unknown": 1}, "redaction"),
    ],
)
def test_what_a_study_cannot_mean_is_one_line(redaction: Any, line: str) -> None:
    with pytest.raises(StudyError, match=line) as caught:
        study(redaction)
    assert "\n" not in str(caught.value)


def test_the_manifest_tells_policies_apart_without_naming_one(store: Store, tmp_path: Path) -> None:
    digests = {
        json.loads(
            (exported(store, study(policy), tmp_path / policy).package / "_export" / "manifest.json").read_text()
        )["options_digest"]
        for policy in ("none", "keep", "replace", "block")
    }
    assert len(digests) == 4
