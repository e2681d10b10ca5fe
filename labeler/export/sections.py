"""The statistics of a dataset card, taken from the very rows beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from labeler.core.agreement import Units, alpha, observed, several
from labeler.core.rules.book import REASONS, RULES
from labeler.export.schemas import CONFIGS, SPLITS, TRAINER_CONFIGS
from labeler.export.tallies import MILLION, Tally, below, judged_together
from labeler.export.views import CANONICAL, PURPOSES
from labeler.redaction import version_of
from labeler.study import Study

TOP_ANNOTATORS = 10
JUDGED = ("dpo", "kto", "sft")

MEANINGS = {
    "dpo": "two answers to one prompt, the better one `chosen`: for `DPOTrainer`",
    "reward": "the same pairs with a `margin`: for `RewardTrainer`",
    "kto": "one answer found good or bad (`label`): for `KTOTrainer`; keep the order of the rows",
    "sft": "an answer worth imitating: for `SFTTrainer`",
    "votes": "an annotator's last word on an answer, withdrawn votes included",
    "comparisons": "an annotator's last word on two answers, ties included",
    "messages": "a message of a conversation tree: the visible path, and everything retried, rewritten or undone",
}

_LIMITS = """\
- The annotators are whoever took part; nobody sampled them. People who vote are not all people, and likes reward what
  pleases: flattery and length are the known biases (see the lengths above).
- `confidence` is a prior of the rule, not an estimate from this data. Filter by `source`, `strength`, `confidence` and
  `agreement`; `event_ids` names the gestures behind each row.
