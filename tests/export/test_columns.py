"""Rows as they stand in the files: what trainers see, and what stands beside it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.core.folding import replay
from labeler.core.records import SCHEMA_VERSION, UnpairedPreference
from labeler.core.rules import Options, derive
from labeler.core.standing import Standing
from labeler.export.columns import Terms, kto_order, record_ids, reward_table, table_of
from labeler.export.pseudonyms import Pseudonyms
from labeler.export.schemas import CONFIGS, TRAINER_CONFIGS
from labeler.ids import pseudonym, sha256_hex
from tests.export import KEY, every_row, exported, judged, open_store, rows_of, simulated, study_of, tell
from tests.stories import Story, told


def terms_of() -> Terms:
    return Terms(Pseudonyms.of(KEY, "stories"), "cc-by-4.0", "labeler test")


def rows_from(story: Story, config: str, **options: Any) -> list[dict[str, Any]]:
    derived = derive(replay(story.stream_id, story.events), Standing(), Options(**{"test_percent": 0, **options}))
    found = {
        "dpo": derived.pairs,
        "reward": derived.pairs,
        "kto": derived.unpaired,
        "sft": derived.demonstrations,
        "votes": derived.votes,
        "comparisons": derived.comparisons,
        "messages": derived.messages,
    }
    table = table_of("dpo" if config == "reward" else config, found[config], terms_of())
    if config == "reward":
        table = reward_table(table, derived.pairs, terms_of())
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def named(kind: str, one: str) -> str:
    return pseudonym(KEY, f"stories/{kind}", one)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns")
    study = study_of(dataset={"conversations_per_shard": 40}, rules={"sft_from_likes": True})
    with open_store(folder) as store:
        return exported(simulated(store, 150, study), study, folder / "out").package


def test_a_pair_is_a_prompt_and_two_answers_as_messages() -> None:
    story = told(system_prompt="Be kind.").asks("Why?").answers("So.").retries("Because.").better()
    (row,) = rows_from(story, "dpo")
    assert row["prompt"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
    assert row["chosen"] == [{"role": "assistant", "content": "Because."}]
    assert row["rejected"] == [{"role": "assistant", "content": "So."}]


def test_text_is_published_exactly_as_it_was_typed_and_generated() -> None:
    text = "  def f():\n\treturn '\u2028\u0301 e\u0301 \U0001f600'\r\n\n"
    story = told().asks(text).answers(text).likes()
    (row,) = rows_from(story, "kto")
    assert row["prompt"][-1]["content"] == text
    assert row["completion"] == [{"role": "assistant", "content": text}]
    assert {message["content"] for message in rows_from(story, "messages")} == {text}


def test_labels_are_true_for_likes_and_false_for_dislikes() -> None:
    story = told().asks("Why?").answers("So.").likes().asks("Really?").answers("No.").dislikes()
    labels = {row["completion"][0]["content"]: row["label"] for row in rows_from(story, "kto")}
    assert labels == {"So.": True, "No.": False}


def test_the_margin_is_a_third_of_the_strength() -> None:
    story = told().asks("Why?").answers("So.").retries("Because.").better()
    (row,) = rows_from(story, "reward")
    assert row["margin"] == row["strength"] / 3 == 2 / 3


def test_ids_are_pseudonyms_of_their_kind() -> None:
    story = told("ann", "c1").asks("Why?").answers("So.").likes().explains("Correct", comment="yes")
    (row,) = rows_from(story, "votes")
    vote = next(event for event in story.events if event.payload.kind == "vote_cast")
    assert row == {
        "event_id": named("event", vote.event_id),
        "conversation_id": named("conversation", "c1"),
        "message_id": named("message", "c1.a1"),
        "annotator_id": named("annotator", "ann"),
        "vote": 1,
        "reasons": ["Correct"],
        "comment": "yes",
        "created_at": "2026-11-22",
    }


def test_a_comparison_keeps_ties_and_says_who_was_a_and_b() -> None:
    story = told("ann", "c1").asks("Why?").answers("So.").retries("Because.").about_the_same()
    (row,) = rows_from(story, "comparisons")
    assert (row["winner"], row["strength"], row["position"]) == ("tie", 0, "a_first")
    assert (row["message_a"], row["message_b"]) == (named("message", "c1.a1"), named("message", "c1.a2"))


def test_messages_are_the_whole_tree_with_parents_that_can_be_joined() -> None:
    story = told("ann", "c1").asks("Why?").answers("So.").retries("Because.").edits("Because of that.").undoes()
    rows = {row["content"]: row for row in rows_from(story, "messages")}
    question = rows["Why?"]
    assert question["parent_id"] is None
    assert (question["role"], question["origin"], question["model"], question["position"]) == (
        "user",
        "user",
        None,
        None,
    )
    for answer in ("So.", "Because.", "Because of that."):
        assert rows[answer]["parent_id"] == question["message_id"]
    assert (rows["So."]["model"], rows["So."]["origin"]) == ("org/small", "model")
    assert (rows["Because of that."]["model"], rows["Because of that."]["origin"]) == (None, "human_edit")


def test_a_record_id_is_made_of_published_ids_only() -> None:
    story = told("ann", "c1").asks("Why?").answers("So.").retries("Because.").better()
    (row,) = rows_from(story, "dpo")
    expected = sha256_hex("dpo", row["conversation_id"], row["chosen_message_id"], row["rejected_message_id"])
    assert row["record_id"] == expected
    (reward,) = rows_from(story, "reward")
    assert reward["record_id"] != expected


def test_a_row_names_the_gestures_it_rests_on() -> None:
    story = told("ann", "c1").asks("Why?").answers("So.").likes()
    (row,) = rows_from(story, "kto")
    vote = next(event for event in story.events if event.payload.kind == "vote_cast")
    assert row["event_ids"] == [named("event", vote.event_id)]
    assert row["annotator_ids"] == [named("annotator", "ann")]


def test_what_is_the_data_sets_stands_in_every_record() -> None:
    (row,) = rows_from(told().asks("Why?").answers("So.").likes(), "kto")
    assert (row["license"], row["schema_version"], row["tool_version"]) == ("cc-by-4.0", SCHEMA_VERSION, "labeler test")


@pytest.mark.parametrize("config", [config for config in CONFIGS if config != "reward"])
def test_a_table_without_rows_still_has_its_columns(config: str) -> None:
    table = table_of(config, [], terms_of())
    assert table.num_rows == 0
    assert table.schema.names == [column.name for column in CONFIGS[config]]


def test_no_column_that_must_not_be_null_ever_is(package: Path) -> None:
    """Over a log with everything in it: what the schema says about null is true, and full validation passes."""
    optional = {config: {one.name for one in columns if one.nullable} for config, columns in CONFIGS.items()}
    for config, _, row in every_row(package):
        assert {name for name, value in row.items() if value is None} <= optional[config]


def test_arrow_validates_every_table_in_full(package: Path) -> None:
    story = judged(1)
    derived = derive(replay(story.stream_id, story.events), Standing(), Options())
    for config, rows in (("dpo", derived.pairs), ("messages", derived.messages), ("votes", derived.votes)):
        table = table_of(config, rows, terms_of())
        table.validate(full=True)
        assert isinstance(table, pa.Table)


def test_record_ids_are_unique_over_the_whole_package(package: Path) -> None:
    ids = [row["record_id"] for config, _, row in every_row(package) if config in TRAINER_CONFIGS]
    assert len(ids) == len(set(ids))


def test_no_opener_is_in_both_splits_of_any_config(package: Path) -> None:
    splits: dict[str, set[str]] = {}
    for config, split, row in every_row(package):
        if config in TRAINER_CONFIGS:
            splits.setdefault(row["group_key"], set()).add(split)
    assert {len(found) for found in splits.values()} == {1}
    assert {split for found in splits.values() for split in found} == {"train", "test"}


def test_reward_holds_the_pairs_of_dpo(package: Path) -> None:
    def pairs(config: str) -> list[tuple[str, str]]:
        return [(row["chosen_message_id"], row["rejected_message_id"]) for row in rows_of(package, config)]

    assert pairs("reward") == pairs("dpo") != []


def test_every_row_can_be_joined_with_its_messages_and_votes(package: Path) -> None:
    messages = {row["message_id"]: row["content"] for row in rows_of(package, "messages")}
    events = {row["event_id"] for config in ("votes", "comparisons") for row in rows_of(package, config)}
    for row in rows_of(package, "kto"):
        assert messages[row["message_id"]] == row["completion"][0]["content"]
        assert set(row["event_ids"]) & events


# ── the order of kto ──


def liked_and_disliked(conversation_id: str, answers: int) -> Story:
    """One prompt with many answers, all judged."""
    story = told("ann", conversation_id).asks(f"Question of {conversation_id}?").answers("Answer 1.").likes()
    for number in range(2, answers + 1):
        story.retries(f"Answer {number}.").dislikes()
    return story


def unpaired_of(*stories: Story) -> list[UnpairedPreference]:
    derived = [derive(replay(story.stream_id, story.events), Standing(), Options()) for story in stories]
    return [row for one in derived for row in one.unpaired]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(min_value=1, max_value=6), min_size=2, max_size=12))
def test_kto_neighbours_never_share_a_prompt_where_that_can_be_helped(answers: list[int]) -> None:
    rows = unpaired_of(*(liked_and_disliked(f"c{number}", many) for number, many in enumerate(answers)))
    ordered = kto_order(rows, Pseudonyms.of(KEY, "stories"))
    assert sorted(map(id, ordered)) == sorted(map(id, rows))
    together = sum(one.prompt.key == two.prompt.key for one, two in pairwise(ordered))
    unavoidable = max(0, 2 * max(answers) - sum(answers) - 1)
    assert together <= unavoidable


def test_kto_order_follows_the_record_id_and_not_the_conversation_the_time_or_the_label() -> None:
    rows = unpaired_of(*(liked_and_disliked(f"c{number}", 2) for number in range(30)))
    names = Pseudonyms.of(KEY, "stories")
    ordered = kto_order(rows, names)
    ids = record_ids("kto", ordered, names)
    in_order = sum(one < two for one, two in pairwise(ids))
    assert in_order >= 0.9 * len(ids), "only rows that had to be moved away from their siblings stand elsewhere"
    assert ordered != rows
    assert kto_order(list(reversed(rows)), names) == ordered


@pytest.mark.parametrize("batch", [4, 8])
def test_mismatched_pairs_of_consecutive_batches_are_mismatched(tmp_path: Path, batch: int) -> None:
    """KTO rotates completions by one inside each batch of the file's order: the two prompts must differ."""
    study = study_of(dataset={"test_percent": 0, "conversations_per_shard": 100})
    store = tell(open_store(tmp_path), *(liked_and_disliked(f"c{number}", 2) for number in range(40)))
    rows = rows_of(exported(store, study, tmp_path / "out").package, "kto")
    batches = [rows[start : start + batch] for start in range(0, len(rows) - batch + 1, batch)]
    pairs = [(one, two) for rows in batches for one, two in zip(rows, rows[1:] + rows[:1], strict=True)]
    same = sum(one["prompt_key"] == two["prompt_key"] for one, two in pairs)
    neighbours = sum(one["prompt_key"] == two["prompt_key"] for rows in batches for one, two in pairwise(rows))
    assert neighbours == 0
    assert same <= 0.02 * len(pairs), "only a batch's last and first row may meet, by chance"
