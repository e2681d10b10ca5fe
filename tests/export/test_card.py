"""The card says what loaders need and what is in the rows beside it, and keeps what a person wrote."""

from __future__ import annotations

import re
from collections import Counter
from itertools import permutations
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import yaml
from datasets import Features
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st

from labeler.core.events import Compared, Winner
from labeler.errors import PackageError
from labeler.export.card import size_category
from labeler.export.readme import END, START, parse, with_words_of
from labeler.export.schemas import CONFIGS, schema
from labeler.export.sections import MEANINGS, PARTS
from labeler.export.tallies import Tally, below, parse_statistics, statistics_json
from tests.export import exported, judged, manifest_of, open_store, rows_of, simulated, study_of, tell
from tests.stories import Story, told, told_of


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    study = study_of(dataset={"conversations_per_shard": 40, "test_percent": 20}, rules={"sft_from_likes": True})
    with open_store(folder) as store:
        simulated(store, 60, study)
        exported(store, study, folder / "out")
        simulated(store, 150, study)  # the same seed: ninety more
        return exported(store, study, folder / "out").package


@pytest.fixture(scope="module")
def jury(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of conversations that several annotators judged, now the same and now otherwise."""
    folder = tmp_path_factory.mktemp("jury")
    with open_store(folder) as store:
        for number in range(12):
            story = told("ann", f"c{number}").asks(f"Question {number}?").answers(f"First {number}.").likes()
            for place, judge in enumerate(("bob", "cid", "dan")[: number % 4]):
                story.by(judge).votes(1 if (number + place) % 3 else -1, "a1")
            story.by("ann").retries(f"Second {number}, longer.")
            verdict = _beside(story, "a1", "a2", "a" if number % 3 else "tie", "a_left")
            story.adds(verdict).by("bob").adds(_beside(story, "a2", "a1", "b" if number % 4 else "a", "b_left"))
            tell(store, story)
        return exported(store, study_of(), folder / "out").package


def _beside(story: Story, a: str, b: str, winner: Winner, position: str) -> Compared:
    strength = 2 if winner in ("a", "b") else 0
    return Compared(message_a=story.id(a), message_b=story.id(b), winner=winner, strength=strength, position=position)


def alpha_by_coincidence(units: list[list[int]]) -> float:
    """Krippendorff's definition, straight from the matrix of coincidences."""
    values = sorted({one for unit in units for one in unit})
    matrix = {
        (one, other): sum(
            sum((a, b) == (one, other) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units
        )
        for one in values
        for other in values
    }
    n = {one: sum(matrix[one, other] for other in values) for one in values}
    total = sum(n.values())
    apart = [pair for pair in matrix if pair[0] != pair[1]]
    return 1 - (total - 1) * sum(matrix[pair] for pair in apart) / sum(n[one] * n[other] for one, other in apart)


def card_of(package: Path) -> str:
    return (package / "README.md").read_text(encoding="utf-8")


def front_of(package: Path) -> dict[str, Any]:
    front: dict[str, Any] = yaml.safe_load(card_of(package).split("---\n")[1])
    return front


def section(package: Path, title: str) -> str:
    return card_of(package).partition(f"## {title}\n")[2].partition("\n## ")[0]


def table_in(text: str) -> dict[str, list[str]]:
    """The rows of a Markdown table by their first cell, numbers without their commas."""
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip().strip("`").replace(",", "") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


# ── front matter ──


def test_every_config_names_its_files_by_split_and_dpo_is_the_default(package: Path) -> None:
    configs = {config["config_name"]: config for config in front_of(package)["configs"]}
    assert list(configs) == list(CONFIGS)
    assert configs["dpo"] == {
        "config_name": "dpo",
        "default": True,
        "data_files": [
            {"split": "train", "path": "dpo/train-*.parquet"},
            {"split": "test", "path": "dpo/test-*.parquet"},
        ],
    }
    assert configs["votes"]["data_files"] == [{"split": "train", "path": "votes/train-*.parquet"}]
    assert [name for name, config in configs.items() if config.get("default")] == ["dpo"]


def test_the_features_of_every_column_are_declared(package: Path) -> None:
    for declared in front_of(package)["dataset_info"]:
        features = Features._from_yaml_list(declared["features"])
        assert features == Features.from_arrow_schema(schema(declared["config_name"]))


def test_a_config_without_rows_is_not_declared_and_another_is_the_default(tmp_path: Path) -> None:
    store = tell(open_store(tmp_path), told().asks("Why?").answers("So.").likes())
    front = front_of(exported(store, study_of(dataset={"test_percent": 0}), tmp_path / "out").package)
    assert [config["config_name"] for config in front["configs"]] == ["kto", "votes", "messages"]
    assert [config.get("default", False) for config in front["configs"]] == [True, False, False]


def test_the_hub_client_reads_the_card_and_finds_what_it_shows(package: Path) -> None:
    card = DatasetCard.load(package / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.language == ["en"]
    assert {"rlhf", "preference", "human-feedback", "dpo", "trl"} <= set(card.data.tags)
    assert card.data.annotations_creators == ["crowdsourced"]
    assert "text-generation" in card.data.task_categories


@pytest.mark.parametrize(
    ("rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (1_000_000, "1M<n<10M"), (10**12, "n>1T")],
)
def test_sizes_have_the_names_of_the_hub(rows: int, name: str) -> None:
    assert size_category(rows) == name


def test_the_size_is_that_of_all_rows(package: Path) -> None:
    rows = sum(len(rows_of(package, config)) for config in CONFIGS)
    assert front_of(package)["size_categories"] == [size_category(rows)]


# ── statistics, each against the rows themselves ──


def test_the_card_counts_the_rows_of_every_config_and_split(package: Path) -> None:
    counts = table_in(section(package, "Rows"))
    for config in CONFIGS:
        assert counts[config][:2] == [str(len(rows_of(package, config, split))) for split in ("train", "test")]


def test_the_card_counts_the_rows_of_every_rule(package: Path) -> None:
    shown = table_in(section(package, "Rules"))
    for place, config in enumerate(("dpo", "reward", "kto", "sft")):
        counts = Counter(row["source"] for row in rows_of(package, config))
        assert {rule: int(cells[place]) for rule, cells in shown.items() if int(cells[place])} == dict(counts)


def test_the_card_counts_answers_by_their_author(package: Path) -> None:
    def authors(config: str, prefix: str = "", **wanted: object) -> Counter[str]:
        rows = [row for row in rows_of(package, config) if all(row[name] == value for name, value in wanted.items())]
        return Counter(row[f"{prefix}model"] or "a person" for row in rows)

    expected = [
        authors("dpo", "chosen_"),
        authors("dpo", "rejected_"),
        authors("kto", label=True),
        authors("kto", label=False),
        authors("sft"),
    ]
    for author, cells in table_in(section(package, "Answers by author")).items():
        assert [int(cell) for cell in cells] == [counts[author] for counts in expected]


def test_the_card_counts_annotators_and_their_shares(package: Path) -> None:
    counts = Counter(
        one for config in ("dpo", "kto", "sft") for row in rows_of(package, config) for one in row["annotator_ids"]
    )
    text = section(package, "Annotators")
    assert text.strip().startswith(f"{len(counts)} annotators")
    for name, (held, share) in table_in(text).items():
        assert int(held) == counts[name]
        assert share == f"{100 * counts[name] / counts.total():.1f} %"


def test_the_card_states_the_like_rate(package: Path) -> None:
    votes = Counter(row["vote"] for row in rows_of(package, "votes"))
    likes, standing = votes[1], votes[1] + votes[-1]
    expected = (
        f"Of {standing:,} votes that stand, {100 * likes / standing:.1f} % are likes; {votes[0]} more were withdrawn."
    )
    assert expected in section(package, "Annotators")


def test_the_card_states_how_much_longer_chosen_answers_are(package: Path) -> None:
    lengths = [
        (len(row["chosen"][0]["content"]), len(row["rejected"][0]["content"])) for row in rows_of(package, "dpo")
    ]
    difference = mean(chosen for chosen, _ in lengths) - mean(rejected for _, rejected in lengths)
    longer = mean(chosen > rejected for chosen, rejected in lengths)
    assert f"a difference of {difference:+,.1f}." in section(package, "Lengths")
    assert f"{100 * longer:.1f} % of the pairs" in section(package, "Lengths")


def test_the_suggested_kto_weights_lie_where_trl_stops_warning(package: Path) -> None:
    labels = Counter(row["label"] for row in rows_of(package, "kto", "train"))
    good, bad = labels[True], labels[False]
    text = section(package, "Balance of `kto`")
    assert f"{good:,} answers are desirable (n_D) and {bad:,} undesirable (n_U)" in text
    low, high, under, over = (float(number) for number in re.findall(r"\d+\.\d\d", text))
    for desirable, undesirable in ((low, 1.0), (high, 1.0), (1.0, under), (1.0, over)):
        assert 1 - 0.02 <= desirable * good / (undesirable * bad) <= 4 / 3 + 0.02


def test_the_card_counts_what_was_left_out_as_the_manifest_does(package: Path) -> None:
    shown = {reason: int(cells[0]) for reason, cells in table_in(section(package, "Left out")).items()}
    assert shown == dict(manifest_of(package).excluded)


def test_the_card_tells_which_consent_and_which_licence_hold(tmp_path: Path) -> None:
    study = study_of(consent={"version": "2", "text": "May we publish this?"})
    store = tell(open_store(tmp_path), told_of("ann").consents("1"), judged(1))
    text = section(exported(store, study, tmp_path / "out").package, "Consent and licence")
    assert "the work of those annotators only who accepted the study's consent text (now version 2)" in text
    assert "the versions that were accepted: 1." in text
    assert "The licence of the data set is cc-by-4.0." in text


def test_the_card_does_not_say_that_a_consent_came_first_which_came_later(tmp_path: Path) -> None:
    study = study_of(consent={"version": "1", "text": "May we publish this?"})
    store = tell(open_store(tmp_path), judged(1), told_of("ann").consents("1"))
    package = exported(store, study, tmp_path / "out").package
    assert manifest_of(package).totals["kto"]
    assert "before" not in section(package, "Consent and licence")


def test_the_card_states_how_far_annotators_agree_on_answers(jury: Path) -> None:
    said: dict[str, list[int]] = {}
    for row in rows_of(jury, "votes"):
        if row["vote"]:
            said.setdefault(row["message_id"], []).append(row["vote"])
    twice = [votes for votes in said.values() if len(votes) > 1]
    agree = [one == other for votes in twice for one, other in permutations(votes, 2)]
    wanted = (
        f"{len(twice)} answers were judged by several annotators: two of them agree in {100 * mean(agree):.1f} % "
        f"of the cases; Krippendorff's alpha for their votes is {alpha_by_coincidence(twice):.3f}."
    )
    assert wanted in section(jury, "Agreement")


def test_the_card_states_how_far_annotators_agree_on_pairs_of_answers(jury: Path) -> None:
    said: dict[frozenset[str], list[str]] = {}
    for row in rows_of(jury, "comparisons"):
        better = {"a": row["message_a"], "b": row["message_b"]}.get(row["winner"], "neither")
        said.setdefault(frozenset((row["message_a"], row["message_b"])), []).append(better)
    twice = [verdicts for verdicts in said.values() if len(verdicts) > 1]
    agree = [one == other for verdicts in twice for one, other in permutations(verdicts, 2)]
    wanted = f"{len(twice)} pairs of answers were judged by several annotators: two of them agree in"
    assert f"{wanted} {100 * mean(agree):.1f} % of the cases." in section(jury, "Agreement")


def test_the_card_states_how_far_rows_follow_their_annotators(jury: Path) -> None:
    rows = [row for config in ("dpo", "kto", "sft") for row in rows_of(jury, config) if row["n_annotators"] > 1]
    text = section(jury, "Agreement")
    assert f"stand behind {len(rows)} rows of" in text
    assert f"follows {100 * mean(row['agreement'] for row in rows):.1f} % of its annotators" in text


def test_the_card_says_so_when_nothing_was_judged_twice(package: Path) -> None:
    assert section(package, "Agreement").strip() == "Nothing was judged by more than one annotator."


def test_the_card_states_where_the_preferred_answer_stood(package: Path) -> None:
    rows = rows_of(package, "comparisons")
    preferred = [row for row in rows if row["winner"] in ("a", "b")]
    first = mean((row["winner"] == "a") == (row["position"] == "a_first") for row in preferred)
    text = section(package, "Position")
    ties = len(rows) - len(preferred)
    assert f"{len(preferred)} comparisons prefer one answer, {ties} call it a tie." in text
    assert f"{100 * first:.1f} % went to the first one, {100 * (1 - first):.1f} % to the second." in text


def test_the_card_states_sides_apart_from_turns(jury: Path) -> None:
    sides = [row for row in rows_of(jury, "comparisons") if row["winner"] != "tie"]
    assert {row["position"] for row in sides} == {"a_left", "b_left"}
    left = mean((row["winner"] == "a") == (row["position"] == "a_left") for row in sides)
    assert (
        f"Of {len(sides)} preferences between answers shown side by side, {100 * left:.1f} % went to the left one"
        in (section(jury, "Position"))
    )


def test_every_section_of_the_card_is_recomputed_here(package: Path, jury: Path) -> None:
    recomputed = {"Rows", "Rules", "Answers by author", "Annotators", "Agreement", "Lengths", "Position"}
    recomputed |= {"Balance of `kto`", "Left out", "Consent and licence", "Personal data and secrets"}
    shown = {
        line.removeprefix("## ") for one in (package, jury) for line in card_of(one).splitlines() if line[:3] == "## "
    }
    assert shown - {"Limits"} <= recomputed
    assert len(PARTS) == len(recomputed)


def test_every_config_has_a_meaning() -> None:
    assert MEANINGS.keys() == CONFIGS.keys()


# ── a person's words ──


def test_what_a_person_wrote_around_the_markers_and_in_the_front_matter_stays(tmp_path: Path) -> None:
    store, study, out = tell(open_store(tmp_path), judged(1)), study_of(), tmp_path / "out"
    exported(store, study, out)
    card = card_of(out).replace("\n---\n", "\nviewer: false\n---\n", 1).replace("  - trl\n", "  - trl\n  - ours\n")
    head, start, rest = card.partition(START)
    _, end, _ = rest.partition(END)
    (out / "README.md").write_text(f"{head}Our study.\n\n{start}\nstale\n{end}\n\n# Thanks\n\nTo all.\n")
    tell(store, judged(2))
    exported(store, study, out)
    assert "Our study.\n\n<!--" in card_of(out)
    assert card_of(out).endswith("\n\n# Thanks\n\nTo all.\n")
    assert "stale" not in card_of(out)
    assert "From 2 conversations." in card_of(out)
    assert front_of(out)["viewer"] is False


def test_tags_and_a_licence_of_a_person_stay_when_the_study_names_none(tmp_path: Path) -> None:
    store, study, out = tell(open_store(tmp_path), judged(1)), study_of(dataset={"license": None}), tmp_path / "out"
    exported(store, study, out)
    card = card_of(out).replace("- trl\n", "- trl\n- ours\n", 1).replace("---\n", "---\nlicense: mit\n", 1)
    (out / "README.md").write_text(card)
    exported(store, study, out)
    assert front_of(out)["license"] == "mit"
    assert front_of(out)["tags"][-1] == "ours"


def test_a_card_without_markers_is_kept_whole_above_the_generated_part(tmp_path: Path) -> None:
    store, study, out = tell(open_store(tmp_path), judged(1)), study_of(), tmp_path / "out"
    exported(store, study, out)
    (out / "README.md").write_text("# By hand\n\nAll of it.\n")
    exported(store, study, out)
    assert "# By hand\n\nAll of it.\n\n<!-- labeler:generated:start -->\n## Rows" in card_of(out)


def test_exporting_again_changes_nothing_in_the_card(package: Path) -> None:
    assert with_words_of(card_of(package), card_of(package)) == card_of(package)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_words_survive_being_taken_apart_and_put_together(words: str) -> None:
    if START in words or words.startswith("---\n"):
        return
    card = str(parse(f"---\nlicense: mit\n---\n{words}{START}\nold\n{END}{words}"))
    assert parse(card).before == words
    assert parse(card).after == words
    assert str(parse(card)) == card


@pytest.mark.parametrize("ending", ["---", "---\n", "--- \t\n\nHello\n", "---\r\nHello"], ids=repr)
@pytest.mark.parametrize("start", ["---\nlicense: mit\n", "\n\n---\r\nlicense: mit\r\n"], ids=repr)
def test_front_matter_is_found_wherever_the_hub_finds_it(start: str, ending: str) -> None:
    card = parse(start + ending)
    assert card.front == {"license": "mit"}
    assert DatasetCard(start + ending).data.get("license") == "mit"
    assert "---" not in card.before


def test_front_matter_may_be_empty() -> None:
    assert (parse("---\n---\nHello\n").front, parse("---\n---\nHello\n").before) == ({}, "Hello\n\n")


def test_front_matter_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(PackageError, match="key: value"):
        parse("---\n- a\n- b\n---\n")


# ── tallies ──


def test_statistics_read_back_as_they_were_written() -> None:
    shards = {0: Tally({"rows/dpo/train": 3, "model/chosen/org/name": 2}), 12: Tally(), 3: Tally({"zero": 0})}
    assert parse_statistics(statistics_json(shards)) == {0: shards[0], 12: Tally(), 3: Tally()}
    assert parse_statistics(statistics_json({})) == {}


def test_a_name_with_slashes_stands_last_in_its_path() -> None:
    assert below(Tally({"model/chosen/org/name": 2, "model/chosen/none": 0}), "model/chosen") == {"org/name": 2}
