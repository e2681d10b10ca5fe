"""The log behind exports/sample: eight conversations about a kitchen, with every gesture in them.

python -m tests.export.sample    # writes exports/sample anew
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from labeler.export.exporter import export
from labeler.store import Store
from labeler.store.transfer import load
from labeler.study import Study, parse_study
from tests.export import dumped
from tests.stories import Story, one_log, told

PLACE = Path(__file__).parents[2] / "exports" / "sample"
# Published on purpose: behind this sample there is nobody to protect.
KEY = b"the key of the sample, known to all"
SOURCE_ID = "the-sample"
SYSTEM = "You are a cook. Answer in one or two sentences."


def sample_study() -> Study:
    return parse_study(
        {
            "name": "sample",
            "title": "Kitchen sample",
            "models": [{"name": "small", "kind": "local"}],
            "system_prompt": SYSTEM,
            "dataset": {"license": "cc0-1.0", "test_percent": 30, "salt": "salt", "conversations_per_shard": 4},
        }
    )


def _begun(number: int, annotator_id: str) -> Story:
    return told(
        annotator_id, f"sample-{number}", system_prompt=SYSTEM, model=("small", "large")[number % 2], day=number
    )


def _boiled_egg() -> Story:
    story = _begun(1, "ada").asks("How long do I boil an egg?").answers("An egg takes some time.")
    story.dislikes().explains("Unclear", comment="How many minutes?")
    story.retries("Six minutes for a soft yolk, nine for a firm one.").better().likes()
    return (
        story.asks("And at 2,000 metres?").answers("About a minute longer, since water boils cooler up there.").likes()
    )


def _rice() -> Story:
    story = (
        _begun(2, "ada").asks("What is the ratio of water to rice?").answers("Two cups of water for one cup of rice.")
    )
    return story.edits("One and a half cups of water for one cup of white rice, two for brown rice.")


def _knife() -> Story:
    story = _begun(3, "bob").asks("How do I sharpen a knife?").answers("Throw it away and buy a new one.").dislikes()
    story.edits("Draw it over a whetstone at about twenty degrees, one side and then the other.")
    return story.asks("How often?").answers("Whenever a tomato resists.").likes()


def _bread() -> Story:
    story = _begun(4, "bob").asks("Why did my bread not rise?").answers("The yeast was old, or the water too hot.")
    story.retries("Most often the yeast was old: test it in warm water with sugar first.").about_the_same()
    return story.likes("a1").likes("a2")


def _salt() -> Story:
    story = _begun(5, "cid").asks("I salted the soup twice. What now?").answers("Add a potato.").likes().dislikes()
    return story.retries().stopped("Add water or")


def _garlic() -> Story:
    story = _begun(6, "cid").asks("Does garlic burn?").answers("Yes, faster than onions do: add it later.").likes()
    return (
        story.asks("Whta about shallots?")
        .answers("Pardon?")
        .undoes()
        .asks("What about shallots?")
        .answers("Like onions.")
    )


def _omelette() -> Story:
    story = _begun(7, "dee").asks("Give me an omelette in three steps.")
    story.answers(
        "1. Beat three eggs.\n2. Melt butter in a hot pan.\n3. Pour, stir, fold.\n\n    # do not brown it\n"
    ).likes()
    return (
        story.rewrites("Give me an omelette in two steps.")
        .answers("1. Beat three eggs.\n2. Fry them in butter.")
        .likes()
    )


def _tea() -> Story:
    story = _begun(8, "dee").asks("how long do i boil an egg?").answers("Seven minutes.").likes().withdraws()
    return story.retries("Between six and ten minutes.").worse().clears()


def sample_log(folder: Path) -> Store:
    """The log in a fresh database, with the source id and positions that it always has."""
    stories = [_boiled_egg(), _rice(), _knife(), _bread(), _salt(), _garlic(), _omelette(), _tea()]
    store = Store.open(f"sqlite:///{folder / 'sample.db'}")
    load(store, dumped(one_log(*stories, source_id=SOURCE_ID), folder / "sample.jsonl"))
    return store


def build_sample(folder: Path, out: Path) -> Path:
    with sample_log(folder) as store:
        return export(store, sample_study(), out, key=KEY).package


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        build_sample(Path(scratch), PLACE)