- Ids are keyed pseudonyms, not anonymity: whoever holds the key can match them. {texts}
- Answers carry the terms of the models that wrote them, whatever the licence of this data set: see the model columns.
- A row disappears when its vote, consent or conversation is withdrawn. Older revisions of this repository may still
  hold it until its history is rewritten."""


_TYPED = "Texts are exactly as typed and\n  generated; "
_SEARCHED = (
    "Names of\n  people and places were not looked for, and no finder of personal data finds all: tell the authors\n"
    "  what you see."
)
_TEXTS = {
    "none": f"{_TYPED}names and other personal details that somebody typed are in them.",
    "keep": f"{_TYPED}what was found in them (see above) is in them, and so are names, which nobody looked for.",
    "replace": _SEARCHED,
    "block": _SEARCHED,
}


def sections(study: Study, tally: Tally) -> Iterator[str]:
    """The lines of the generated part of a card, all figures from the tally of the rows."""
    view = study.dataset.view
    if view != CANONICAL:
        yield from [f"Rows are in the form `{view}`: {PURPOSES[view]}.", ""]
    for part in PARTS:
        lines = part(study, tally)
        if lines:
            yield from [*lines, ""]
    yield from ["## Limits", "", *_LIMITS.format(texts=_TEXTS[_policy(study)]).split("\n")]


def present(tally: Tally) -> list[str]:
    """The configs that have rows, in their fixed order."""
    return [config for config in CONFIGS if below(tally, f"rows/{config}")]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    marks = ["--:" if place and all(_counts(cell) for cell in cells) else "---" for place, cells in enumerate(columns)]
    return [_line(head), _line(marks), *(_line(row) for row in rows)]


def _counts(cell: object) -> bool:
    """Whether a cell is a number or a share, which stand flush right."""
    return str(cell).removesuffix(" %").replace(",", "").replace(".", "").isdigit()


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _number(value: int) -> str:
    return f"{value:,}"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole) if whole else "-"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _rows(study: Study, tally: Tally) -> list[str]:
    rows = [
        (f"`{config}`", *(_number(tally[f"rows/{config}/{split}"]) for split in SPLITS), MEANINGS[config])
        for config in present(tally)
    ]
    head = "## Rows"
    if not rows:
        return [head, "", "None yet."]
    return [
        head,
        "",
        f"From {_number(tally['conversations'])} conversations. A prompt is in one split only, in every config.",
        "",
        *_table(("config", *SPLITS, "a row is"), rows),
    ]


def _rules(study: Study, tally: Tally) -> list[str]:
    counts = {config: _by_rule(tally, config) for config in TRAINER_CONFIGS}
    fired = [rule for rule in RULES if any(rule in of for of in counts.values())]
    if not fired:
        return []
    rows = [
        (rule, *(_number(counts[config].get(rule, 0)) for config in TRAINER_CONFIGS), RULES[rule].pattern)
        for rule in fired
    ]
    return ["## Rules", "", *_table(("source", *TRAINER_CONFIGS, "what was seen"), rows)]


def _by_rule(tally: Tally, config: str) -> dict[str, int]:
    total: Tally = Tally()
    for split in SPLITS:
        total.update(below(tally, f"rule/{config}/{split}"))
    return total


def _models(study: Study, tally: Tally) -> list[str]:
    sides = ("chosen", "rejected", "good", "bad", "shown")
    counts = {side: below(tally, f"model/{side}") for side in sides}
    authors = sorted({author for of in counts.values() for author in of})
    if not authors:
        return []
    rows = [(author, *(_number(counts[side].get(author, 0)) for side in sides)) for author in authors]
    return ["## Answers by author", "", *_table(("author", "chosen", "rejected", "good", "bad", "in sft"), rows)]


def _annotators(study: Study, tally: Tally) -> list[str]:
    likes, dislikes, withdrawn = (tally[f"vote/{vote}"] for vote in (1, -1, 0))
    total: Tally = Tally()
    for config in JUDGED:
        total.update(below(tally, f"annotator/{config}"))
    if not total and not likes + dislikes:
        return []
    judged = sum(total.values())
    busiest = sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))[:TOP_ANNOTATORS]
    return [
        "## Annotators",
        "",
        f"{_number(len(total))} annotators stand behind the rows of `dpo`, `kto` and `sft`. "
        f"Of {_number(likes + dislikes)} votes that stand, {_share(likes, likes + dislikes)} are likes; "
        f"{_number(withdrawn)} more were withdrawn.",
        "",
        *_table(
            (
                f"annotator (the busiest {TOP_ANNOTATORS})" if len(total) > TOP_ANNOTATORS else "annotator",
                "rows",
                "share",
            ),
            [(f"`{name}`", _number(count), _share(count, judged)) for name, count in busiest],
        ),
    ]


def _lengths(study: Study, tally: Tally) -> list[str]:
    pairs = sum(below(tally, "rows/dpo").values())
    if not pairs:
        return []
    chosen, rejected = tally["length/chosen"] / pairs, tally["length/rejected"] / pairs
    return [
        "## Lengths",
        "",
        f"A chosen answer has {chosen:,.1f} characters on average, a rejected one {rejected:,.1f}: a difference of "
        f"{chosen - rejected:+,.1f}. Chosen is the longer one in {_share(tally['length/longer'], pairs)} of the pairs.",
    ]


def _agreement(study: Study, tally: Tally) -> list[str]:
    lines = [
        *_together(judged_together(tally, "votes"), "answer was", "answers were", with_alpha=True),
        *_together(judged_together(tally, "comparisons"), "pair of answers was", "pairs of answers were"),
        *_behind_rows(tally),
    ]
    if not (lines or below(tally, "vote") or tally["preferences"]):
        return []
    return ["## Agreement", "", *(lines or ["Nothing was judged by more than one annotator."])]


def _together(units: Units, one: str, many: str, *, with_alpha: bool = False) -> list[str]:
    share = observed(units)
    if share is None:
        return []
    count, agree = several(units), f"two of them agree in {_percent(share)}"
    line = f"{_number(count)} {one if count == 1 else many} judged by several annotators: {agree}"
    if not with_alpha:
        return [f"{line} of the cases."]
    reliability = alpha(units)
    known = "is undefined: they all said the same" if reliability is None else f"for their votes is {reliability:.3f}"
    return [f"{line} of the cases; Krippendorff's alpha {known}."]


def _behind_rows(tally: Tally) -> list[str]:
    rows, agreement = (sum(tally[f"{what}/{config}"] for config in JUDGED) for what in ("several", "agreement"))
    if not rows:
        return []
    named = "1 row" if rows == 1 else f"{_number(rows)} rows"
    followed = f"the verdict of a row follows {_percent(agreement / rows / MILLION)} of its annotators on average"
    return [f"Several annotators stand behind {named} of `dpo`, `kto` and `sft`: {followed}."]


def _positions(study: Study, tally: Tally) -> list[str]:
    preferences, ties = tally["preferences"], tally["ties"]
    if not preferences + ties:
        return []
    lines = [f"{_number(preferences)} comparisons prefer one answer, {_number(ties)} call it a tie."]
    for first, second, how in (("first", "second", "one after the other"), ("left", "right", "side by side")):
        won = tally[f"place/{first}"], tally[f"place/{second}"]
        if sum(won):
            lines.append(
                f"Of {_number(sum(won))} preferences between answers shown {how}, {_share(won[0], sum(won))} went to "
                f"the {first} one, {_share(won[1], sum(won))} to the {second}."
            )
    return ["## Position", "", *lines]


def _balance(study: Study, tally: Tally) -> list[str]:
    good, bad = tally["label/train/good"], tally["label/train/bad"]
    if not good or not bad:
        return []
    ratio = bad / good
    return [
        "## Balance of `kto`",
        "",
        f"In `train`, {_number(good)} answers are desirable (n_D) and {_number(bad)} undesirable (n_U). "
        f"`KTOConfig` wants the two sides' weights in balance: set `desirable_weight` between {ratio:.2f} and "
        f"{4 / 3 * ratio:.2f}, or `undesirable_weight` between {3 / 4 / ratio:.2f} and {1 / ratio:.2f}, not both.",
    ]


def _excluded(study: Study, tally: Tally) -> list[str]:
    counts = below(tally, "excluded")
    if not counts:
        return []
    rows = [
        (f"`{reason}`", _number(count), *REASONS.get(reason, ("", "")))
        for reason, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    return [
        "## Left out",
        "",
        "Every candidate that became no row, counted by reason.",
        "",
        *_table(("reason", "count", "rule", "what it means"), rows),
    ]


_DONE = {
    "replace": "Each is replaced by a placeholder such as `<EMAIL_1>`: the same one for the same value within a"
    " conversation.",
    "block": "Messages that hold one are left out, with all that rests on them; so are comments.",
    "keep": "They were left as they are.",
}


def _policy(study: Study) -> str:
    return "none" if study.redaction is None else study.redaction.policy


def _redacted(study: Study, tally: Tally) -> list[str]:
    if study.redaction is None:
        return []
    found, spec = below(tally, "redacted"), study.redaction
    rows = [(f"`{kind}`", _number(found.get(kind, 0))) for kind in sorted(spec.kinds)]
    return [
        "## Personal data and secrets",
        "",
        f"Texts were searched by {version_of(spec.finder)}. {_DONE[spec.policy]}",
        "",
        *_table(("kind", "found"), rows),
    ]


def _rights(study: Study, tally: Tally) -> list[str]:
    license = study.dataset.license
    versions = sorted({version for config in TRAINER_CONFIGS for version in below(tally, f"consent/{config}")})
    asked = (
        f"Here is the work of those annotators only who accepted the study's consent text (now version "
        f"{study.consent.version}); rows carry the versions that were accepted"
        + (f": {', '.join(versions)}." if versions else ".")
        if study.consent
        else "The study asked for no consent text to be accepted."
    )
    return [
        "## Consent and licence",
        "",
        asked,
        f"The licence of the data set is {license}." if license else "The study names no licence for the data set yet.",
    ]


PARTS: tuple[Callable[[Study, Tally], list[str]], ...] = (
    _rows,
    _rules,
    _models,
    _annotators,
    _agreement,
    _lengths,
    _positions,
    _balance,
    _excluded,
    _redacted,
    _rights,
)
"""The sections of statistics, in their order; each is empty where there is nothing to tell."""
