"""The dataset card: front matter that loaders read, what a person wrote, and statistics of the rows beside it."""

from __future__ import annotations

from typing import Any

from datasets import Features

from labeler.export.readme import Readme, joined_tags, parse
from labeler.export.schemas import DEFAULT_CONFIG, SPLITS
from labeler.export.sections import present, sections
from labeler.export.tallies import Tally, below
from labeler.export.views import view_schema
from labeler.study import Study

TAGS = ("rlhf", "preference", "human-feedback", "dpo", "kto", "trl")
TASKS = ("text-generation", "reinforcement-learning")


def render(study: Study, tally: Tally, previous: str) -> str:
    """The card of a package. ``previous`` is the card that stood there: what a person wrote in it is kept.

    Raises:
        PackageError: the previous card cannot be read.
    """
    written = parse(previous or f"\n# {_title(study)}\n\n{_INVITATION}\n\n")
    front = {**_front(study, tally, written.front)}
    front |= {key: value for key, value in written.front.items() if key not in front}
    return str(Readme(front, written.before, "\n".join(sections(study, tally)) + "\n", written.after or "\n"))


_INVITATION = (
    "Feedback of people on the answers of language models, collected in a chat. What you write outside the two\n"
    "`labeler:generated` markers of this file is kept by every export and every push: say here what the study is\n"
    "about, who took part, and what they were asked."
)


def _title(study: Study) -> str:
    return study.dataset.pretty_name or (study.name if study.title == "Labeler" else study.title)


# ── front matter ──


def _front(study: Study, tally: Tally, written: dict[str, Any]) -> dict[str, Any]:
    """What loaders and the Hub read. What a person added (a licence, if the study names none; tags) stays."""
    license = study.dataset.license or written.get("license")
    return {
        **({"license": license} if license else {}),
        "language": list(study.dataset.language),
        "pretty_name": study.dataset.pretty_name or written.get("pretty_name") or _title(study),
        "task_categories": list(TASKS),
        "tags": joined_tags(TAGS, written),
        "annotations_creators": ["crowdsourced"],
        "size_categories": [size_category(sum(below(tally, "rows").values()))],
        "configs": [_config(config, tally) for config in present(tally)],
        "dataset_info": [
            {
                "config_name": config,
                "features": Features.from_arrow_schema(view_schema(config, study.dataset.view))._to_yaml_list(),
            }
            for config in present(tally)
        ],
    }


def size_category(rows: int) -> str:
    """The Hub's name for an order of magnitude."""
    bounds = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    if rows < 1000:
        return "n<1K"
    place = len(str(rows)) - 4
    return f"{bounds[place]}<n<{bounds[place + 1]}" if place + 1 < len(bounds) else "n>1T"


def _config(config: str, tally: Tally) -> dict[str, Any]:
    splits = [split for split in SPLITS if tally[f"rows/{config}/{split}"]]
    names = present(tally)
    default = DEFAULT_CONFIG if DEFAULT_CONFIG in names else names[0]
    return {
        "config_name": config,
        **({"default": True} if config == default else {}),
        "data_files": [{"split": split, "path": f"{config}/{split}-*.parquet"} for split in splits],
    }
