"""What decides a row besides the events of its conversation: the study's options, the annotators' standing, the key."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from labeler.core.records import SCHEMA_VERSION
from labeler.core.redaction import REDACTOR_VERSION
from labeler.core.rules import RULES_VERSION, Options
from labeler.core.standing import Standing
from labeler.export.columns import Terms
from labeler.export.pseudonyms import Pseudonyms, key_print
from labeler.export.views import CANONICAL
from labeler.ids import sha256_hex
from labeler.redaction import version_of
from labeler.study import Redaction, Study, View

# What made a row: it changes with the rules and the columns and not with every release, or each release would write and
# send every shard again.
TOOL_VERSION = f"labeler rules {RULES_VERSION}, columns {SCHEMA_VERSION}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what a shard's conversations become, besides their events.

    ``finder`` is the version of what looks for personal data, if ``redaction`` asks for it.
    """

    options: Options
    standing: Standing
    key: bytes
    dataset: str
    license: str | None
    view: View = CANONICAL
    redaction: Redaction | None = None
    finder: str = ""

    def terms(self) -> Terms:
        """Fresh for every shard: the pseudonyms that it remembers would otherwise grow with the log."""
        return Terms(Pseudonyms.of(self.key, self.dataset), self.license, TOOL_VERSION, self.view)


def recipe_of(study: Study, key: bytes, standing: Standing) -> Recipe:
    """The recipe of a study at a position of its log, which the standing is of."""
    dataset, redaction = study.dataset, study.redaction
    finder = version_of(redaction.finder) if redaction else ""
    return Recipe(options_of(study), standing, key, study.name, dataset.license, dataset.view, redaction, finder)


def options_of(study: Study) -> Options:
    """What the study decides about derivation."""
    dataset = study.dataset
    return Options(**study.rules.model_dump(), test_percent=dataset.test_percent, salt=dataset.salt)


def options_digest(study: Study, key: bytes) -> str:
    """SHA-256 of all that a study, a key and this version's columns decide about rows. It tells none of them."""
    decided = {
        "options": asdict(options_of(study)),
        "consent": study.consent is not None,
        "license": study.dataset.license,
        "conversations_per_shard": study.dataset.conversations_per_shard,
        "key": key_print(key, study.name),
        "tool_version": TOOL_VERSION,
        "view": study.dataset.view,
        "redaction": _redaction_decided(study),
    }
    return sha256_hex(json.dumps(decided, sort_keys=True))


def _redaction_decided(study: Study) -> dict[str, object] | None:
    redaction = study.redaction
    if redaction is None:
        return None
    return {
        "policy": redaction.policy,
        "kinds": sorted(redaction.kinds),
        "redactor": REDACTOR_VERSION,
        "finder": version_of(redaction.finder),
    }
